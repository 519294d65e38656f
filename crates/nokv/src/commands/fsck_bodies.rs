//! `nokv fsck --bodies`: whether what bodies need is in the object store, and nothing else.

use crate::error::Error;
use crate::output::Output;
use crate::progress::Progress;
use crate::text::{count, human_bytes};
use nokv_client::{BodyFinding, Client, Subject};
use nokv_types::{BlockId, Failure, NsPath, Reason};
use serde_json::Map;

/// Orphans deleted by one request.
const ORPHANS_PER_REQUEST: usize = 1_000;
/// Objects whose files are named: each takes a look at all records.
const EXPLAINED_MAX: usize = 20;

/// What is done about what is found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repair {
    /// The plan is shown.
    Plan,
    /// It is carried out.
    Apply,
}

#[derive(Default)]
struct Found {
    objects: u64,
    bytes: u64,
    problems: u64,
    explained: usize,
    orphans: Vec<BlockId>,
    orphan_bytes: u64,
}

/// Looks at all objects; prints what is wrong with what would be done about it. **Errors**:
/// `MissingBlock` when something that bodies need is not there.
pub(crate) async fn run(repair: Repair, client: &Client, output: &Output) -> Result<(), Error> {
    let progress = Progress::counting(output, "checked", "objects");
    let mut found = Found::default();
    let mut after = None;
    loop {
        let page = client.check_bodies(after).await?;
        found.objects += page.objects;
        found.bytes += page.bytes;
        progress.done(page.objects);
        for finding in &page.findings {
            let line = found.note(finding, client).await?;
            let mut shown = Ok(());
            progress.suspend(|| shown = print(finding, &line, output));
            shown?;
        }
        match page.next_session {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    progress.finish();
    let mut deleted = 0;
    if repair == Repair::Apply {
        for orphans in found.orphans.chunks(ORPHANS_PER_REQUEST) {
            deleted += client.delete_orphans(orphans.to_vec()).await?;
        }
    }
    found.summarize(repair, deleted, output)
}

impl Found {
    /// Counts it; what to do about it, in words.
    async fn note(&mut self, finding: &BodyFinding, client: &Client) -> Result<String, Error> {
        let block = finding.block.map(BlockId::from);
        Ok(match finding.kind.as_str() {
            "orphan" => {
                self.orphans.extend(block);
                self.orphan_bytes += finding.bytes;
                "delete it: nobody needs it, and its upload is over".to_owned()
            }
            "unknown" => "leave it: this store never gave its upload; it may be another store's, \
                          or of a later time than the copy that this one was brought back from"
                .to_owned(),
            _ => {
                self.problems += 1;
                let files = match block {
                    Some(block) if self.explained < EXPLAINED_MAX => {
                        self.explained += 1;
                        files(client, block).await?
                    }
                    _ => "`nokv gc --explain` names the files".to_owned(),
                };
                format!("restore it, or the files that need it from copies: {files}")
            }
        })
    }

    fn summarize(&self, repair: Repair, deleted: u64, output: &Output) -> Result<(), Error> {
        let orphans = self.orphans.len() as u64;
        if output.is_json() {
            let mut object = Map::new();
            object.insert("objects".to_owned(), self.objects.into());
            object.insert("bytes".to_owned(), self.bytes.into());
            object.insert("problems".to_owned(), self.problems.into());
            object.insert("orphans".to_owned(), orphans.into());
            object.insert("deleted".to_owned(), deleted.into());
            output.json(object)?;
        } else {
            let objects = count(self.objects, "object", "objects");
            output.line(format!("checked {objects}, {}", human_bytes(self.bytes)))?;
            let bytes = human_bytes(self.orphan_bytes);
            match repair {
                Repair::Apply => {
                    let deleted = count(deleted, "orphan", "orphans");
                    output.line(format!("deleted {deleted}"))?;
                }
                Repair::Plan if orphans > 0 => {
                    let orphans = count(orphans, "orphan", "orphans");
                    output.line(format!("--delete-orphans deletes {orphans}, {bytes}"))?;
                }
                Repair::Plan => {}
            }
        }
        if self.problems == 0 {
            return Ok(());
        }
        let problems = count(self.problems, "object", "objects");
        Err(Error::Failed(Failure::new(
            Reason::MissingBlock,
            format!("{problems} missing or too short; restore them, or the files from copies"),
        )))
    }
}

async fn files(client: &Client, block: BlockId) -> Result<String, Error> {
    let explained = client.explain(Subject::Object(block)).await?;
    let names = explained.bodies.iter().map(|body| {
        let path = NsPath::parse(&body.path).ok();
        let path = path.filter(|_| !body.path.is_empty());
        let name = path.map_or_else(|| format!("node {}", body.node), |path| path.to_string());
        format!("{name} generation {}", body.generation)
    });
    Ok(names.collect::<Vec<_>>().join(", "))
}

fn print(finding: &BodyFinding, what: &str, output: &Output) -> Result<(), Error> {
    if output.is_json() {
        let mut object = Map::new();
        let block = finding.block.map(|block| BlockId::from(block).to_string());
        object.insert("problem".to_owned(), finding.kind.as_str().into());
        object.insert("object".to_owned(), block.into());
        object.insert("place".to_owned(), finding.place.as_str().into());
        object.insert("bytes".to_owned(), finding.bytes.into());
        object.insert("got_bytes".to_owned(), finding.got_bytes.into());
        object.insert("plan".to_owned(), what.into());
        return output.json(object);
    }
    output.line(format!("{}: {}: {what}", finding.kind, finding.place))
}
