//! Watching: a stream of changes that survives restarts of either side.

use crate::Client;
use nokv_namespace::{Change, Follow};
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_server::wire;
use nokv_types::{Failure, NodeKind, NsPath, Reason, Version};
use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

/// How long one request waits: well below the deadline of a call.
const WAIT_MS: u32 = 5_000;
/// Commands of one answer: the window of changes that may be under way.
const WINDOW_COMMANDS: u32 = 1_024;

/// Where a watcher is: everything up to a version was heard, and so many changes of the command
/// after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    after: Version,
    heard: u32,
}

impl Cursor {
    /// After all that was committed up to a version.
    #[must_use]
    pub const fn after(version: Version) -> Self {
        Self {
            after: version,
            heard: 0,
        }
    }

    /// All changes up to this version were heard, whole commands.
    #[must_use]
    pub const fn through(&self) -> Version {
        self.after
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.heard {
            0 => write!(f, "{}", self.after),
            heard => write!(f, "{}.{heard}", self.after),
        }
    }
}

impl FromStr for Cursor {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let (after, heard) = text.split_once('.').unwrap_or((text, "0"));
        match (after.parse(), heard.parse()) {
            (Ok(after), Ok(heard)) if after > 0 => Ok(Self {
                after: Version::from_u64(after),
                heard,
            }),
            _ => Err(Failure::new(
                Reason::InvalidArgument,
                format!("{text:?} is no cursor; give one that a watch has printed"),
            )),
        }
    }
}

/// How far a watch listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// Everything below.
    Recursive,
    /// The node, and if it is a directory its entries.
    Node,
}

/// A watch: hears every change in its scope exactly once, in commit order.
pub struct Watch {
    client: Client,
    scope: v1::watch_request::Scope,
    cursor: Cursor,
    heard: VecDeque<Change>,
    /// Where the log was read to when `heard` is used up.
    through: Version,
}

impl Client {
    /// Watches a path, from a cursor or from now on. The answer is the ready signal: from its
    /// cursor on nothing is missed. The path is that of the cursor's moment; the watch stays with
    /// what was there, wherever it moves.
    ///
    /// **Errors**: as [`Client::lookup`]; `Compacted` when the cursor is no longer retained;
    /// `Unsupported` for a path in a branch.
    pub async fn watch(
        &self,
        path: &NsPath,
        depth: Depth,
        from: Option<Cursor>,
    ) -> Result<Watch, Failure> {
        let everything = v1::watch_request::Scope::Everything(v1::Empty {});
        let cursor = match from {
            Some(cursor) => cursor,
            None => Cursor::after(self.ask(everything, Version::ZERO, 0).await?.1),
        };
        let scope = match (path.is_root(), depth) {
            (true, Depth::Recursive) => everything,
            _ => {
                let node = self.at(cursor.after).lookup(path, Follow::Yes).await?;
                if node.branch != nokv_types::BranchId::TRUNK {
                    return Err(Failure::new(
                        Reason::Unsupported,
                        format!("{path} is in a branch; watch the directory that it hangs in"),
                    ));
                }
                let id = node.id.as_u64();
                match depth {
                    Depth::Recursive if node.attributes.kind == NodeKind::Directory => {
                        v1::watch_request::Scope::Tree(id)
                    }
                    _ => v1::watch_request::Scope::Node(id),
                }
            }
        };
        Ok(Watch {
            client: self.clone(),
            scope,
            cursor,
            heard: VecDeque::new(),
            through: cursor.after,
        })
    }

    /// Changes after a cursor, and the cursor to continue with.
    async fn ask(
        &self,
        scope: v1::watch_request::Scope,
        after: Version,
        wait_ms: u32,
    ) -> Result<(Vec<Change>, Version), Failure> {
        let ask = v1::WatchRequest {
            mount: self.view.mount.get(),
            scope: Some(scope),
            after: after.as_u64(),
            limit: WINDOW_COMMANDS,
            wait_ms,
        };
        let pick = |answer| match answer {
            Answer::Watch(answer) => Some(answer),
            _ => None,
        };
        let method = Method::Watch(ask);
        let answer = self.shared.transport.call(method, pick).await?;
        let changes = answer.changes.into_iter().map(wire::change);
        let through = Version::from_u64(answer.through);
        Ok((changes.collect::<Result<_, _>>()?, through))
    }
}

impl Watch {
    /// Where the watch is: a new watch from here hears what this one has not.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The next change; waits for it. Dropping the future loses nothing.
    ///
    /// **Errors**: `Compacted` when the watch fell behind what is retained; those of reaching the
    /// store, after which it may be called again.
    pub async fn next(&mut self) -> Result<Change, Failure> {
        loop {
            if let Some(change) = self.heard.pop_front() {
                self.advance(&change);
                return Ok(change);
            }
            if self.cursor.heard == 0 {
                self.cursor.after = self.through;
            }
            let after = self.cursor.after;
            let (changes, through) = self.client.ask(self.scope, after, WAIT_MS).await?;
            self.heard = changes.into();
            self.through = through;
            self.skip();
        }
    }

    /// Leaves out what was heard of the first command.
    fn skip(&mut self) {
        let Some(first) = self.heard.front().map(|change| change.version) else {
            self.cursor = Cursor::after(self.through);
            return;
        };
        let is_first = |next: Option<&Change>| next.is_some_and(|next| next.version == first);
        for _ in 0..self.cursor.heard {
            if is_first(self.heard.front()) {
                self.heard.pop_front();
            }
        }
        if !is_first(self.heard.front()) {
            self.cursor = Cursor::after(first);
        }
    }

    fn advance(&mut self, change: &Change) {
        let goes_on = self
            .heard
            .front()
            .is_some_and(|next| next.version == change.version);
        self.cursor = match goes_on {
            false => Cursor::after(change.version),
            true if self.cursor.heard == 0 => Cursor {
                after: change.version.previous(),
                heard: 1,
            },
            true => Cursor {
                heard: self.cursor.heard + 1,
                ..self.cursor
            },
        };
    }
}
