//! Every mutation, from the list of methods itself: a request that is sent again answers the same
//! and changes nothing, and a wrong expected generation fails and leaves no trace.

use super::{Caller, Service};
use crate::{Create, ObjectsConfig, StoreConfig};
use nokv_env::Env;
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_proto::{DESCRIPTORS, failure_from_wire};
use nokv_types::{Failure, Reason};
use prost::Message;
use std::collections::BTreeSet;

/// What a mutation acts on, as far as an expected generation goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Acts {
    /// On one node, or a name that is free.
    OnOne,
    /// On no single one.
    OnNone,
}

/// A mutation: the type of its request, and how it is made.
type Row = (
    &'static str,
    Acts,
    fn(&World, Option<v1::Context>) -> Method,
);

/// What is there before a mutation.
struct World {
    service: Service,
    client: u64,
    file: u64,
    /// The version of a command that can be undone.
    undoable: u64,
}

const ROWS: &[Row] = &[
    ("MakeDirRequest", Acts::OnOne, |_, context| {
        let (place, mode) = (place("/new"), 0o755);
        Method::MakeDir(v1::MakeDirRequest {
            context,
            place,
            mode,
            parents: 0,
        })
    }),
    ("MakeNodeRequest", Acts::OnOne, |world, context| {
        let (place, kind, client) = (place("/new"), v1::NodeKind::File.into(), world.client);
        let (device, mode) = (0, 0o644);
        Method::MakeNode(v1::MakeNodeRequest {
            context,
            place,
            kind,
            device,
            mode,
            client,
        })
    }),
    ("MakeUnnamedRequest", Acts::OnOne, |world, context| {
        let (directory, mode, client) = (target("/d"), 0o644, world.client);
        Method::MakeUnnamed(v1::MakeUnnamedRequest {
            context,
            directory,
            mode,
            client,
        })
    }),
    ("SymlinkRequest", Acts::OnOne, |_, context| {
        let (place, target) = (place("/new"), "there".into());
        Method::Symlink(v1::SymlinkRequest {
            context,
            place,
            target,
        })
    }),
    ("LinkRequest", Acts::OnOne, |_, context| {
        let (existing, place) = (target("/d/f"), place("/new"));
        Method::Link(v1::LinkRequest {
            context,
            existing,
            place,
        })
    }),
    ("RenameRequest", Acts::OnOne, |_, context| {
        let (from, to, mode) = (place("/d/f"), place("/g"), v1::RenameMode::Plain.into());
        Method::Rename(v1::RenameRequest {
            context,
            from,
            to,
            mode,
        })
    }),
    ("RemoveRequest", Acts::OnOne, |_, context| {
        let (place, mode) = (place("/d"), v1::RemoveMode::Tree.into());
        Method::Remove(v1::RemoveRequest {
            context,
            place,
            mode,
        })
    }),
    ("SetAttributesRequest", Acts::OnOne, |_, context| {
        let (target, size) = (target("/d/f"), Some(1));
        let ask = v1::SetAttributesRequest {
            context,
            target,
            size,
            ..Default::default()
        };
        Method::SetAttributes(ask)
    }),
    ("SetXattrRequest", Acts::OnOne, |_, context| {
        let (target, name, value) = (target("/d/f"), "user.a".into(), "b".into());
        Method::SetXattr(v1::SetXattrRequest {
            context,
            target,
            name,
            change: 0,
            value,
        })
    }),
    ("ReplaceBodyRequest", Acts::OnOne, |world, context| {
        let (target, body) = (node(world.file), Some(body("other")));
        let ask = v1::ReplaceBodyRequest {
            context,
            target,
            body,
            ..Default::default()
        };
        Method::ReplaceBody(ask)
    }),
    ("EditBodyRequest", Acts::OnOne, |_, context| {
        let edit = Some(v1::edit::Edit::Resize(2));
        let (target, edits) = (target("/d/f"), vec![v1::Edit { edit }]);
        Method::EditBody(v1::EditBodyRequest {
            context,
            target,
            edits,
            ..Default::default()
        })
    }),
    ("PublishRequest", Acts::OnNone, |_, context| {
        let items = vec![item("/d/f", "published"), item("/new", "published")];
        Method::Publish(v1::PublishRequest {
            context,
            items,
            session: 0,
            parents: 0,
        })
    }),
    ("CreateSnapshotRequest", Acts::OnNone, |_, context| {
        let (directory, name) = (target("/d"), "new".to_owned());
        let ask = v1::CreateSnapshotRequest {
            context,
            directory,
            name,
            ..Default::default()
        };
        Method::CreateSnapshot(ask)
    }),
    ("RenewSnapshotRequest", Acts::OnNone, |_, context| {
        let (name, lease_ms) = ("taken".to_owned(), 99_999);
        Method::RenewSnapshot(v1::RenewSnapshotRequest {
            context,
            name,
            lease_ms,
        })
    }),
    ("RemoveSnapshotRequest", Acts::OnNone, |_, context| {
        let name = "taken".to_owned();
        Method::RemoveSnapshot(v1::RemoveSnapshotRequest { context, name })
    }),
    ("CreateBranchRequest", Acts::OnNone, |_, context| {
        let (source, place) = (target("/d"), place("/new"));
        Method::CreateBranch(v1::CreateBranchRequest {
            context,
            source,
            place,
            moment: None,
        })
    }),
    ("RemoveBranchRequest", Acts::OnNone, |_, context| {
        Method::RemoveBranch(v1::RemoveBranchRequest {
            context,
            place: place("/branch"),
        })
    }),
    ("MergeRequest", Acts::OnNone, |_, context| {
        let (source, target) = (target("/branch"), target("/d"));
        Method::Merge(v1::MergeRequest {
            context,
            source,
            target,
            ..Default::default()
        })
    }),
    ("RestoreRequest", Acts::OnNone, |world, context| {
        let moment = Some(v1::Moment {
            at: world.undoable,
            snapshot: String::new(),
        });
        Method::Restore(v1::RestoreRequest {
            context,
            place: place("/d"),
            moment,
        })
    }),
    ("UndoRequest", Acts::OnNone, |world, context| {
        Method::Undo(v1::UndoRequest {
            context,
            version: world.undoable,
        })
    }),
    ("SetQuotaRequest", Acts::OnNone, |_, context| {
        let limits = Some(v1::QuotaAmounts {
            bytes: Some(1 << 20),
            inodes: None,
        });
        Method::SetQuota(v1::SetQuotaRequest {
            context,
            directory: target("/"),
            limits,
        })
    }),
    ("RemoveQuotaRequest", Acts::OnNone, |_, context| {
        Method::RemoveQuota(v1::RemoveQuotaRequest {
            context,
            directory: target("/limited"),
        })
    }),
    ("CreateMountRequest", Acts::OnNone, |_, context| {
        Method::CreateMount(v1::CreateMountRequest {
            context,
            name: "new".to_owned(),
        })
    }),
    ("RetireMountRequest", Acts::OnNone, |_, context| {
        Method::RetireMount(v1::RetireMountRequest {
            context,
            name: "team".to_owned(),
        })
    }),
];

fn target(path: &'static str) -> Option<v1::Target> {
    let target = Some(v1::target::Target::Path(path.into()));
    Some(v1::Target { target })
}

fn node(node: u64) -> Option<v1::Target> {
    let target = Some(v1::target::Target::Node(node));
    Some(v1::Target { target })
}

fn place(path: &'static str) -> Option<v1::Place> {
    let place = Some(v1::place::Place::Path(path.into()));
    Some(v1::Place { place })
}

fn body(text: &'static str) -> v1::Body {
    v1::Body {
        size: text.len() as u64,
        inline: text.into(),
        ..v1::Body::default()
    }
}

fn item(path: &'static str, text: &'static str) -> v1::PublishItem {
    v1::PublishItem {
        path: path.into(),
        content: Some(v1::publish_item::Content::File(body(text))),
        mode: 0o644,
        ..v1::PublishItem::default()
    }
}

async fn call(service: &Service, method: Method) -> Result<Answer, Failure> {
    let request = v1::Request {
        deadline_ms: 0,
        method: Some(method),
    };
    let response = service.call(request, &Caller::Embedded).await;
    match response.result.expect("an answer") {
        Answer::Failure(failure) => Err(failure_from_wire(&failure)),
        answer => Ok(answer),
    }
}

/// The version of the newest command.
async fn version(service: &Service) -> u64 {
    match call(service, Method::ReadVersion(v1::ReadVersionRequest {})).await {
        Ok(Answer::ReadVersion(read)) => read.version,
        other => panic!("no version: {other:?}"),
    }
}

/// What is there beside files.
fn preparations() -> [Method; 6] {
    let name = "team".to_owned();
    let limits = Some(v1::QuotaAmounts {
        bytes: None,
        inodes: Some(9),
    });
    let directory = target("/limited");
    [
        Method::CreateSnapshot(v1::CreateSnapshotRequest {
            directory: target("/d"),
            name: "taken".to_owned(),
            lease_ms: 50_000,
            ..Default::default()
        }),
        Method::CreateBranch(v1::CreateBranchRequest {
            source: target("/d"),
            place: place("/branch"),
            ..Default::default()
        }),
        Method::CreateMount(v1::CreateMountRequest {
            context: None,
            name,
        }),
        Method::SetQuota(v1::SetQuotaRequest {
            context: None,
            directory,
            limits,
        }),
        Method::MakeDir(v1::MakeDirRequest {
            place: place("/branch/in-branch"),
            mode: 0o755,
            ..Default::default()
        }),
        Method::MakeDir(v1::MakeDirRequest {
            place: place("/d/last"),
            mode: 0o755,
            ..Default::default()
        }),
    ]
}

async fn world(env: &Env) -> World {
    let config = StoreConfig {
        create: Create::IfMissing,
        objects: ObjectsConfig {
            url: Some("memory:".to_owned()),
            ..ObjectsConfig::default()
        },
        maintenance_ms: None,
        ..StoreConfig::new("/store".into())
    };
    let service = Service::open(env.clone(), config).await.expect("opens");
    let mut world = World {
        service,
        client: 0,
        file: 0,
        undoable: 0,
    };
    let items = ["/d/f", "/g", "/limited/f"]
        .map(|path| item(path, "first"))
        .to_vec();
    let parents = v1::Parents::Create.into();
    let publish = v1::PublishRequest {
        context: None,
        items,
        session: 0,
        parents,
    };
    match call(&world.service, Method::Publish(publish)).await {
        Ok(Answer::Publish(made)) => world.file = made.published.first().expect("first").node,
        other => panic!("no file: {other:?}"),
    }
    let client = v1::OpenClientRequest {
        ttl_ms: 60_000,
        label: String::new(),
    };
    match call(&world.service, Method::OpenClient(client)).await {
        Ok(Answer::Client(opened)) => world.client = opened.session.expect("one").client,
        other => panic!("no session: {other:?}"),
    }
    for method in preparations() {
        call(&world.service, method).await.expect("is set up");
    }
    world.undoable = version(&world.service).await;
    world
}

fn context(request: u8, expect_generation: Option<u64>) -> Option<v1::Context> {
    Some(v1::Context {
        request_id: vec![request; 16].into(),
        expect_generation,
        ..v1::Context::default()
    })
}

#[test]
fn the_table_has_every_method_that_changes_something() {
    let set = prost_types::FileDescriptorSet::decode(DESCRIPTORS).expect("our own");
    let messages = || set.file.iter().flat_map(|file| &file.message_type);
    let requests = messages().find(|message| message.name() == "Request");
    let fields = &requests.expect("the envelope").field;
    let asked: BTreeSet<_> = fields
        .iter()
        .map(prost_types::FieldDescriptorProto::type_name)
        .collect();
    let with_context = messages().filter(|message| {
        let is_asked = asked.contains(format!(".nokv.v1.{}", message.name()).as_str());
        is_asked && message.field.iter().any(|field| field.name() == "context")
    });
    let with_context: BTreeSet<_> = with_context
        .map(|message| message.name().to_owned())
        .collect();
    // What a load puts in is made by a dump, what a repair does by a check, and a placement set
    // twice is set: see their own tests.
    let elsewhere = [
        "LoadRequest",
        "FinishLoadRequest",
        "RepairRequest",
        "SetPlacementRequest",
    ]
    .map(str::to_owned);
    let with_context: BTreeSet<_> = with_context
        .difference(&BTreeSet::from(elsewhere))
        .cloned()
        .collect();
    let rows: BTreeSet<_> = ROWS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(with_context, rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_expected_generation_fails_and_leaves_no_trace() {
    for (name, acts, method) in ROWS {
        let world = world(&Env::memory(1)).await;
        let before = version(&world.service).await;
        let refused = call(&world.service, method(&world, context(1, Some(77)))).await;
        let expected = match acts {
            Acts::OnOne => Reason::StaleGeneration,
            Acts::OnNone => Reason::InvalidArgument,
        };
        let refused = refused.expect_err(name);
        assert_eq!(refused.reason(), expected, "{name}: {refused}");
        assert_eq!(version(&world.service).await, before, "{name}");
        world.service.close().await.expect("closes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_answers_the_same_and_changes_nothing() {
    for (index, (name, _, method)) in ROWS.iter().enumerate() {
        let env = Env::memory(1);
        let world = world(&env).await;
        let first = call(&world.service, method(&world, context(1, None))).await;
        let first = first.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        let after = version(&world.service).await;
        let again = call(&world.service, method(&world, context(1, None))).await;
        assert_eq!(again.as_ref(), Ok(&first), "{name}");
        assert_eq!(version(&world.service).await, after, "{name}");
        // The id is of this request.
        let (other, _, method_of_other) = &ROWS[(index + 1) % ROWS.len()];
        let reused = call(&world.service, method_of_other(&world, context(1, None))).await;
        let reused = reused.expect_err(other);
        assert_eq!(
            reused.reason(),
            Reason::RequestReused,
            "{name}, {other}: {reused}"
        );
        assert_eq!(version(&world.service).await, after, "{name}");
        world.service.close().await.expect("closes");
    }
}
