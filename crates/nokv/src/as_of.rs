//! `--at`: reading the past, the same in every command that reads.

use nokv_client::Client;
use nokv_env::Env;
use nokv_types::{AsOf, Failure};

/// The moment that a command reads.
#[derive(clap::Args)]
pub(crate) struct AtArgument {
    /// As of when: a snapshot's name, a version, or a time such as 2026-11-21T09:30:00Z,
    /// '10m ago', -10m
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    at: Option<String>,
}

impl AtArgument {
    /// The moment; `None` for now. **Errors**: `InvalidArgument`.
    pub(crate) fn moment(&self) -> Result<Option<AsOf>, Failure> {
        self.at.as_deref().map(moment).transpose()
    }

    /// The client that reads it. **Errors**: `InvalidArgument`.
    pub(crate) fn client(&self, client: &Client) -> Result<Client, Failure> {
        Ok(match self.moment()? {
            Some(moment) => client.as_of(moment),
            None => client.clone(),
        })
    }
}

/// The moment that a text of the command line means. **Errors**: `InvalidArgument`.
pub(crate) fn moment(text: &str) -> Result<AsOf, Failure> {
    AsOf::parse(text, Env::real().clock.now_millis())
}
