//! `nokv ln`: hard and symbolic links.

use crate::arguments::PathArgument;
use crate::describe;
use crate::error::Error;
use crate::output::Output;
use crate::session;
use bytes::Bytes;
use nokv_client::{Client, Node, Remove};
use nokv_types::{Failure, NsPath, Reason};
use std::os::unix::ffi::OsStrExt;

const EXAMPLES: &str = "\
Examples:
  nokv ln /runs/42/model.bin /models/best.bin hard link: two names, one file
  nokv ln -s 42 /runs/latest                  symbolic link, relative to /runs
  nokv ln -s /runs/42 /latest                 symbolic link, absolute
  nokv ln -sf 43 /runs/latest                 replace the link";

/// Arguments of `nokv ln`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What the link leads to; with -s any text
    #[arg(value_name = "TARGET")]
    target: PathArgument,
    /// The new name
    #[arg(value_name = "PATH")]
    path: PathArgument,
    /// Symbolic
    #[arg(short, long)]
    symbolic: bool,
    /// Replace what is at PATH, unless it is a directory
    #[arg(short, long)]
    force: bool,
}

/// Makes the link.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let path = session::path(&arguments.path)?;
    let made = match make(&arguments, client, &path).await {
        Err(failure) if arguments.force && failure.reason() == Reason::AlreadyExists => {
            client.remove(&path, Remove::File).await?;
            make(&arguments, client, &path).await
        }
        other => other,
    };
    let node = made?;
    if output.is_json() {
        let target = arguments.symbolic.then(|| arguments.target.as_bytes());
        output.json(describe::json(&path, &node, target))?;
    }
    Ok(())
}

async fn make(arguments: &Arguments, client: &Client, path: &NsPath) -> Result<Node, Failure> {
    if arguments.symbolic {
        let target = Bytes::copy_from_slice(arguments.target.as_bytes());
        return Ok(client.symlink(path, target).await?.node);
    }
    Ok(client
        .link(&session::path(&arguments.target)?, path)
        .await?
        .node)
}
