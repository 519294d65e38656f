//! `nokv fsck`: whether the records of the namespace fit together, and mending what does not.

use super::fsck_bodies::Repair;
use crate::error::Error;
use crate::output::Output;
use crate::repair_plan::{Plan, Planned, Writing};
use crate::text::count;
use nokv_client::{CheckedStep, Client, Finding};
use nokv_types::{Failure, Reason};
use serde_json::Map;
use std::path::PathBuf;

/// Repairs that are sent at once.
const REPAIRS_AT_ONCE: usize = 1000;

const EXAMPLES: &str = "\
Examples:
  nokv fsck                                   counts everything again, while the store is in use
  nokv fsck --json | jq -r .problem           one problem a line, then a summary
  nokv fsck || echo damaged                   exit code 1 when something does not fit
  nokv fsck --plan mend.jsonl                 shows what would mend it, and keeps that
  nokv fsck --apply mend.jsonl                mends it; refuses what changed meanwhile
  nokv fsck --bodies                          what is missing in the object store, or too much
  nokv fsck --bodies --delete-orphans         deletes what is too much";

/// Arguments of `nokv fsck`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Write what would be repaired, as JSON Lines; goes on with FILE.partial of one that was
    /// stopped
    #[arg(long, value_name = "FILE", conflicts_with = "apply")]
    plan: Option<PathBuf>,
    /// Do what a plan says
    #[arg(long, value_name = "FILE")]
    apply: Option<PathBuf>,
    /// Check that the object store has what bodies need, and nothing else, instead of the records;
    /// says what would be done about what it finds
    #[arg(long, conflicts_with_all = ["plan", "apply"])]
    bodies: bool,
    /// Delete what belongs to nothing, as was said; each object is asked about again
    #[arg(long, requires = "bodies")]
    delete_orphans: bool,
}

/// What was looked at.
#[derive(Default)]
struct Sum {
    version: u64,
    nodes: u64,
    entries: u64,
    dead_bodies: u64,
    blocks: u64,
    problems: u64,
    repairs: u64,
}

/// Prints what does not fit, then what was counted. **Errors**: `Corrupt` when something does not.
pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &Output,
) -> Result<(), Error> {
    if arguments.bodies {
        let repair = match arguments.delete_orphans {
            true => Repair::Apply,
            false => Repair::Plan,
        };
        return super::fsck_bodies::run(repair, client, output).await;
    }
    if let Some(path) = &arguments.apply {
        return apply(&Plan::read(path)?, client, output).await;
    }
    let store = client.status().await?.store_id;
    let mut plan = match &arguments.plan {
        None => None,
        Some(path) => Some(Writing::begin(path, &store)?),
    };
    let (mut sum, mut cursor) = (Sum::default(), String::new());
    if let Some(before) = plan.as_mut().and_then(Writing::take_before) {
        cursor = before.cursor;
        for planned in &before.planned {
            show(planned, &mut sum, output)?;
        }
    }
    loop {
        let step = client.check_step(&cursor).await?;
        sum.add(&step);
        for finding in step.findings {
            let planned = Planned::from(finding);
            show(&planned, &mut sum, output)?;
            if let Some(plan) = &mut plan {
                plan.add(&planned)?;
            }
        }
        let Some(next) = step.next else { break };
        if let Some(plan) = &mut plan {
            plan.mark(&next)?;
        }
        cursor = next;
    }
    summarize(&sum, output)?;
    if let (Some(plan), Some(path)) = (plan, &arguments.plan) {
        plan.finish()?;
        let repairs = count(sum.repairs, "repair", "repairs");
        output.note(&format!("{repairs} planned in {}", path.display()))?;
    }
    if sum.problems == 0 {
        return Ok(());
    }
    let problems = count(sum.problems, "problem", "problems");
    let advice = match (arguments.plan.is_some(), sum.repairs) {
        (_, 0) => "restore the store's directory from a copy, or report this",
        (true, _) => "read the plan, then apply it with --apply",
        (false, _) => "see what would mend it with --plan FILE",
    };
    let message = format!("{problems}; {advice}");
    Err(Error::Failed(Failure::new(Reason::Corrupt, message)))
}

fn show(planned: &Planned, sum: &mut Sum, output: &Output) -> Result<(), Error> {
    sum.problems += 1;
    sum.repairs += u64::from(!planned.repair.is_empty());
    if output.is_json() {
        let mut object = Map::new();
        object.insert("problem".to_owned(), planned.kind.as_str().into());
        object.insert("message".to_owned(), planned.message.as_str().into());
        if !planned.action.is_empty() {
            object.insert("repair".to_owned(), planned.action.as_str().into());
        }
        return output.json(object);
    }
    output.line(format!("{}: {}", planned.kind, planned.message))?;
    match planned.action.as_str() {
        "" => Ok(()),
        action => output.line(format!("  to mend it: {action}")),
    }
}

/// Applies a plan. **Errors**: `NotPermitted` for another store's; `Conflict` when some of it was
/// refused because the state has moved.
async fn apply(plan: &Plan, client: &Client, output: &Output) -> Result<(), Error> {
    let store = client.status().await?.store_id;
    if plan.store != store {
        let message = format!("this is a plan for store {}, not for {store}", plan.store);
        return Err(Error::Failed(Failure::new(Reason::NotPermitted, message)));
    }
    let (mut applied, mut moved) = (0, 0);
    let all: Vec<_> = plan
        .planned
        .iter()
        .filter(|planned| !planned.repair.is_empty())
        .collect();
    for some in all.chunks(REPAIRS_AT_ONCE) {
        let repairs = some.iter().map(|planned| planned.repair.clone()).collect();
        let versions = client.repair(repairs).await?;
        for (planned, version) in some.iter().zip(versions) {
            match version {
                Some(_) => applied += 1,
                None => moved += 1,
            }
            outcome(planned, version.map(nokv_types::Version::as_u64), output)?;
        }
    }
    if moved == 0 {
        return output.note(&format!("{} done", count(applied, "repair", "repairs")));
    }
    let message = format!(
        "{} done, {moved} refused: the state has moved since; run fsck --plan again",
        count(applied, "repair", "repairs")
    );
    Err(Error::Failed(Failure::new(Reason::Conflict, message)))
}

fn outcome(planned: &Planned, version: Option<u64>, output: &Output) -> Result<(), Error> {
    if output.is_json() {
        let mut object = Map::new();
        object.insert("repair".to_owned(), planned.action.as_str().into());
        object.insert("applied".to_owned(), version.is_some().into());
        object.insert("version".to_owned(), version.into());
        return output.json(object);
    }
    let done = if version.is_some() { "done" } else { "refused" };
    output.line(format!("{done}: {}", planned.action))
}

impl From<Finding> for Planned {
    fn from(finding: Finding) -> Self {
        Self {
            kind: finding.kind,
            message: finding.message,
            action: finding.action,
            repair: finding.repair,
        }
    }
}

impl Sum {
    fn add(&mut self, step: &CheckedStep) {
        self.version = step.version.as_u64();
        self.nodes += step.nodes;
        self.entries += step.entries;
        self.dead_bodies += step.dead_bodies;
        self.blocks += step.blocks;
    }
}

fn summarize(sum: &Sum, output: &Output) -> Result<(), Error> {
    if output.is_json() {
        let mut object = Map::new();
        object.insert("version".to_owned(), sum.version.into());
        object.insert("nodes".to_owned(), sum.nodes.into());
        object.insert("entries".to_owned(), sum.entries.into());
        object.insert("dead_bodies".to_owned(), sum.dead_bodies.into());
        object.insert("blocks".to_owned(), sum.blocks.into());
        object.insert("problems".to_owned(), sum.problems.into());
        return output.json(object);
    }
    output.line(format!(
        "checked {}, {}, {}, {}",
        count(sum.nodes, "node", "nodes"),
        count(sum.entries, "entry", "entries"),
        count(sum.blocks, "block", "blocks"),
        count(sum.dead_bodies, "body of the past", "bodies of the past"),
    ))
}
