//! Edits of bodies, as calls; [`crate::FileHandle`] makes them from writes.

use crate::Client;
use nokv_namespace::{EditBody, Edited, Follow, Target};
use nokv_proto::v1::{request::Method, response::Result as Answer};
use nokv_server::wire;
use nokv_types::Failure;

impl Client {
    /// Edits the body of a file in one command: see [`EditBody`].
    ///
    /// **Errors**: those of [`nokv_namespace::Namespace::edit_body`].
    pub async fn edit_body(
        &self,
        target: Target<'_>,
        follow: Follow,
        edit: &EditBody,
    ) -> Result<Edited, Failure> {
        let mut ask = wire::edit_body_to_wire(target, follow, edit);
        ask.context = Some(self.context());
        let pick = |answer| match answer {
            Answer::EditBody(answer) => Some(answer),
            _ => None,
        };
        let method = Method::EditBody(ask);
        wire::edited(self.shared.transport.call(method, pick).await?)
    }
}
