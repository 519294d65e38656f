//! `nokv merge`: what was changed in a branch, into what it was made from.

use crate::arguments::PathArgument;
use crate::error::Error;
use crate::output::{Output, Style, insert_bytes};
use crate::session;
use crate::text::count;
use nokv_client::{
    Client, Conflict, ConflictKind, MergeAnswer, MergeOutcome, MergeRun, OnConflict,
};
use nokv_types::{Failure, NsPath, Reason};
use serde_json::{Map, Value};

const EXAMPLES: &str = "\
Examples:
  nokv merge /try /data                       the changes of the branch /try into /data
  nokv merge /try /data --dry-run             only says what would be
  nokv merge /try /data --on-conflict ours    what both changed stays as it is in /data
  nokv merge /try /data --on-conflict theirs  what both changed becomes as it is in /try

All or nothing, in one step. Afterwards the branch shows what the directory shows, and goes on.
Exit code 1 when there are conflicts that --on-conflict does not settle; nothing is merged then.";

/// Arguments of `nokv merge`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The branch
    #[arg(value_name = "SRC")]
    source: PathArgument,
    /// The directory that it was made from
    #[arg(value_name = "DST")]
    target: PathArgument,
    /// Change nothing, say what would be
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// What becomes of what both changed: fail, ours (DST's), theirs (SRC's)
    #[arg(
        long,
        value_name = "CHOICE",
        default_value = "fail",
        hide_possible_values = true
    )]
    on_conflict: Choice,
}

/// What becomes of what both changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Choice {
    /// Nothing is merged.
    Fail,
    /// DST keeps its own.
    Ours,
    /// DST gets that of SRC.
    Theirs,
}

/// Merges, or tries; prints the conflicts and what came of it.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    let source = session::path(&arguments.source)?;
    let target = session::path(&arguments.target)?;
    let on_conflict = match arguments.on_conflict {
        Choice::Fail => OnConflict::Fail,
        Choice::Ours => OnConflict::Ours,
        Choice::Theirs => OnConflict::Theirs,
    };
    let run = match arguments.dry_run {
        true => MergeRun::DryRun,
        false => MergeRun::Merge,
    };
    let answer = client.merge(&source, &target, on_conflict, run).await?;
    print(&answer, output)?;
    match answer.merged.outcome {
        MergeOutcome::Conflicts => Err(Error::Failed(unsettled(&answer, on_conflict, &source))),
        MergeOutcome::Tried | MergeOutcome::Merged => Ok(()),
    }
}

fn unsettled(answer: &MergeAnswer, on_conflict: OnConflict, source: &NsPath) -> Failure {
    let advice = match on_conflict {
        OnConflict::Fail => "choose a side with --on-conflict ours or theirs, or".to_owned(),
        OnConflict::Ours | OnConflict::Theirs => "no choice of a side settles these:".to_owned(),
    };
    let conflicts = count(answer.conflict_count, "conflict", "conflicts");
    Failure::new(
        Reason::Conflict,
        format!(
            "{conflicts}, nothing was merged; {advice} change them in {source} and merge again"
        ),
    )
}

fn print(answer: &MergeAnswer, output: &Output) -> Result<(), Error> {
    if output.is_json() {
        return output.json(to_json(answer));
    }
    let merged = &answer.merged;
    for conflict in &merged.conflicts {
        let path = output.path(&conflict.path);
        // The path is from the directory of the merge.
        let path = path.get(1..).filter(|path| !path.is_empty());
        output.raw(output.styled(Style::Bad, b"C  "))?;
        output.raw(output.styled(Style::Bad, path.unwrap_or(b".")))?;
        output.line(format!("  {}", reason(conflict)))?;
    }
    let unlisted = answer.conflict_count - merged.conflicts.len() as u64;
    if unlisted > 0 {
        output.line(format!("and {}", count(unlisted, "more", "more")))?;
    }
    let changes = count(merged.changes, "change", "changes");
    let settled = match answer.conflict_count {
        0 => String::new(),
        conflicts => format!(", {} settled", count(conflicts, "conflict", "conflicts")),
    };
    match merged.outcome {
        MergeOutcome::Merged if merged.changes == 0 => output.note("nothing to merge"),
        MergeOutcome::Merged => output.note(&format!("merged {changes}{settled}")),
        MergeOutcome::Tried => output.note(&format!("would merge {changes}{settled}")),
        MergeOutcome::Conflicts => Ok(()),
    }
}

fn to_json(answer: &MergeAnswer) -> Map<String, Value> {
    let merged = &answer.merged;
    let mut object = Map::new();
    let outcome = match merged.outcome {
        MergeOutcome::Merged => "merged",
        MergeOutcome::Tried => "tried",
        MergeOutcome::Conflicts => "conflicts",
    };
    object.insert("outcome".to_owned(), outcome.into());
    object.insert("version".to_owned(), merged.version.as_u64().into());
    object.insert("changes".to_owned(), merged.changes.into());
    object.insert("conflict_count".to_owned(), answer.conflict_count.into());
    let conflicts = merged.conflicts.iter().map(conflict_to_json).collect();
    object.insert("conflicts".to_owned(), conflicts);
    object
}

fn conflict_to_json(conflict: &Conflict) -> Value {
    let mut object = Map::new();
    insert_bytes(&mut object, "path", &conflict.path.to_bytes());
    let kind = match conflict.kind {
        ConflictKind::Name => "name",
        ConflictKind::Content => "content",
        ConflictKind::RemovedInTarget => "removed-in-target",
        ConflictKind::RemovedInBranch => "removed-in-branch",
        ConflictKind::Moved => "moved",
    };
    object.insert("conflict".to_owned(), kind.into());
    object.insert("node".to_owned(), conflict.node.as_u64().into());
    Value::Object(object)
}

const fn reason(conflict: &Conflict) -> &'static str {
    match conflict.kind {
        ConflictKind::Name => "both gave the name to different things",
        ConflictKind::Content => "both changed it",
        ConflictKind::RemovedInTarget => "changed in the branch, removed in the target",
        ConflictKind::RemovedInBranch => "removed in the branch, changed in the target",
        ConflictKind::Moved => "both moved it, or each into the other",
    }
}
