//! Every pointer to a value, for tests of the value log.

use std::sync::Arc;

use nokv_art::Cursor;

use super::{memory::Memory, view::View};
use crate::{
    Error,
    entry::EntryKind,
    merge::LevelCursor,
    table::{CursorOptions, Reading, Table},
    vlog::Pointer,
};

/// What is done with a key, a version and the pointer that it has.
type Each<'a> = &'a mut dyn FnMut(&[u8], u64, &Pointer) -> Result<(), Error>;

impl View {
    /// Shows every pointer of every table and memtable.
    ///
    /// # Errors
    /// `Corrupt`, `Io` when a table can't be read; what `each` says.
    pub(super) fn each_value(&self, each: Each<'_>) -> Result<(), Error> {
        for table in self.tables.levels.iter().flatten() {
            if !table.summary().value_refs.is_empty() {
                each_of_table(table, each)?;
            }
        }
        for memory in self.memories() {
            if !memory.value_refs().is_empty() {
                each_of_memory(memory, each)?;
            }
        }
        Ok(())
    }
}

fn each_of_table(table: &Arc<Table>, each: Each<'_>) -> Result<(), Error> {
    let options = CursorOptions {
        reading: Reading::ahead(1),
        ..CursorOptions::default()
    };
    let mut cursor = LevelCursor::new(Arc::from([Arc::clone(table)]), options);
    cursor.seek_to_first()?;
    while cursor.is_valid() {
        if let Some(pointer) = Pointer::of(cursor.kind(), cursor.value()) {
            each(cursor.key(), cursor.version(), &pointer)?;
        }
        cursor.next()?;
    }
    Ok(())
}

fn each_of_memory(memory: &Memory, each: Each<'_>) -> Result<(), Error> {
    let mut cursor = Cursor::new(Arc::clone(&memory.table));
    cursor.seek_to_first();
    while let Some(key) = cursor.key() {
        for found in cursor.versions() {
            let kind = EntryKind::from_number(found.kind).unwrap_or(EntryKind::Delete);
            if let Some(pointer) = Pointer::of(kind, found.value) {
                each(key, found.version, &pointer)?;
            }
        }
        cursor.next_key();
    }
    Ok(())
}
