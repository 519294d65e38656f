//! `nokv completions`: a completion script for a shell.

use crate::arguments;
use crate::error::Error;
use crate::output::Output;
use clap::CommandFactory;
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  nokv completions bash > ~/.local/share/bash-completion/completions/nokv
  nokv completions zsh > ~/.zfunc/_nokv
  nokv completions fish > ~/.config/fish/completions/nokv.fish";

/// Arguments of `nokv completions`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<(), Error> {
    let mut script = Vec::new();
    let mut command = arguments::Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "nokv", &mut script);
    output.raw(script)
}
