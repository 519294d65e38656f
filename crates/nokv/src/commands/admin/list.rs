//! What is in the files: `stats`, `manifest`, `wal`, `tables`, `vlog`.

use std::path::Path;

use nokv_engine::forensics::{
    BlockListing, ManifestListing, RecordListing, SegmentListing, StoppedStore, StoreSummary,
    TableListing,
};
use nokv_env::Env;
use serde_json::{Map, Value, json};

use super::mend::{damage_json, object};
use super::run::{TablesArguments, WalArguments, failure};
use crate::error::Error;
use crate::layout::{Align, Table};
use crate::output::{Output, escape, insert_bytes};
use crate::text::human_bytes;

/// Records that are listed when nothing else is said.
const RECORD_COUNT: usize = 100;

/// Sums the store up.
pub(super) fn stats(store: &StoppedStore, output: &Output) -> Result<(), Error> {
    let summary = store.summary().map_err(failure)?;
    if output.is_json() {
        return output.json(summary_json(&summary));
    }
    let line = |label: &str, value: String| output.line(format!("{label:>18}  {value}"));
    let manifest = summary.manifest_number;
    let manifest = manifest.map_or_else(|| "none".to_owned(), |number| number.to_string());
    line("manifest", manifest)?;
    if let Some(damage) = &summary.manifest_damage {
        line("damaged", damage.to_string())?;
    }
    line("last version", summary.last_version.to_string())?;
    let (segment, sequence) = summary.log_start;
    line("log from", format!("segment {segment}, record {sequence}"))?;
    line("synced to", format!("record {}", summary.promised_sequence))?;
    let segments = (summary.segment_count, human_bytes(summary.segment_bytes));
    line("segments", format!("{} ({})", segments.0, segments.1))?;
    for (level, tables) in summary.levels.iter().enumerate() {
        if tables.table_count > 0 {
            let bytes = human_bytes(tables.bytes);
            line(
                &format!("level {level}"),
                format!("{} tables ({bytes})", tables.table_count),
            )?;
        }
    }
    line("live in tables", human_bytes(summary.table_live_bytes))?;
    line("entries", summary.entry_count.to_string())?;
    line("deletions", summary.tombstone_count.to_string())?;
    for (label, numbers) in [
        ("not listed", &summary.unlisted_tables),
        ("missing", &summary.missing_tables),
    ] {
        if !numbers.is_empty() {
            line(label, format!("tables {}", join(numbers.iter())))?;
        }
    }
    Ok(())
}

fn summary_json(summary: &StoreSummary) -> Map<String, Value> {
    let levels = summary.levels.iter();
    object(json!({
        "manifest": summary.manifest_number,
        "manifest_damage": summary.manifest_damage.as_ref().map(damage_json),
        "last_version": summary.last_version,
        "log_segment": summary.log_start.0,
        "log_sequence": summary.log_start.1,
        "promised_sequence": summary.promised_sequence,
        "segments": summary.segment_count,
        "segment_bytes": summary.segment_bytes,
        "levels": levels
            .map(|level| json!({"tables": level.table_count, "bytes": level.bytes}))
            .collect::<Vec<_>>(),
        "table_live_bytes": summary.table_live_bytes,
        "entries": summary.entry_count,
        "deletions": summary.tombstone_count,
        "unlisted_tables": summary.unlisted_tables,
        "missing_tables": summary.missing_tables,
    }))
}

/// Lists manifests and their edits.
pub(super) fn manifest(store: &StoppedStore, output: &Output) -> Result<(), Error> {
    for manifest in store.manifests().map_err(failure)? {
        if output.is_json() {
            output.json(manifest_json(&manifest))?;
            continue;
        }
        let current = if manifest.is_current { ", current" } else { "" };
        let bytes = human_bytes(manifest.bytes);
        output.line(format!("manifest {}{current}, {bytes}", manifest.number))?;
        if let Some(damage) = &manifest.damage {
            output.line(format!("  damaged: {damage}"))?;
        }
        for edit in &manifest.edits {
            let mut text = format!("  {:>8}  edit {}", edit.offset, edit.sequence);
            if let Some((segment, sequence)) = edit.log_start {
                text += &format!(", log from segment {segment} record {sequence}");
            }
            if let Some(version) = edit.last_version {
                text += &format!(", version {version}");
            }
            let changes = [("added", &edit.added), ("removed", &edit.removed)];
            for (word, tables) in changes.iter().filter(|(_, tables)| !tables.is_empty()) {
                let tables = tables
                    .iter()
                    .map(|(level, number)| format!("{number}@{level}"));
                text += &format!(", {word} {}", join(tables));
            }
            output.line(text)?;
        }
    }
    Ok(())
}

fn manifest_json(manifest: &ManifestListing) -> Map<String, Value> {
    let table = |(level, number): &(usize, u64)| json!({"level": level, "number": number});
    let edits = manifest.edits.iter().map(|edit| {
        json!({
            "offset": edit.offset,
            "bytes": edit.bytes,
            "sequence": edit.sequence,
            "log_segment": edit.log_start.map(|start| start.0),
            "log_sequence": edit.log_start.map(|start| start.1),
            "last_version": edit.last_version,
            "added": edit.added.iter().map(table).collect::<Vec<_>>(),
            "removed": edit.removed.iter().map(table).collect::<Vec<_>>(),
            "readable": edit.is_readable,
        })
    });
    object(json!({
        "number": manifest.number,
        "current": manifest.is_current,
        "bytes": manifest.bytes,
        "damage": manifest.damage.as_ref().map(damage_json),
        "edits": edits.collect::<Vec<_>>(),
    }))
}

/// Lists segments, or records.
pub(super) fn wal(
    store: &StoppedStore,
    arguments: &WalArguments,
    output: &Output,
) -> Result<(), Error> {
    if arguments.records || arguments.from.is_some() || arguments.limit.is_some() {
        let limit = arguments.limit.unwrap_or(RECORD_COUNT);
        let records = store.records(arguments.from.unwrap_or(0), limit);
        return records
            .map_err(failure)?
            .iter()
            .try_for_each(|record| show_record(record, output));
    }
    let segments = store.segments().map_err(failure)?;
    let mut table = Table::new([Align::Right; 5]);
    table.push(["segment", "bytes", "first", "last", "unreadable"].map(str::to_owned));
    for segment in &segments {
        if output.is_json() {
            output.json(segment_json(segment))?;
            continue;
        }
        let sequence = |number: Option<u64>| number.map_or("-".to_owned(), |n| n.to_string());
        let holes = segment.unreadable.iter();
        table.push([
            segment.number.to_string(),
            segment.bytes.to_string(),
            sequence(segment.first_sequence),
            sequence(segment.last_sequence),
            join(holes.map(|(offset, bytes)| format!("{bytes}@{offset}"))),
        ]);
    }
    show(&table, output)
}

fn segment_json(segment: &SegmentListing) -> Map<String, Value> {
    let hole = |(offset, bytes): &(u64, u64)| json!({"offset": offset, "bytes": bytes});
    object(json!({
        "number": segment.number,
        "bytes": segment.bytes,
        "first_sequence": segment.first_sequence,
        "last_sequence": segment.last_sequence,
        "records": segment.record_count,
        "unreadable": segment.unreadable.iter().map(hole).collect::<Vec<_>>(),
    }))
}

fn show_record(record: &RecordListing, output: &Output) -> Result<(), Error> {
    if output.is_json() {
        let operations = record.operations.iter().map(|operation| {
            let mut object = object(json!({
                "kind": operation.kind,
                "keyspace": operation.keyspace,
                "version": operation.version,
                "value_bytes": operation.value_bytes,
            }));
            insert_bytes(&mut object, "key", &operation.key);
            if let Some(end) = &operation.end {
                insert_bytes(&mut object, "end", end);
            }
            Value::Object(object)
        });
        return output.json(object(json!({
            "segment": record.segment,
            "offset": record.offset,
            "bytes": record.bytes,
            "sequence": record.sequence,
            "synced": record.synced,
            "operations": operations.collect::<Vec<_>>(),
        })));
    }
    output.line(format!(
        "record {} in segment {} at {}, {} bytes, synced to {}",
        record.sequence, record.segment, record.offset, record.bytes, record.synced
    ))?;
    for operation in &record.operations {
        let mut text = format!(
            "  {} {}:{}",
            operation.kind,
            operation.keyspace,
            escape(&operation.key)
        );
        if let Some(end) = &operation.end {
            text += &format!(" to {}", escape(end));
        }
        text += &format!(" @{}", operation.version);
        if operation.value_bytes > 0 {
            text += &format!(", {} bytes", operation.value_bytes);
        }
        output.line(text)?;
    }
    Ok(())
}

/// Lists tables, or the blocks of one.
pub(super) fn tables(
    store: &StoppedStore,
    arguments: &TablesArguments,
    output: &Output,
) -> Result<(), Error> {
    if let Some(number) = arguments.blocks {
        return blocks(&store.blocks(number).map_err(failure)?, output);
    }
    let mut tables = store.tables().map_err(failure)?;
    tables.retain(|table| arguments.level.is_none() || table.level == arguments.level);
    let [left, right] = [Align::Left, Align::Right];
    let mut shown = Table::new([right, right, right, right, right, left]);
    shown.push(["level", "table", "bytes", "entries", "deletions", "keys"].map(str::to_owned));
    for table in &tables {
        if output.is_json() {
            output.json(table_json(table))?;
            continue;
        }
        let keys = format!(
            "{} to {}",
            key_text(&table.smallest),
            key_text(&table.largest)
        );
        let damage = table.damage.as_ref();
        shown.push([
            table
                .level
                .map_or("-".to_owned(), |level| level.to_string()),
            table.number.to_string(),
            table.bytes.to_string(),
            table.entry_count.to_string(),
            (table.tombstone_count + table.range_tombstone_count).to_string(),
            damage.map_or(keys, |damage| format!("damaged: {damage}")),
        ]);
    }
    show(&shown, output)
}

fn table_json(table: &TableListing) -> Map<String, Value> {
    let mut object = object(json!({
        "number": table.number,
        "level": table.level,
        "bytes": table.bytes,
        "entries": table.entry_count,
        "keys": table.key_count,
        "deletions": table.tombstone_count,
        "range_deletions": table.range_tombstone_count,
        "version_min": table.version_min,
        "version_max": table.version_max,
        "damage": table.damage.as_ref().map(damage_json),
    }));
    insert_key(&mut object, "smallest", &table.smallest);
    insert_key(&mut object, "largest", &table.largest);
    object
}

fn blocks(blocks: &[BlockListing], output: &Output) -> Result<(), Error> {
    let [left, right] = [Align::Left, Align::Right];
    let mut shown = Table::new([right, right, left, right, left]);
    shown.push(["offset", "bytes", "content", "entries", "first key"].map(str::to_owned));
    for block in blocks {
        if output.is_json() {
            let mut object = object(json!({
                "offset": block.offset,
                "bytes": block.bytes,
                "content": block.content,
                "entries": block.entry_count,
                "damage": block.damage.as_ref().map(damage_json),
            }));
            if let Some(key) = &block.first_key {
                insert_key(&mut object, "first_key", key);
            }
            output.json(object)?;
            continue;
        }
        let key = block.first_key.as_deref().map(key_text).unwrap_or_default();
        let damage = block.damage.as_ref();
        shown.push([
            block.offset.to_string(),
            block.bytes.to_string(),
            block.content.to_owned(),
            block.entry_count.to_string(),
            damage.map_or(key, ToString::to_string),
        ]);
    }
    show(&shown, output)
}

/// Lists files of the value log.
pub(super) fn values(dir: &Path, output: &Output) -> Result<(), Error> {
    let files = nokv_engine::vlog::list(&Env::real(), dir).map_err(failure)?;
    let mut shown = Table::new([Align::Right; 7]);
    let heads = [
        "file",
        "bucket",
        "bytes",
        "entries",
        "live",
        "dead",
        "damaged at",
    ];
    shown.push(heads.map(str::to_owned));
    for file in &files {
        if output.is_json() {
            output.json(object(json!({
                "number": file.number,
                "bucket": file.bucket,
                "bytes": file.bytes,
                "entries": file.entry_count,
                "live_bytes": file.live_bytes,
                "dead_bytes": file.dead_bytes,
                "first_damage": file.first_damage,
                "torn_bytes": file.torn_bytes,
            })))?;
            continue;
        }
        shown.push([
            file.number.to_string(),
            file.bucket
                .map_or("-".to_owned(), |bucket| bucket.to_string()),
            file.bytes.to_string(),
            file.entry_count.to_string(),
            file.live_bytes.to_string(),
            file.dead_bytes.to_string(),
            file.first_damage
                .map_or("-".to_owned(), |offset| offset.to_string()),
        ]);
    }
    show(&shown, output)
}

fn show<const N: usize>(table: &Table<N>, output: &Output) -> Result<(), Error> {
    if output.is_json() {
        return Ok(());
    }
    table
        .lines()
        .try_for_each(|line| output.line(line.trim_end()))
}

fn join<T: ToString>(items: impl Iterator<Item = T>) -> String {
    let texts: Vec<String> = items.map(|item| item.to_string()).collect();
    texts.join(" ")
}

/// A key with its keyspace, for a person.
pub(super) fn key_text(key: &[u8]) -> String {
    let Some((keyspace, key)) = key.split_first() else {
        return "-".to_owned();
    };
    format!("{keyspace}:{}", escape(key))
}

/// A key with its keyspace, for a program.
pub(super) fn insert_key(object: &mut Map<String, Value>, name: &str, key: &[u8]) {
    if let Some((keyspace, key)) = key.split_first() {
        object.insert(format!("{name}_keyspace"), (*keyspace).into());
        insert_bytes(object, name, key);
    }
}
