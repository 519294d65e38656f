//! Writing a dump.
//!
//! Invariants: all of it is as of one version, which is pinned; the next part is read while one is
//! written, and there are never more than these two in memory.

use super::bodies::BodyWriter;
use super::pin::Pin;
use crate::Client;
use nokv_dump::{Bodies, DumpWriter, Form, Head};
use nokv_namespace::{DumpPage, Target};
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_server::wire;
use nokv_types::{Failure, Name, NsPath, Reason, Version};
use std::io::Write;
use std::sync::Arc;
use tokio::task::block_in_place;

/// Hears how far a dump is.
pub type OnDump = Arc<dyn Fn(DumpEvent) + Send + Sync>;

/// What a dump has done more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DumpEvent {
    /// Nodes were written.
    Nodes(u64),
    /// Bytes of bodies were written.
    Data(u64),
}

/// How a dump is made.
#[derive(Clone)]
pub struct DumpOptions {
    /// In which form.
    pub form: Form,
    /// Whether the bytes of bodies come along.
    pub bodies: Bodies,
    /// Hears how far it is.
    pub on_event: Option<OnDump>,
}

/// What a dump holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DumpReport {
    /// The version that it shows.
    pub version: Version,
    /// Its nodes, one for each name.
    pub node_count: u64,
    /// Bytes of bodies that came along, those in nodes not counted.
    pub data_bytes: u64,
}

impl Client {
    /// Writes what is at a path, as the client reads it, to `out`, which should be buffered.
    /// Returns `out` with everything written to it, not flushed.
    ///
    /// **Guarantees**: as of one version, whatever is written meanwhile. **Errors**: as
    /// [`Client::lookup`], [`Client::read`]; `Io`, `NoSpace` for `out`. After one, what was
    /// written is no dump.
    pub async fn dump<W: Write + Send>(
        &self,
        path: &NsPath,
        out: W,
        options: DumpOptions,
    ) -> Result<(W, DumpReport), Failure> {
        let (pinned, pin) = Pin::hold(self).await?;
        let dumped = pinned.dump_pinned(path, out, options).await;
        if let Some(pin) = pin {
            pin.release().await;
        }
        dumped
    }

    async fn dump_pinned<W: Write + Send>(
        &self,
        path: &NsPath,
        out: W,
        options: DumpOptions,
    ) -> Result<(W, DumpReport), Failure> {
        let mut page = self.dump_page(path, None).await?;
        let head = self.head(path, page.version, options.bodies).await?;
        let mut report = DumpReport {
            version: page.version,
            node_count: 0,
            data_bytes: 0,
        };
        let writer = block_in_place(|| DumpWriter::new(options.form, out, &head));
        let mut writer = writer.map_err(|error| written(&error))?;
        let mut bodies = match options.bodies {
            Bodies::Embedded => Some(BodyWriter::new(self).await?),
            Bodies::Referenced => None,
        };
        let tell = |event| {
            if let Some(on_event) = &options.on_event {
                on_event(event);
            }
        };
        loop {
            let next = page.next.take().map(|after| {
                let (client, path) = (self.clone(), path.clone());
                tokio::spawn(async move { client.dump_page(&path, Some(after)).await })
            });
            report.node_count += page.count;
            match &mut bodies {
                Some(bodies) => {
                    report.data_bytes += bodies.write(&mut writer, &page, &tell).await?;
                }
                None => block_in_place(|| writer.encoded_nodes(&page.nodes, page.count))
                    .map_err(|error| written(&error))?,
            }
            tell(DumpEvent::Nodes(page.count));
            match next {
                None => break,
                Some(next) => {
                    page = next
                        .await
                        .map_err(|error| Failure::new(Reason::Io, error.to_string()))??;
                }
            }
        }
        let out = block_in_place(|| writer.finish()).map_err(|error| written(&error))?;
        Ok((out, report))
    }

    async fn head(&self, path: &NsPath, version: Version, bodies: Bodies) -> Result<Head, Failure> {
        let mounts = self.mounts().await?;
        let mount = mounts
            .iter()
            .find(|mount| mount.id == self.view.mount || self.view.mount.get() == 0);
        Ok(Head {
            store_id: self.store_id().await?,
            mount: mount.map_or_else(String::new, |mount| mount.name.clone()),
            path: path.to_bytes().into(),
            version,
            made_millis: self.shared.env.clock.now_millis(),
            bodies,
        })
    }

    /// The id of the store.
    pub(super) async fn store_id(&self) -> Result<[u8; 16], Failure> {
        let status = self.status().await?;
        let id = u128::from_str_radix(&status.store_id, 16).map(u128::to_be_bytes);
        id.map_err(|_| Failure::new(Reason::Unsupported, "the server has no store id"))
    }

    /// The nodes of a subtree after one: see [`nokv_namespace::Namespace::dump`].
    pub async fn dump_page(
        &self,
        top: &NsPath,
        after: Option<Vec<Name>>,
    ) -> Result<DumpPage, Failure> {
        let ask = v1::DumpRequest {
            view: Some(self.view_to_wire()),
            top: Some(wire::target_to_wire(Target::Path(top))),
            goes_on: after.is_some(),
            after: after.iter().flatten().map(Name::to_bytes).collect(),
            bytes: 0,
        };
        let pick = |answer| match answer {
            Answer::Dump(answer) => Some(answer),
            _ => None,
        };
        let transport = &self.shared.transport;
        wire::dump_page(transport.call(Method::Dump(ask), pick).await?)
    }
}

/// The failure of writing the dump.
pub(super) fn written(error: &std::io::Error) -> Failure {
    let reason = match error.kind() {
        std::io::ErrorKind::StorageFull => Reason::NoSpace,
        _ => Reason::Io,
    };
    Failure::new(reason, format!("can't write the dump: {error}"))
}
