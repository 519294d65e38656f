//! Opening, closing, and making files that are open.

use super::LiveSession;
use super::session::Live;
use nokv_namespace::{Changed, Follow, Node, Place, Target};
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_proto::{kind_to_wire, present};
use nokv_server::wire;
use nokv_types::{BranchId, Failure, NodeId, NodeKind, Reason};
use std::sync::Arc;

impl LiveSession {
    /// Opens a node: it stays until [`Self::close_node`] was called as often, also when its last
    /// name goes. One round trip for a node that is given by its id. Costs no commit.
    ///
    /// **Errors**: as [`crate::Client::lookup`]; `SessionExpired`.
    pub async fn open_node<'a>(
        &self,
        target: impl Into<Target<'a>>,
        follow: Follow,
    ) -> Result<Node, Failure> {
        let node = match target.into() {
            Target::Node(node) => node,
            target => self.live.client.lookup(target, follow).await?.id,
        };
        let live = Arc::clone(&self.live);
        // A task, so that a caller who goes away leaves nothing open that is not counted here.
        finished(tokio::spawn(async move { live.open(node).await }).await)
    }

    /// Closes a node once. A file without a name goes when nobody has it open any more.
    pub async fn close_node(&self, branch: BranchId, node: NodeId) -> Result<(), Failure> {
        let live = Arc::clone(&self.live);
        finished(tokio::spawn(async move { live.close(branch, node).await }).await)
    }

    /// Makes an empty file that is open from the first moment on. The name must be free.
    ///
    /// **Errors**: as [`crate::Client::make_node`]; `SessionExpired`.
    pub async fn create<'a>(
        &self,
        place: impl Into<Place<'a>>,
        mode: u32,
    ) -> Result<Changed, Failure> {
        let (kind, device) = kind_to_wire(NodeKind::File);
        let ask = v1::MakeNodeRequest {
            context: Some(self.live.client.context()),
            place: Some(wire::place_to_wire(place.into())),
            kind: kind.into(),
            device,
            mode,
            client: self.live.id.get(),
        };
        self.make(Method::MakeNode(ask)).await
    }

    /// Makes an empty file without a name, open, as `O_TMPFILE`: [`crate::Client::link`] can name
    /// it; else it goes when it is closed.
    ///
    /// **Errors**: as [`crate::Client::make_node`]; `SessionExpired`.
    pub async fn make_unnamed<'a>(
        &self,
        directory: impl Into<Target<'a>>,
        mode: u32,
    ) -> Result<Changed, Failure> {
        let ask = v1::MakeUnnamedRequest {
            context: Some(self.live.client.context()),
            directory: Some(wire::target_to_wire(directory.into())),
            mode,
            client: self.live.id.get(),
        };
        self.make(Method::MakeUnnamed(ask)).await
    }

    async fn make(&self, method: Method) -> Result<Changed, Failure> {
        let live = Arc::clone(&self.live);
        finished(tokio::spawn(async move { live.make(method).await }).await)
    }
}

impl Live {
    async fn open(&self, node: NodeId) -> Result<Node, Failure> {
        let _in_order = self.in_order(node).await;
        let view = self.client.at_newest_to_wire();
        let branch = self.client.view.branch;
        let method = |asker| {
            Method::OpenNode(v1::OpenNodeRequest {
                view: Some(view.clone()),
                target: Some(wire::target_to_wire(Target::Node(node))),
                follow: v1::Follow::Never.into(),
                asker: Some(asker),
            })
        };
        let pick = |answer| match answer {
            Answer::Lookup(answer) => Some(answer),
            _ => None,
        };
        let keep = |state: &mut super::state::State, _: &_| state.add_open((branch, node));
        let opened = self.call(method, pick, keep).await?;
        wire::node("node", present("node", opened.node)?)
    }

    async fn close(&self, branch: BranchId, node: NodeId) -> Result<(), Failure> {
        let _in_order = self.in_order(node).await;
        if !self.state.lock().remove_open((branch, node)) {
            return Ok(());
        }
        let method = |asker| {
            Method::CloseNode(v1::CloseNodeRequest {
                asker: Some(asker),
                node: Some(wire::open_node_to_wire(branch, node)),
            })
        };
        let pick = |answer| match answer {
            Answer::CloseNode(answer) => Some(answer),
            _ => None,
        };
        self.call(method, pick, |_, _| {}).await.map(drop)
    }

    async fn make(&self, method: Method) -> Result<Changed, Failure> {
        loop {
            let epoch = self.state.lock().epoch;
            match self.client.change(method.clone()).await {
                Ok(made) => {
                    let key = (made.node.branch, made.node.id);
                    {
                        let mut state = self.state.lock();
                        if state.epoch == epoch {
                            state.add_open(key);
                            return Ok(made);
                        }
                    }
                    // The server that made it open is gone.
                    self.open(made.node.id).await?;
                    return Ok(made);
                }
                Err(failure) if failure.reason() == Reason::Unannounced => self.announce().await?,
                Err(failure) => return Err(failure),
            }
        }
    }
}

/// What a task came to.
pub(super) fn finished<T>(
    done: Result<Result<T, Failure>, tokio::task::JoinError>,
) -> Result<T, Failure> {
    match done {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Failure::new(
            Reason::Unavailable,
            "the runtime is shutting down",
        )),
    }
}
