//! The explaining part of `nokv gc`: why bodies stay or go.

use crate::arguments::PathArgument;
use crate::error::Error;
use crate::output::Output;
use crate::session;
use crate::text::{self, count, human_bytes};
use nokv_client::{Client, ExplainResponse, ExplainedBody, OutlookResponse, Subject};
use nokv_types::{BlockId, NsPath, SessionId};
use serde_json::{Map, Value, json};

/// Explains a file or an object.
pub(crate) async fn run(
    about: &PathArgument,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let explained = match object(&about.to_string_lossy()) {
        Some(block) => client.explain(Subject::Object(block)).await?,
        None => {
            let path = session::path(about)?;
            client.explain(Subject::File(&path)).await?
        }
    };
    if output.is_json() {
        return output.json(to_json(&explained));
    }
    if !explained.place.is_empty() {
        print_object(&explained, output)?;
    }
    if explained.place.is_empty() && explained.bodies.is_empty() {
        output.line("it has nothing in the object store: its bytes are in its record")?;
    }
    for body in &explained.bodies {
        output.line(line(body))?;
    }
    if explained.more {
        output.line("and more")?;
    }
    Ok(())
}

/// An object as messages name it: session, slash, number.
fn object(text: &str) -> Option<BlockId> {
    let (session, sequence) = text.split_once('/')?;
    if session.len() != 16 || sequence.len() != 8 {
        return None;
    }
    Some(BlockId {
        session: SessionId::new(u64::from_str_radix(session, 16).ok()?),
        sequence: u32::from_str_radix(sequence, 16).ok()?,
    })
}

fn print_object(explained: &ExplainResponse, output: &Output) -> Result<(), Error> {
    let used = human_bytes(explained.used_bytes);
    let whole = human_bytes(explained.object_bytes);
    output.line(format!("{}: {used} of {whole} needed", explained.place))?;
    let when = text::minute(text::time(explained.session_ms));
    let session = match explained.session.as_str() {
        "open" => format!("stays: its upload is open until {when}, unless it is renewed"),
        "closed" => format!("its upload is over; what nobody needs is swept from {when} on"),
        "finished" if explained.doomed => "goes: it is to be deleted".to_owned(),
        "finished" if explained.bodies.is_empty() => {
            "goes: nobody needs it, and its upload is over".to_owned()
        }
        "finished" => "its upload is over".to_owned(),
        _ => "stays: this store never gave its upload; it may be another store's".to_owned(),
    };
    output.line(session)
}

fn line(body: &ExplainedBody) -> String {
    let name = match NsPath::parse(&body.path) {
        Ok(path) if !body.path.is_empty() => path.to_string(),
        _ if body.branch != 0 => format!("node {} in branch {}", body.node, body.branch),
        _ => format!("node {}", body.node),
    };
    let keepers: Vec<_> = body
        .keepers
        .iter()
        .map(|keeper| {
            let until = match keeper.until_ms {
                0 => String::new(),
                until_ms => format!(" until {}", text::minute(text::time(until_ms))),
            };
            match keeper.kind.as_str() {
                "newest" => "it is the newest".to_owned(),
                "retention" => format!("retention{until}"),
                "snapshot" => format!("snapshot {}{until}", keeper.name),
                "branch" => format!("branch {}", keeper.name),
                "reads" => format!("readers{until}"),
                _ => "nothing".to_owned(),
            }
        })
        .collect();
    let goes = body.keepers.iter().all(|keeper| keeper.kind == "nothing");
    let verb = if goes { "goes" } else { "stays" };
    let objects = count(body.blocks.len() as u64, "object", "objects");
    let keepers = keepers.join(", ");
    format!(
        "{verb}: {name} generation {} ({objects}): {keepers}",
        body.generation
    )
}

fn to_json(explained: &ExplainResponse) -> Map<String, Value> {
    let keepers = |body: &ExplainedBody| -> Vec<Value> {
        let keepers = body.keepers.iter();
        keepers
            .map(|one| json!({"kind": one.kind, "name": one.name, "until_ms": one.until_ms}))
            .collect()
    };
    let objects = |body: &ExplainedBody| -> Vec<String> {
        let blocks = body.blocks.iter();
        blocks
            .map(|block| BlockId::from(*block).to_string())
            .collect()
    };
    let bodies: Vec<_> = explained
        .bodies
        .iter()
        .map(|body| {
            json!({
                "node": body.node,
                "branch": body.branch,
                "generation": body.generation,
                "path": String::from_utf8_lossy(&body.path),
                "keepers": keepers(body),
                "objects": objects(body),
            })
        })
        .collect();
    let mut object = Map::new();
    object.insert("version".to_owned(), explained.version.into());
    object.insert("place".to_owned(), explained.place.as_str().into());
    object.insert("used_bytes".to_owned(), explained.used_bytes.into());
    object.insert("object_bytes".to_owned(), explained.object_bytes.into());
    object.insert("session".to_owned(), explained.session.as_str().into());
    object.insert("session_ms".to_owned(), explained.session_ms.into());
    object.insert("doomed".to_owned(), explained.doomed.into());
    object.insert("bodies".to_owned(), bodies.into());
    object.insert("more".to_owned(), explained.more.into());
    object
}

/// Prints what a collection would take.
pub(crate) fn print_outlook(outlook: &OutlookResponse, output: &Output) -> Result<(), Error> {
    let rows = [
        ("due", outlook.due_bodies, outlook.due_bytes),
        ("retained", outlook.retained_bodies, outlook.retained_bytes),
        ("pinned", outlook.pinned_bodies, outlook.pinned_bytes),
        ("leased", outlook.leased_bodies, outlook.leased_bytes),
    ];
    if output.is_json() {
        let mut object = Map::new();
        for (name, bodies, bytes) in rows {
            object.insert(name.to_owned(), json!({"bodies": bodies, "bytes": bytes}));
        }
        object.insert("doomed_objects".to_owned(), outlook.doomed_objects.into());
        object.insert("due_sessions".to_owned(), outlook.due_sessions.into());
        return output.json(object);
    }
    let words = [
        "would go",
        "kept: retained versions see them",
        "kept: snapshots or branches see them",
        "kept: somebody may be reading them",
    ];
    for ((_, bodies, bytes), words) in rows.into_iter().zip(words) {
        let bodies = count(bodies, "body of the past", "bodies of the past");
        output.line(format!("{bodies} ({}) {words}", human_bytes(bytes)))?;
    }
    let objects = count(outlook.doomed_objects, "object", "objects");
    let uploads = count(outlook.due_sessions, "upload", "uploads");
    output.line(format!("{objects} to be deleted, {uploads} to be swept"))
}

#[cfg(test)]
mod tests {
    use super::object;

    #[test]
    fn an_object_is_told_from_a_path() {
        let block = object("910a2d0000000004/0000000a").expect("an object");
        assert_eq!(block.to_string(), "910a2d0000000004/0000000a");
        for text in [
            "/a/b",
            "910a2d0000000004",
            "910a2d000000000g/0000000a",
            "a/b",
        ] {
            assert_eq!(object(text), None, "{text}");
        }
    }
}
