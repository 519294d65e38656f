//! `nokv cache`: what this machine keeps near at hand. Needs no store, and disturbs nobody who
//! reads.

use crate::arguments::StoreArguments;
use crate::cache_place;
use crate::error::Error;
use crate::layout::{Align, Table};
use crate::output::Output;
use crate::text::{count, human_bytes};
use nokv_client::{CacheDirectory, CachedEntry, DamagedEntry, OnDamage};
use nokv_env::Env;
use nokv_types::{Failure, Reason};
use serde_json::{Map, Value};

const EXAMPLES: &str = "\
Examples:
  nokv cache ls                               how much of which store
  nokv cache ls --long                        each entry
  nokv cache check                            reads everything back; removes what is damaged
  nokv cache check --dry-run                  only tells
  nokv cache evict --to 10GiB                 makes it smaller: what is needed least goes
  nokv cache evict --all

The directory is that of --cache-dir or NOKV_CACHE_DIR [default: ~/.cache/nokv].";

/// Arguments of `nokv cache`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Show what is in the cache
    Ls(List),
    /// Read every entry back and verify it
    Check(Check),
    /// Remove entries
    Evict(Evict),
}

#[derive(clap::Args)]
struct List {
    /// Each entry: its object, its range, its bytes
    #[arg(short, long)]
    long: bool,
}

#[derive(clap::Args)]
struct Check {
    /// Leave what is damaged where it is
    #[arg(short = 'n', long)]
    dry_run: bool,
}

#[derive(clap::Args)]
#[group(required = true)]
struct Evict {
    /// Until so much is left, as 500MB or 10GiB
    #[arg(long, value_name = "SIZE")]
    to: Option<bytesize::ByteSize>,
    /// Everything
    #[arg(long, conflicts_with = "to")]
    all: bool,
}

/// Does what is asked.
pub(crate) fn run(
    arguments: &Arguments,
    store: &StoreArguments,
    output: &Output,
) -> Result<(), Error> {
    let dir = cache_place::dir(store)?;
    let directory = CacheDirectory::open(&Env::real(), &dir).map_err(Failure::from)?;
    match &arguments.action {
        Action::Ls(List { long: false }) => list_stores(&directory, output),
        Action::Ls(List { long: true }) => {
            for entry in directory.entries().map_err(Failure::from)? {
                print_entry(&entry, output)?;
            }
            Ok(())
        }
        Action::Check(check) => {
            let on_damage = match check.dry_run {
                true => OnDamage::Tell,
                false => OnDamage::Remove,
            };
            check_all(&directory, on_damage, output)
        }
        Action::Evict(evict) => {
            let bytes = evict.to.map_or(0, |size| size.as_u64());
            evict_to(&directory, bytes, output)
        }
    }
}

fn list_stores(directory: &CacheDirectory, output: &Output) -> Result<(), Error> {
    let stores = directory.stores().map_err(Failure::from)?;
    if output.is_json() {
        for store in stores {
            let mut object = Map::new();
            object.insert("store".to_owned(), store.store.into());
            object.insert("entries".to_owned(), store.entry_count.into());
            object.insert("bytes".to_owned(), store.bytes.into());
            output.json(object)?;
        }
        return Ok(());
    }
    let mut table = Table::new([Align::Right, Align::Right, Align::Left]);
    let (mut bytes, mut entries) = (0, 0);
    for store in stores {
        bytes += store.bytes;
        entries += store.entry_count;
        table.push([
            human_bytes(store.bytes),
            count(store.entry_count, "entry", "entries"),
            format!("of store {}", store.store),
        ]);
    }
    let all = count(entries, "entry", "entries");
    table.push([human_bytes(bytes), all, "in all".to_owned()]);
    for line in table.lines() {
        output.line(line)?;
    }
    Ok(())
}

fn to_json(entry: &CachedEntry) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("store".to_owned(), entry.store.clone().into());
    object.insert("object".to_owned(), entry.block.to_string().into());
    object.insert("offset".to_owned(), entry.offset.into());
    object.insert("bytes".to_owned(), entry.bytes.into());
    let path = entry.path.to_string_lossy().into_owned();
    object.insert("file".to_owned(), path.into());
    object
}

fn print_entry(entry: &CachedEntry, output: &Output) -> Result<(), Error> {
    if output.is_json() {
        return output.json(to_json(entry));
    }
    output.line(format!(
        "{}  {}  {:>9} at {:<9}",
        entry.store, entry.block, entry.bytes, entry.offset
    ))
}

/// **Errors**: `Corrupt` when something is damaged and stays.
fn check_all(
    directory: &CacheDirectory,
    on_damage: OnDamage,
    output: &Output,
) -> Result<(), Error> {
    let entries = directory.entries().map_err(Failure::from)?;
    let (mut bytes, mut damaged_count) = (0, 0_u64);
    for entry in &entries {
        bytes += u64::from(entry.bytes);
        if let Err(damaged) = directory.check(entry, on_damage) {
            damaged_count += 1;
            print_damage(&damaged, output)?;
        }
    }
    if output.is_json() {
        let mut object = Map::new();
        object.insert("entries".to_owned(), entries.len().into());
        object.insert("bytes".to_owned(), bytes.into());
        object.insert("damaged".to_owned(), damaged_count.into());
        let is_removed = on_damage == OnDamage::Remove;
        object.insert("removed".to_owned(), is_removed.into());
        output.json(object)?;
    } else {
        let checked = count(entries.len() as u64, "entry", "entries");
        let end = match (damaged_count, on_damage) {
            (0, _) => "all sound".to_owned(),
            (count, OnDamage::Remove) => {
                format!("{count} damaged and removed; they are fetched again when wanted")
            }
            (count, OnDamage::Tell) => format!("{count} damaged"),
        };
        output.line(format!("{checked}, {}: {end}", human_bytes(bytes)))?;
    }
    if damaged_count > 0 && on_damage == OnDamage::Tell {
        return Err(Error::Failed(Failure::new(
            Reason::Corrupt,
            "damaged entries are in the cache; `nokv cache check` removes them",
        )));
    }
    Ok(())
}

fn print_damage(damaged: &DamagedEntry, output: &Output) -> Result<(), Error> {
    if output.is_json() {
        let mut object = to_json(&damaged.entry);
        object.insert("flaw".to_owned(), damaged.flaw.clone().into());
        return output.json(object);
    }
    let file = output.bytes(damaged.entry.path.as_os_str().as_encoded_bytes());
    output.raw(file)?;
    output.line(format!(": {}", damaged.flaw))
}

fn evict_to(directory: &CacheDirectory, bytes: u64, output: &Output) -> Result<(), Error> {
    let evictions = directory.evict_to(bytes).map_err(Failure::from)?;
    if output.is_json() {
        let mut object = Map::new();
        object.insert("entries".to_owned(), evictions.entry_count.into());
        object.insert("bytes".to_owned(), evictions.bytes.into());
        let remaining = evictions.remaining_bytes;
        object.insert("remaining_bytes".to_owned(), remaining.into());
        return output.json(object);
    }
    output.line(format!(
        "removed {}, {}; {} left",
        count(evictions.entry_count, "entry", "entries"),
        human_bytes(evictions.bytes),
        human_bytes(evictions.remaining_bytes),
    ))
}
