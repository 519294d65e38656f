//! A directory page by page, all pages as of one version: a listing starts at once, however many
//! entries follow.

use nokv_client::{Client, DirEntry};
use nokv_types::{Failure, Name, NsPath, Version};

/// Entries asked for at a time: a page of them weighs about half a megabyte.
const PAGE_ENTRIES: usize = 4096;

/// The pages of a directory.
pub(crate) struct Pages<'a> {
    client: &'a Client,
    path: &'a NsPath,
    state: State,
}

enum State {
    Start,
    After(Version, Name),
    End,
}

impl<'a> Pages<'a> {
    /// The pages of the directory at `path`.
    pub(crate) fn new(client: &'a Client, path: &'a NsPath) -> Self {
        Self {
            client,
            path,
            state: State::Start,
        }
    }

    /// The entries of the next page; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<DirEntry>>, Failure> {
        let (at, after) = match &self.state {
            State::Start => (None, None),
            State::After(version, name) => (Some(*version), Some(name)),
            State::End => return Ok(None),
        };
        let client = at.map_or_else(|| self.client.clone(), |version| self.client.at(version));
        let page = client.read_dir(self.path, after, PAGE_ENTRIES).await?;
        self.state = match page.next {
            Some(name) => State::After(page.version, name),
            None => State::End,
        };
        Ok(Some(page.entries))
    }
}
