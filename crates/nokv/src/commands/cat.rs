//! `nokv cat`: files to standard output, verified.

use crate::arguments::PathArgument;
use crate::as_of::AtArgument;
use crate::error::Error;
use crate::output::Output;
use crate::session;
use nokv_client::Client;

const EXAMPLES: &str = "\
Examples:
  nokv cat /runs/42/metrics.json
  nokv cat /logs/1.txt /logs/2.txt | grep ERROR
  nokv cat /runs/42/model.bin | sha256sum";

/// Arguments of `nokv cat`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Files in the namespace
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathArgument>,
    #[command(flatten)]
    at: AtArgument,
}

/// Writes the files one after the other. Bytes are verified before they are written.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let client = &arguments.at.client(client)?;
    for argument in &arguments.paths {
        let path = session::path(argument)?;
        let (_, mut stream) = client.read(&path, 0..u64::MAX).await?;
        while let Some(bytes) = stream
            .next()
            .await
            .map_err(|failure| failure.context(&path))?
        {
            output.raw(bytes)?;
        }
    }
    Ok(())
}
