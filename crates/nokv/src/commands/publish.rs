//! `nokv publish`: a local file or tree, visible at once or not at all.

use crate::arguments::PathArgument;
use crate::error::Error;
use crate::output::{Output, insert_bytes};
use crate::progress::Progress;
use crate::{session, text};
use nokv_client::{Client, PublishExpect, PublishOptions, PublishReport, PutEvent, Skipped};
use nokv_types::{Failure, Generation, Name, NsPath, Reason};
use serde_json::Map;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  nokv publish ./step-1000 /ckpt/step-1000                   a directory, all or nothing
  nokv publish ./step-1000 /ckpt/step-1000 --latest latest   and /ckpt/latest leads to it
  nokv publish model.bin /models/v7 --if-absent              only if nothing is there
  nokv publish state.json /run/state --if-generation 4       only over generation 4
  nokv publish ./out /runs/42 --id run-42-final              repeated: nothing happens twice

An attempt that breaks off is resumed by the same command: files that are in the
object store already are not sent again, for an hour.";

/// Arguments of `nokv publish`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A local file or directory
    #[arg(value_name = "LOCAL")]
    local: PathBuf,
    /// Where in the namespace, exactly; missing parents are made, a directory is merged
    #[arg(value_name = "PATH")]
    path: PathArgument,
    /// Have the symbolic link NAME beside PATH lead to it, from the same moment on
    #[arg(long, value_name = "NAME")]
    latest: Option<OsString>,
    /// Only if nothing is at PATH
    #[arg(long, conflicts_with = "if_generation")]
    if_absent: bool,
    /// Only if PATH is a file of this generation
    #[arg(long, value_name = "GENERATION")]
    if_generation: Option<u64>,
    /// Any text that names this publish: the same again, with the same content, changes nothing
    #[arg(long, value_name = "TEXT")]
    id: Option<String>,
    /// Files uploaded at once
    #[arg(short, long, value_name = "NUMBER")]
    jobs: Option<usize>,
    /// Send everything again; an attempt that breaks off leaves nothing for the next
    #[arg(long)]
    no_resume: bool,
}

/// Publishes all, or fails with nothing visible.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let path = session::path(&arguments.path)?;
    let progress = Progress::new(output, "publish");
    let options = options(&arguments, &progress)?;
    let local = contents(&arguments.local);
    let done = client.publish_tree(&local, &path, options).await;
    progress.finish();
    tell(output, &path, &arguments, &done?)
}

fn options(arguments: &Arguments, progress: &Progress) -> Result<PublishOptions, Failure> {
    let defaults = PublishOptions::default();
    let latest = arguments.latest.as_ref();
    let latest = latest
        .map(|name| Name::new(name.as_bytes().to_vec()))
        .transpose()?;
    let expect = match (arguments.if_absent, arguments.if_generation) {
        (true, _) => PublishExpect::Absent,
        (false, Some(generation)) => PublishExpect::Generation(Generation::new(generation)),
        (false, None) => PublishExpect::Any,
    };
    let progress = progress.clone();
    let on_event = move |event: PutEvent<'_>| match event {
        PutEvent::Found { bytes, .. } => progress.found(bytes),
        PutEvent::Uploaded { bytes, .. } => progress.done(bytes),
        PutEvent::Published { .. } | PutEvent::Skipped(Skipped { .. }) => {}
    };
    Ok(PublishOptions {
        expect,
        latest,
        request: arguments.id.as_deref().map(PublishOptions::request_named),
        journal_dir: match arguments.no_resume {
            true => None,
            false => Some(journal_dir()?),
        },
        parallel: arguments.jobs.unwrap_or(defaults.parallel),
        on_event: Some(Arc::new(on_event)),
        ..defaults
    })
}

/// `LOCAL/.` is what is in LOCAL, as everywhere; so is LOCAL, here.
fn contents(local: &Path) -> PathBuf {
    local.components().collect()
}

/// Where journals are: below the user's state directory.
fn journal_dir() -> Result<PathBuf, Failure> {
    let absolute = |key| {
        std::env::var_os(key)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("nokv/publish"))
        .ok_or_else(|| {
            let flaw = "HOME is not set, so there is no place for a journal; give --no-resume";
            Failure::new(Reason::InvalidArgument, flaw)
        })
}

fn tell(
    output: &Output,
    path: &NsPath,
    arguments: &Arguments,
    report: &PublishReport,
) -> Result<(), Error> {
    if output.is_json() {
        let mut object = Map::new();
        insert_bytes(&mut object, "path", &path.to_bytes());
        let counts = [
            ("version", report.version.as_u64()),
            ("files", report.file_count),
            ("directories", report.directory_count),
            ("symlinks", report.symlink_count),
            ("bytes", report.bytes),
            ("resumed_files", report.resumed_count),
            ("resumed_bytes", report.resumed_bytes),
        ];
        for (key, count) in counts {
            object.insert(key.to_owned(), count.into());
        }
        if let Some(first) = report.published.first() {
            object.insert("node".to_owned(), first.node.as_u64().into());
            object.insert("generation".to_owned(), first.generation.get().into());
        }
        return output.json(object);
    }
    let files = text::count(report.file_count, "file", "files");
    let bytes = text::human_bytes(report.bytes);
    let mut line = format!("published {files}, {bytes}, at {path}");
    if report.resumed_count > 0 {
        let resumed = text::count(report.resumed_count, "file was", "files were");
        line.push_str(&format!("; {resumed} there already"));
    }
    if let Some(latest) = &arguments.latest {
        line.push_str(&format!("; {} leads to it", latest.to_string_lossy()));
    }
    output.line(line.into_bytes())
}
