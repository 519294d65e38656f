//! `nokv mount`: a namespace as a file system.
//!
//! In the background unless told otherwise: the program starts itself again, detached, and ends
//! when that one says that the mount can be used, or why it can't.
//!
//! A store that no server has open is opened in the mount's own process, which serves it on its
//! socket too, so that other commands and mounts see the same store.

use crate::arguments::{PathArgument, StoreArguments};
use crate::as_of;
use crate::error::Error;
use crate::output::{Output, escape, insert_bytes};
use crate::session;
use nokv_client::{Client, ClientOptions, Create};
use nokv_env::Env;
use nokv_fuse::{MountAccess, MountOptions, Mounted, Sharing};
use nokv_server::{Server, ServerOptions, Service, StoreConfig};
use nokv_types::{BranchId, Failure, NsPath, Reason};
use serde_json::Map;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

const EXAMPLES: &str = "\
Examples:
  nokv mount /mnt                             the whole namespace, in the background
  nokv mount /runs/42 /mnt                    a directory of it
  nokv mount --at nightly /mnt                a snapshot: it can't change
  nokv mount --read-only --foreground /mnt    until Ctrl-C
  nokv umount /mnt

In /etc/fstab, with a link /sbin/mount.nokv to this program:
  /data/store  /mnt  nokv  ro,path=/runs,_netdev  0 0";

/// Tells the started program that nobody sees its terminal.
const DETACHED: &str = "NOKV_MOUNT_DETACHED";
/// How long a mount waits for a server that is away: longer than one takes to be started again.
const PATIENCE_MS: u32 = 120_000;

/// Arguments of `nokv mount`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A directory of the namespace [default: /], and where to mount it
    #[arg(value_name = "[PATH] MOUNTPOINT", num_args = 1..=2, required = true)]
    paths: Vec<PathArgument>,
    /// A snapshot, or the state as of a version or time: the mount can't change
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    at: Option<String>,
    /// The branch with this number or path
    #[arg(long, value_name = "BRANCH")]
    branch: Option<String>,
    /// Refuse all changes through the mount
    #[arg(long)]
    read_only: bool,
    /// Stay in the foreground until Ctrl-C or `umount`
    #[arg(long)]
    foreground: bool,
    /// Only the user who mounts may use it (this is so anyway for users other than root)
    #[arg(long)]
    private: bool,
    /// How long the kernel believes names and attributes that it was told
    #[arg(long, value_name = "TIME", default_value = "10s")]
    #[arg(value_parser = humantime::parse_duration)]
    cache_for: Duration,
    /// How much of what was not synced a power cut may take
    #[arg(long, value_name = "TIME", default_value = "1s")]
    #[arg(value_parser = humantime::parse_duration)]
    sync_interval: Duration,
    /// Where large writes wait to be stored [default: the system's directory for temporary files]
    #[arg(long, value_name = "DIR")]
    staging: Option<PathBuf>,
    /// Threads that take requests
    #[arg(long, value_name = "COUNT", default_value_t = MountOptions::THREADS_DEFAULT)]
    threads: usize,
}

/// Mounts.
pub(crate) async fn run(
    arguments: Arguments,
    store: &StoreArguments,
    output: &Output,
) -> Result<(), Error> {
    if arguments.foreground {
        return serve(&arguments, store, output).await;
    }
    let mountpoint = arguments.mountpoint()?;
    let detached = tokio::task::spawn_blocking(detach).await;
    detached.map_err(|_| Failure::new(Reason::Io, "starting the mount was stopped"))??;
    tell(&mountpoint, output, "mounted")
}

impl Arguments {
    fn path(&self) -> Result<NsPath, Failure> {
        match self.paths.as_slice() {
            [path, _] => session::path(path),
            _ => Ok(NsPath::root()),
        }
    }

    /// An absolute path: the process that mounts may be elsewhere.
    fn mountpoint(&self) -> Result<PathBuf, Failure> {
        let given = self.paths.last().map(PathBuf::from).unwrap_or_default();
        std::path::absolute(&given).map_err(|error| {
            let shown = given.display();
            Failure::new(
                Reason::InvalidArgument,
                format!("no mountpoint {shown}: {error}"),
            )
        })
    }

    fn options(&self) -> Result<MountOptions, Failure> {
        let mut options = MountOptions::new(self.mountpoint()?);
        options.path = self.path()?;
        options.access = match (&self.at, self.read_only) {
            (Some(_), _) => MountAccess::Frozen,
            (None, true) => MountAccess::ReadOnly,
            (None, false) => MountAccess::ReadWrite,
        };
        if self.private {
            options.sharing = Sharing::Owner;
        }
        options.cache_for = self.cache_for;
        options.sync_interval = self.sync_interval;
        options.threads = self.threads;
        if let Some(staging) = &self.staging {
            options.staging_dir.clone_from(staging);
        }
        Ok(options)
    }

    /// The client that sees what is mounted.
    async fn view(&self, client: &Client) -> Result<Client, Failure> {
        let mut view = match &self.branch {
            Some(branch) => client.in_branch(find_branch(client, branch).await?),
            None => client.clone(),
        };
        if let Some(at) = &self.at {
            view = view.as_of(as_of::moment(at)?);
        }
        Ok(view)
    }
}

async fn find_branch(client: &Client, named: &str) -> Result<BranchId, Failure> {
    let branches = client.branches().await?;
    let is_named = |branch: &nokv_client::Branch| {
        let path = branch.path.as_ref().map(ToString::to_string);
        branch.id.to_string() == named || path.as_deref() == Some(named)
    };
    let found = branches.iter().find(|branch| is_named(branch));
    found.map(|branch| branch.id).ok_or_else(|| {
        Failure::new(
            Reason::NotFound,
            format!("no branch {named}; `nokv branch ls` lists them"),
        )
    })
}

/// Starts this program again, in the background, and waits until it is ready.
fn detach() -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            Reason::Io,
            format!("can't start in the background: {error}"),
        )
    };
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .args(crate::run::words().into_iter().skip(1))
        .arg("--foreground")
        .env(DETACHED, "1")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut ready = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout)
            .read_line(&mut ready)
            .map_err(failed)?;
    }
    if !ready.is_empty() {
        return Ok(());
    }
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut said).map_err(failed)?;
    }
    let said = said.trim().trim_start_matches("nokv: ");
    let said = said.lines().last().unwrap_or("it ended without a word");
    Err(Failure::new(Reason::Io, said))
}

/// A store that is served beside the mount, or a connection to one.
enum Held {
    Server(Server),
    Client(Client),
}

/// Mounts, and stays until it is unmounted.
async fn serve(
    arguments: &Arguments,
    store: &StoreArguments,
    output: &Output,
) -> Result<(), Error> {
    // Before anything is open: a signal that comes early must not cut it off.
    let failed = |error| Failure::new(Reason::Io, format!("can't listen to signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let options = arguments.options()?;
    let (client, held) = reach(store).await?;
    let view = arguments.view(&client).await?;
    let mut mounted = Mounted::mount(&view, Env::real(), options).await?;
    tell(&arguments.mountpoint()?, output, "ready")?;
    if std::env::var_os(DETACHED).is_some() {
        let_go()?;
    }
    tokio::select! {
        () = mounted.ended() => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    let unmounted = mounted.unmount().await;
    let closed = match held {
        Held::Server(server) => server.stop().await,
        Held::Client(client) => client.close().await,
    };
    Ok(unmounted.and(closed)?)
}

/// Nobody listens any more to what a detached mount says.
fn let_go() -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(Reason::Io, format!("/dev/null: {error}"));
    let null = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/null")
        .map_err(failed)?;
    rustix::stdio::dup2_stdout(&null)
        .and_then(|()| rustix::stdio::dup2_stderr(&null))
        .map_err(|error| failed(error.into()))
}

/// The store: through its server, or opened and served here.
async fn reach(store: &StoreArguments) -> Result<(Client, Held), Failure> {
    let patient = ClientOptions {
        deadline_ms: PATIENCE_MS,
        ..ClientOptions::default()
    };
    if store.server.is_none() {
        let config = StoreConfig {
            create: Create::Never,
            objects: session::objects(store)?,
            ..StoreConfig::new(session::store_dir(store)?)
        };
        match Service::open(Env::real(), config).await {
            Ok(service) => {
                let server = Server::start(service.clone(), ServerOptions::default()).await?;
                return Ok((Client::embedded(service, patient), Held::Server(server)));
            }
            Err(failure) if failure.reason() == Reason::Busy => {}
            Err(failure) => return Err(failure),
        }
    }
    let client = session::connect_with(store, Create::Never, patient).await?;
    Ok((client.clone(), Held::Client(client)))
}

fn tell(mountpoint: &std::path::Path, output: &Output, what: &str) -> Result<(), Error> {
    let shown = mountpoint.as_os_str().as_bytes();
    if output.is_json() {
        let mut object = Map::new();
        object.insert(what.to_owned(), true.into());
        insert_bytes(&mut object, "mountpoint", shown);
        output.json(object)?;
    } else if what == "ready" || !output.is_quiet() {
        output.line(format!("{what}: {}", escape(shown)))?;
    }
    output.flush()
}

/// What a call as `mount.nokv SOURCE MOUNTPOINT [-o OPTIONS]` means: that is how mount(8) starts
/// the helper of a line in /etc/fstab.
pub(crate) fn helper(words: &[OsString]) -> Vec<OsString> {
    let mut line: Vec<OsString> = vec!["nokv".into(), "mount".into()];
    let mut places = Vec::new();
    let mut options = String::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("-o") => {
                options = words
                    .next()
                    .map(|text| text.to_string_lossy().into())
                    .unwrap_or_default();
            }
            Some(text) if text.starts_with('-') => {}
            _ => places.push(word.clone()),
        }
    }
    let mut path = None;
    for option in options.split(',') {
        match option.split_once('=').unwrap_or((option, "")) {
            ("ro", _) => line.push("--read-only".into()),
            ("path", value) => path = Some(OsString::from(value)),
            (name @ ("at" | "branch" | "cache-for" | "sync-interval" | "staging"), value) => {
                line.push(format!("--{name}={value}").into());
            }
            // Everything else is for mount(8) itself.
            _ => {}
        }
    }
    let mut places = places.into_iter();
    if let Some(source) = places.next() {
        let is_dir = source.as_bytes().contains(&b'/');
        line.push(if is_dir { "--dir" } else { "--server" }.into());
        line.push(source);
    }
    line.extend(path);
    line.extend(places.next());
    line
}

#[cfg(test)]
mod tests {
    use super::helper;
    use std::ffi::OsString;

    #[test]
    fn fstab_lines_become_commands() {
        let check = |words: &[&str], expected: &str| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let line: Vec<_> = helper(&words)
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            assert_eq!(line.join(" "), expected);
        };
        check(
            &["/data/store", "/mnt"],
            "nokv mount --dir /data/store /mnt",
        );
        check(
            &[
                "host:7070",
                "/mnt",
                "-n",
                "-o",
                "ro,noauto,path=/runs,at=nightly",
            ],
            "nokv mount --read-only --at=nightly --server host:7070 /runs /mnt",
        );
    }
}
