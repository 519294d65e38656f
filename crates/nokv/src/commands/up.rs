//! `nokv up` and `nokv serve`: the store and its server in one process.

const EXAMPLES: &str = "\
Examples:
  nokv up                                     the default store, objects in a folder beside it
  nokv up --dir /data/store --listen 127.0.0.1:7070
  nokv up --objects s3://bucket/prefix --s3-endpoint http://127.0.0.1:9000
  nokv serve --quiet                          for a service manager: no welcome";

/// Arguments of `nokv up` and `nokv serve`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Listen on this loopback address too, beside the socket in the store's directory
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

/// What is told when the server listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Welcome {
    /// Where it listens and what to try next.
    Full,
    /// Where it listens.
    Brief,
}

pub(crate) async fn run(
    arguments: Arguments,
    welcome: Welcome,
    store: &crate::arguments::StoreArguments,
    output: &crate::output::Output,
) -> Result<(), crate::error::Error> {
    let _ = (arguments.listen, welcome, store, output);
    unimplemented!()
}
