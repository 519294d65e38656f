//! `nokv admin verify` and `nokv admin repair`.

use nokv_engine::VerifyOptions;
use nokv_engine::forensics::{Damage, Loss, RepairPlan, StoppedStore};
use nokv_types::{Failure, Reason};
use serde_json::{Map, Value, json};

use super::list::{insert_key, key_text};
use super::run::{RepairArguments, VerifyArguments, failure};
use crate::error::Error;
use crate::output::Output;
use crate::text::{count, human_bytes};

/// Reads every byte of the store.
pub(super) fn verify(
    store: &StoppedStore,
    arguments: &VerifyArguments,
    output: &Output,
) -> Result<(), Error> {
    let options = VerifyOptions {
        bytes_per_second: arguments.rate.map(|rate| rate.as_u64()),
    };
    let bar = indicatif::ProgressBar::hidden();
    if !output.is_quiet() && !output.is_json() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
    }
    let found = store.verify(&options, &mut |progress| {
        bar.set_length(progress.file_total);
        bar.set_position(progress.file_count);
    });
    bar.finish_and_clear();
    let found = found.map_err(failure)?;
    if output.is_json() {
        output.json(object(json!({
            "tables": found.table_count,
            "entries": found.entry_count,
            "values": found.value_count,
            "segments": found.segment_count,
            "records": found.record_count,
            "edits": found.edit_count,
            "bytes": found.byte_count,
            "damages": found.damages.iter().map(damage_json).collect::<Vec<_>>(),
        })))?;
    } else {
        for damage in &found.damages {
            output.line(damage.to_string())?;
        }
        output.line(format!(
            "read {}: {} with {}, {}, {} with {}, {}",
            human_bytes(found.byte_count),
            count(found.table_count, "table", "tables"),
            count(found.entry_count, "entry", "entries"),
            count(found.value_count, "value", "values"),
            count(found.segment_count, "segment", "segments"),
            count(found.record_count, "record", "records"),
            count(found.edit_count, "edit", "edits"),
        ))?;
    }
    told(found.damages.len())
}

/// Shows a plan, and does what it says if that is wanted.
pub(super) fn repair(
    store: &StoppedStore,
    arguments: &RepairArguments,
    output: &Output,
) -> Result<(), Error> {
    let plan = store.plan_repair().map_err(failure)?;
    if arguments.apply && !plan.is_empty() {
        store.repair(&plan).map_err(failure)?;
    }
    let is_applied = arguments.apply;
    if output.is_json() {
        output.json(object(json!({
            "applied": is_applied,
            "damages": plan.damages.iter().map(damage_json).collect::<Vec<_>>(),
            "actions": plan
                .actions
                .iter()
                .map(|action| json!({"file": action.file, "what": action.what}))
                .collect::<Vec<_>>(),
            "losses": plan.losses.iter().map(loss_json).collect::<Vec<_>>(),
        })))?;
    } else {
        show_plan(&plan, output)?;
        if plan.is_empty() {
            output.line("nothing is damaged, and nothing was changed")?;
        } else if is_applied {
            output.line("repaired; what was replaced is in lost+found")?;
        } else {
            output.line("nothing was changed: `nokv admin repair --apply` does it")?;
        }
    }
    if is_applied {
        return Ok(());
    }
    told(plan.damages.len())
}

fn show_plan(plan: &RepairPlan, output: &Output) -> Result<(), Error> {
    for damage in &plan.damages {
        output.line(format!("damaged: {damage}"))?;
    }
    for action in &plan.actions {
        output.line(format!("plan: {}: {}", action.file, action.what))?;
    }
    for loss in &plan.losses {
        output.line(loss_text(loss))?;
    }
    if plan.losses.is_empty() && !plan.is_empty() {
        output.line("lost: nothing")?;
    }
    Ok(())
}

fn loss_text(loss: &Loss) -> String {
    let word = if loss.is_certain {
        "lost"
    } else {
        "perhaps lost"
    };
    let mut text = format!("{word}: {}", loss.file);
    if loss.bytes > 0 {
        text += &format!(": {} bytes from byte {}", loss.bytes, loss.offset);
    }
    if let Some(entries) = loss.entry_count {
        text += &format!(": {}", count(entries, "entry", "entries"));
    }
    text += &format!(": {}", loss.what);
    match (&loss.key_min, &loss.key_max) {
        (Some(min), Some(max)) if min == max => text += &format!(": key {}", key_text(min)),
        (None, None) => {}
        (min, max) => {
            let end = |key: &Option<Vec<u8>>, none: &str| {
                key.as_deref().map_or_else(|| none.to_owned(), key_text)
            };
            text += &format!(
                ": keys {} to {}",
                end(min, "the first"),
                end(max, "the last")
            );
        }
    }
    text
}

fn loss_json(loss: &Loss) -> Value {
    let mut object = object(json!({
        "file": loss.file,
        "offset": loss.offset,
        "bytes": loss.bytes,
        "what": loss.what,
        "certain": loss.is_certain,
        "entries": loss.entry_count,
    }));
    for (name, key) in [("key_min", &loss.key_min), ("key_max", &loss.key_max)] {
        if let Some(key) = key {
            insert_key(&mut object, name, key);
        }
    }
    Value::Object(object)
}

/// Damage as JSON.
pub(super) fn damage_json(damage: &Damage) -> Value {
    json!({
        "file": damage.file,
        "offset": damage.offset,
        "expected": damage.expected,
        "found": damage.found,
    })
}

/// The fields of a JSON object.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// The exit code says whether there is damage.
fn told(damage_count: usize) -> Result<(), Error> {
    if damage_count == 0 {
        return Ok(());
    }
    let places = count(damage_count as u64, "damaged place", "damaged places");
    let message = format!("{places}; `nokv admin repair` shows what can be saved");
    Err(Error::Failed(Failure::new(Reason::Corrupt, message)))
}
