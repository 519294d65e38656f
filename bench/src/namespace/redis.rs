//! A Redis server with scripts in the shape of JuiceFS: `i<inode>` holds the attributes, `d<inode>`
//! is a hash from name to inode. Creating checks the parent and the name, allocates the inode,
//! writes both and the counters in one script; a path is resolved in one script. The append-only
//! file is written each second (buffered) or for each command (synced). It runs on a Unix socket in
//! the bench's directory.

use super::subject::{
    BATCH_FILES, CREATE_DIRECTORIES, LOOKUP_FILES, Subject, create_path, list_name, lookup_path,
};
use crate::ycsb::Durability;
use anyhow::{Context, Result, bail, ensure};
use redis::{Client, Cmd, Connection, Pipeline, Value};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The root's inode.
const ROOT: u64 = 1;
/// It takes a fraction of a second.
const START_TIME_MAX: Duration = Duration::from_secs(20);
/// Ticks of `/proc/PID/stat`; 100 on every Linux that matters.
const TICKS_PER_SECOND: f64 = 100.0;
/// Commands of a pipeline while preparing.
const PREPARE_PIPELINE: u64 = 1_000;

/// KEYS: parent's attributes, parent's entries. ARGV: parent, name, type byte.
const CREATE: &str = "
local parent = redis.call('GET', KEYS[1])
if not parent then return redis.error_reply('ENOENT') end
if string.byte(parent, 1) ~= 2 then return redis.error_reply('ENOTDIR') end
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then return redis.error_reply('EEXIST') end
local inode = redis.call('INCR', 'nextinode')
local now = redis.call('TIME')
local attributes = string.char(tonumber(ARGV[3])) ..
    struct.pack('>I2I4I4I8I4I8I4I8I4I4I8I8', 420, 0, 0,
      now[1], now[2], now[1], now[2], now[1], now[2],
    1, 0, tonumber(ARGV[1]))
redis.call('SET', 'i' .. inode, attributes)
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. ':' .. inode)
local changed = struct.pack('>I8I4', now[1], now[2])
redis.call('SET', KEYS[1], string.sub(parent, 1, 11) .. changed .. string.sub(parent, 24))
redis.call('INCRBY', 'usedSpace', 4096)
redis.call('INCR', 'totalInodes')
return inode";

/// ARGV: start inode, then the names. Gives inode and attributes.
const RESOLVE: &str = "
local inode = ARGV[1]
for i = 2, #ARGV do
  local entry = redis.call('HGET', 'd' .. inode, ARGV[i])
  if not entry then return redis.error_reply('ENOENT') end
  inode = string.sub(entry, 3)
end
return {inode, redis.call('GET', 'i' .. inode)}";

/// A running server and its connections.
pub(crate) struct Redis {
    child: Mutex<Child>,
    pid: u32,
    client: Client,
    /// Given out to callers and taken back, so that each caller at work has one of its own.
    idle: Mutex<Vec<Connection>>,
    create: String,
    resolve: String,
    /// Inodes of the directories of `create_path`.
    directories: Mutex<Vec<u64>>,
}

/// Whether it is installed.
pub(crate) fn find() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join("redis-server"))
        .find(|file| file.is_file())
        .context("not installed: apt-get install redis-server")
}

impl Redis {
    /// Starts a server in `dir`.
    pub(crate) fn start(dir: &Path, durability: Durability) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let socket = dir.join("redis.sock");
        let fsync = match durability {
            Durability::Buffered => "everysec",
            Durability::Synced => "always",
        };
        let child = Command::new(find()?)
            .args([
                "--port",
                "0",
                "--save",
                "",
                "--appendonly",
                "yes",
                "--appendfsync",
                fsync,
            ])
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("start redis-server")?;
        let pid = child.id();
        let client = Client::open(format!("unix://{}", socket.display()))?;
        let mut redis = Self {
            child: Mutex::new(child),
            pid,
            client,
            idle: Mutex::default(),
            create: String::new(),
            resolve: String::new(),
            directories: Mutex::default(),
        };
        redis.load_scripts()?;
        Ok(redis)
    }

    fn load_scripts(&mut self) -> Result<()> {
        let begun = Instant::now();
        let mut connection = loop {
            match self.client.get_connection() {
                Ok(connection) => break connection,
                Err(error) if begun.elapsed() > START_TIME_MAX => {
                    return Err(error).context("redis-server is not up");
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let mut load = |script: &str| {
            redis::cmd("SCRIPT")
                .arg("LOAD")
                .arg(script)
                .query::<String>(&mut connection)
        };
        self.create = load(CREATE)?;
        self.resolve = load(RESOLVE)?;
        // The root: a directory's attributes have type 2 and as many bytes as a file's.
        let mut root = vec![2u8];
        root.resize(67, 0);
        redis::cmd("SET")
            .arg("i1")
            .arg(root)
            .query::<()>(&mut connection)?;
        redis::cmd("SET")
            .arg("nextinode")
            .arg(ROOT)
            .query::<()>(&mut connection)?;
        Ok(())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let taken = self.idle.lock().expect("no caller panics holding it").pop();
        let mut connection = match taken {
            Some(connection) => connection,
            None => self.client.get_connection()?,
        };
        let outcome = work(&mut connection)?;
        self.idle
            .lock()
            .expect("no caller panics holding it")
            .push(connection);
        Ok(outcome)
    }

    /// `kind`: 1 a file, 2 a directory.
    fn creation(&self, parent: u64, name: &str, kind: u8) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command
            .arg(&self.create)
            .arg(2)
            .arg(format!("i{parent}"))
            .arg(format!("d{parent}"));
        command.arg(parent).arg(name).arg(kind);
        command
    }

    fn make(&self, parent: u64, name: &str, kind: u8) -> Result<u64> {
        self.with(|connection| Ok(self.creation(parent, name, kind).query(connection)?))
    }

    fn make_many(&self, parent: u64, names: impl Iterator<Item = String>) -> Result<()> {
        let mut pipeline = Pipeline::new();
        for name in names {
            pipeline
                .add_command(self.creation(parent, &name, 1))
                .ignore();
        }
        self.with(|connection| Ok(pipeline.query::<()>(connection)?))
    }

    fn first_directory(&self) -> Result<u64> {
        let directories = self
            .directories
            .lock()
            .expect("no caller panics holding it");
        directories
            .first()
            .copied()
            .context("directories are prepared")
    }
}

impl Subject for Redis {
    fn prepare_create(&self) -> Result<()> {
        for directory in 0..CREATE_DIRECTORIES {
            let inode = self.make(ROOT, &directory.to_string(), 2)?;
            self.directories
                .lock()
                .expect("no caller panics holding it")
                .push(inode);
        }
        Ok(())
    }

    fn create(&self, caller: u32, index: u64) -> Result<()> {
        let (directory, name) = create_path(caller, index);
        let inode = self
            .directories
            .lock()
            .expect("no caller panics holding it")[usize::try_from(directory)?];
        self.make(inode, &name, 1).map(|_| ())
    }

    fn create_batch(&self, first: u64) -> Result<()> {
        self.make_many(
            self.first_directory()?,
            (first..first + BATCH_FILES).map(list_name),
        )
    }

    fn prepare_lookup(&self) -> Result<()> {
        let mut made = std::collections::BTreeMap::new();
        for index in 0..LOOKUP_FILES {
            let path = lookup_path(index);
            let (name, directories) = path.split_last().context("eight components")?;
            let mut parent = ROOT;
            for (depth, directory) in directories.iter().enumerate() {
                let prefix = directories[..=depth].join("/");
                parent = match made.get(&prefix) {
                    Some(inode) => *inode,
                    None => {
                        let inode = self.make(parent, directory, 2)?;
                        made.insert(prefix, inode);
                        inode
                    }
                };
            }
            self.make(parent, name, 1)?;
        }
        Ok(())
    }

    fn lookup(&self, index: u64) -> Result<u64> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.resolve).arg(0).arg(ROOT);
        lookup_path(index).iter().for_each(|name| {
            command.arg(name);
        });
        let (_, attributes): (u64, Vec<u8>) =
            self.with(|connection| Ok(command.query(connection)?))?;
        ensure!(!attributes.is_empty(), "a file has attributes");
        Ok(0)
    }

    fn prepare_list(&self, entries: u64) -> Result<()> {
        self.prepare_create()?;
        let parent = self.first_directory()?;
        for first in (0..entries).step_by(PREPARE_PIPELINE as usize) {
            self.make_many(
                parent,
                (first..entries.min(first + PREPARE_PIPELINE)).map(list_name),
            )?;
        }
        Ok(())
    }

    /// One `HGETALL`, then one `MGET` of all attributes, as JuiceFS's readdirplus does in batches.
    fn list(&self) -> Result<u64> {
        let parent = self.first_directory()?;
        self.with(|connection| {
            let entries: Vec<(Vec<u8>, Vec<u8>)> = redis::cmd("HGETALL")
                .arg(format!("d{parent}"))
                .query(connection)?;
            let mut fetch = redis::cmd("MGET");
            for (_, entry) in &entries {
                let inode = entry.get(2..).context("an entry has an inode")?;
                fetch.arg([b"i", inode].concat());
            }
            let attributes: Vec<Value> = fetch.query(connection)?;
            if attributes.len() != entries.len() {
                bail!("an entry without attributes");
            }
            Ok(entries.len() as u64)
        })
    }

    fn beside(&self) -> Result<(f64, f64)> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks = |index: usize| -> Result<f64> {
            Ok(fields
                .get(index)
                .context("a field of stat")?
                .parse::<f64>()?)
        };
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: f64 = peak
            .and_then(|rest| rest.split_whitespace().next())
            .context("a peak of memory")?
            .parse()?;
        Ok(((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND, kib / 1024.0))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Ok(child) = self.child.get_mut() {
            // It may have ended by itself; either way nothing is left to do.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
