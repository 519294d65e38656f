//! The names of keyspaces, in keyspace 0 of the store: name → number, one byte.
//!
//! The empty name marks the store as a plain one.

use std::collections::BTreeMap;

use nokv_types::Version;

use crate::{Batch, Direction, Durability, Engine, Error, KeyRange, Keyspace};

/// Where the names are.
const NAMES: Keyspace = Keyspace::new(0);

/// The keyspace of the database itself.
pub(super) const DEFAULT: Keyspace = Keyspace::new(1);

/// The last number of a keyspace with a name; one more is the end of its range.
const LAST: u8 = 254;

/// The most keyspaces that a database has beside its own: a keyspace is one byte of each key.
pub const SPACE_COUNT_MAX: usize = 253;
const _: () = assert!(SPACE_COUNT_MAX == (LAST - 1) as usize);

/// The longest name of a keyspace, bytes.
pub const SPACE_NAME_BYTES_MAX: usize = 255;

/// What is stored under the empty name: the format of the rest.
const MARK: &[u8] = &[1];

/// The keyspaces that have names.
#[derive(Debug)]
pub(super) struct Names(BTreeMap<Vec<u8>, Keyspace>);

impl Names {
    /// Reads the names, marking a store that is new.
    ///
    /// # Errors
    /// `Invalid` when the store is not a plain one; those of reading and writing.
    pub(super) fn load(engine: &Engine) -> Result<Self, Error> {
        let mark = engine.get(NAMES, b"", Version::MAX)?;
        match mark.as_ref().map(|record| &*record.value) {
            Some(MARK) => {}
            None if engine.last_version() == Version::ZERO => write(engine, b"", MARK)?,
            _ => {
                let message = "the store was not made by Db::open, or by a newer one";
                return Err(Error::Invalid(message.to_owned()));
            }
        }
        let range = KeyRange::from([0]);
        let mut names = BTreeMap::new();
        for entry in engine.scan(NAMES, range, Version::MAX, Direction::Forward)? {
            let (name, record) = entry?;
            let number = record.value.first().copied().unwrap_or(DEFAULT.get());
            names.insert(name.to_vec(), Keyspace::new(number));
        }
        Ok(Self(names))
    }

    /// The keyspace with this name, made when there is none.
    ///
    /// # Errors
    /// `Invalid` for a name that is empty or too long, or when all numbers are taken; those of
    /// writing.
    pub(super) fn open(&mut self, engine: &Engine, name: &str) -> Result<Keyspace, Error> {
        if let Some(keyspace) = self.0.get(name.as_bytes()) {
            return Ok(*keyspace);
        }
        if name.is_empty() || name.len() > SPACE_NAME_BYTES_MAX || name.starts_with('\0') {
            return Err(Error::Invalid(format!(
                "the name of a keyspace has 1 to {SPACE_NAME_BYTES_MAX} bytes, the first not zero"
            )));
        }
        let last = self.0.values().copied().max().unwrap_or(DEFAULT);
        if last.get() >= LAST {
            return Err(Error::Invalid(format!(
                "a database has at most {SPACE_COUNT_MAX} keyspaces with names"
            )));
        }
        let keyspace = Keyspace::new(last.get() + 1);
        write(engine, name.as_bytes(), &[keyspace.get()])?;
        self.0.insert(name.as_bytes().to_vec(), keyspace);
        Ok(keyspace)
    }
}

/// Durable before the first key is written with the number.
fn write(engine: &Engine, name: &[u8], value: &[u8]) -> Result<(), Error> {
    let mut batch = Batch::unstamped();
    batch.put(NAMES, name, value, Version::ZERO);
    engine.write(batch, Durability::Synced)
}
