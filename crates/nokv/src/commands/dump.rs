//! `nokv dump`: a subtree into a file.

use crate::arguments::PathArgument;
use crate::as_of::AtArgument;
use crate::error::Error;
use crate::local_file;
use crate::output::{Output, insert_bytes};
use crate::progress::Progress;
use crate::session;
use crate::text::{count, human_bytes};
use nokv_client::{Bodies, Client, DumpEvent, DumpOptions, Form};
use nokv_types::NsPath;
use serde_json::Map;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  nokv dump -o all.dump                       everything, as of now, while others write
  nokv dump /runs --at '1h ago' -o runs.dump  a directory as it was
  nokv dump /runs --with-bodies -o runs.dump  with the bytes of all files, for another store
  nokv dump /runs -o - --form jsonl | jq -r .name

Without --with-bodies the dump refers to the objects of larger files: it can be loaded into the
same store, as long as that keeps them (a snapshot does).";

/// Arguments of `nokv dump`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What to dump; everything unless told
    #[arg(value_name = "PATH")]
    path: Option<PathArgument>,
    /// The file to write; - is standard output
    #[arg(short, long = "output", value_name = "FILE")]
    output: PathBuf,
    /// Binary or JSON Lines; unless told, what the name of the file says (.jsonl, .json), else
    /// binary
    #[arg(long, value_name = "FORM")]
    form: Option<FormArgument>,
    /// Put the bytes of files into the dump, so that any store can load it
    #[arg(long)]
    with_bodies: bool,
    #[command(flatten)]
    at: AtArgument,
}

/// A form, as it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum FormArgument {
    /// Compact and quick
    Binary,
    /// Text, one JSON value a line
    Jsonl,
}

/// Writes the dump. **Errors**: those of reading and writing; the file is absent then.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let client = &arguments.at.client(client)?;
    let path = match &arguments.path {
        Some(path) => session::path(path)?,
        None => NsPath::root(),
    };
    let is_standard = local_file::is_standard(&arguments.output);
    let form = form(&arguments);
    if is_standard && form == Form::Binary && std::io::stdout().is_terminal() {
        return Err(Error::Usage(
            "a binary dump is not for a terminal; give -o FILE, or --form jsonl".to_owned(),
        ));
    }
    let progress = Progress::counting(output, "dump", "nodes");
    let shown = progress.clone();
    let options = DumpOptions {
        form,
        bodies: match arguments.with_bodies {
            true => Bodies::Embedded,
            false => Bodies::Referenced,
        },
        on_event: Some(Arc::new(move |event| match event {
            DumpEvent::Nodes(count) => shown.done(count),
            DumpEvent::Data(_) => {}
        })),
    };
    let file = local_file::Output::create(&arguments.output)?;
    let dumped = client.dump(&path, file.writer(), options).await;
    progress.finish();
    let report = match dumped {
        Ok((mut writer, report)) => match writer.flush() {
            Ok(()) => report,
            Err(error) => {
                file.abandon();
                return Err(Error::from_stdout(error));
            }
        },
        Err(failure) => {
            file.abandon();
            return Err(failure.into());
        }
    };
    let bytes = file.finish()?;
    if is_standard {
        return Ok(());
    }
    if output.is_json() {
        let mut object = Map::new();
        insert_bytes(&mut object, "path", &path.to_bytes());
        object.insert("version".to_owned(), report.version.as_u64().into());
        object.insert("nodes".to_owned(), report.node_count.into());
        object.insert("data_bytes".to_owned(), report.data_bytes.into());
        object.insert("bytes".to_owned(), bytes.into());
        return output.json(object);
    }
    output.note(&format!(
        "dumped {} of {} as of version {} ({})",
        count(report.node_count, "node", "nodes"),
        path,
        report.version,
        human_bytes(bytes.unwrap_or(0)),
    ))
}

fn form(arguments: &Arguments) -> Form {
    let named = |extension: &str| {
        Path::new(&arguments.output)
            .extension()
            .is_some_and(|found| found == extension)
    };
    match arguments.form {
        Some(FormArgument::Binary) => Form::Binary,
        Some(FormArgument::Jsonl) => Form::JsonLines,
        None if named("jsonl") || named("json") => Form::JsonLines,
        None => Form::Binary,
    }
}
