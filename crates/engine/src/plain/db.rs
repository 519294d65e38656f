//! The database.

use std::{ops::Deref, path::Path, sync::Arc};

use nokv_env::Env;
use parking_lot::Mutex;

use super::{
    names::{DEFAULT, Names},
    pins::Pins,
    reader::Reader,
    snapshot::Snapshot,
    space::Space,
};
use crate::{Durability, Engine, Error, LogMode, Options, Stats};

/// What all handles of a database share.
pub(super) struct Inner {
    pub(super) engine: Engine,
    pub(super) pins: Pins,
    names: Mutex<Names>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.engine.fmt(f)
    }
}

/// An embedded, ordered key-value database in one directory; see the example of the crate.
///
/// A database is its own keyspace: all methods of [`Space`] and [`Reader`] are its methods. Others
/// are opened by name ([`Db::keyspace`]) and written together with it ([`super::WriteBatch`]).
///
/// **Shape**: keys of 1 to [`crate::KEY_BYTES_MAX`] bytes, values of 0 to
/// [`crate::VALUE_BYTES_MAX`], ordered by the bytes of their keys. **Guarantees**: a write is
/// visible when it returns, and then as durable as it was asked to be: what is not
/// [`Durability::Synced`] survives the death of the process, and of what a power cut takes, the
/// last goes first. **Concurrency**: cheap to clone, usable from any thread; closed when the last
/// handle is dropped, snapshots and iterators included.
#[derive(Clone, Debug)]
pub struct Db(Space);

impl Db {
    /// Opens the database in `dir`, making it when there is none.
    ///
    /// # Errors
    /// As [`Engine::open`]; `Invalid` when the directory holds a store of another kind.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        Self::open_in(Env::real(), dir.as_ref(), options)
    }

    /// As [`Db::open`], on another machine than the real one: in memory, or one that fails.
    ///
    /// # Errors
    /// As [`Db::open`].
    pub fn open_in(env: Env, dir: &Path, options: Options) -> Result<Self, Error> {
        if options.log != LogMode::Own {
            let message = "a plain database has a log of its own";
            return Err(Error::Invalid(message.to_owned()));
        }
        let engine = Engine::open(env, dir, options)?;
        let names = Mutex::new(Names::load(&engine)?);
        let pins = Pins::default();
        pins.install(&engine);
        let inner = Arc::new(Inner {
            engine,
            pins,
            names,
        });
        Ok(Self(space(inner, DEFAULT)))
    }

    /// The keyspace with this name, made when there is none: an ordered map of its own, which is
    /// written together with the others.
    ///
    /// # Errors
    /// `Invalid` for a name that is empty or longer than [`super::SPACE_NAME_BYTES_MAX`], or when
    /// there are [`super::SPACE_COUNT_MAX`]; as [`Space::set`].
    pub fn keyspace(&self, name: &str) -> Result<Space, Error> {
        let inner = &self.0.inner;
        let keyspace = inner.names.lock().open(&inner.engine, name)?;
        Ok(space(Arc::clone(inner), keyspace))
    }

    /// The database, for writes of this durability.
    #[must_use]
    pub fn with_durability(&self, durability: Durability) -> Self {
        Self(self.0.with_durability(durability))
    }

    /// The database as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(&self.0)
    }

    /// Makes everything durable that was written before.
    ///
    /// # Errors
    /// `OutcomeUnknown` (open again); `Closed`, `ReadOnly`.
    pub fn sync(&self) -> Result<(), Error> {
        self.0.inner.engine.sync_all()
    }

    /// Moves what is in memory to sorted tables. Nothing depends on it but the time to open.
    ///
    /// # Errors
    /// As [`Engine::flush`].
    pub fn flush(&self) -> Result<(), Error> {
        self.0.inner.engine.flush()
    }

    /// Figures for people and dashboards.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.inner.engine.stats()
    }

    /// Makes everything durable and closes the database; other handles refuse from then on.
    ///
    /// # Errors
    /// As [`Engine::close`].
    pub fn close(self) -> Result<(), Error> {
        self.0.inner.engine.clone().close()
    }
}

fn space(inner: Arc<Inner>, keyspace: crate::Keyspace) -> Space {
    Space::new(Reader {
        inner,
        keyspace,
        pin: None,
    })
}

impl Deref for Db {
    type Target = Space;

    fn deref(&self) -> &Space {
        &self.0
    }
}
