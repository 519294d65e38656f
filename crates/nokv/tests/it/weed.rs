//! A real S3 server: SeaweedFS from `target/tools`, on free ports, with credentials and one bucket.
//!
//! Also used by `cargo xtask realinput`. Every component of it also listens on its port plus
//! 10,000; telemetry, Iceberg and Lance are switched off.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// The bucket that exists.
pub(crate) const BUCKET: &str = "artifacts";
/// The access key that may do everything in the bucket; one that may more makes buckets by writing.
pub(crate) const ACCESS_KEY: &str = "nokv-test";
/// Its secret.
pub(crate) const SECRET_KEY: &str = "nokv-test-secret";
/// How often to look whether it is up: it takes about four seconds, ten times that on a busy
/// machine.
const ATTEMPTS: usize = 600;
/// Pause between looks.
const PAUSE: Duration = Duration::from_millis(100);
/// Where components open their second port.
const GRPC_OFFSET: u16 = 10_000;

/// A running server.
pub(crate) struct Weed {
    child: Child,
    _folder: tempfile::TempDir,
    s3: u16,
}

impl Weed {
    /// Starts a server and makes the bucket.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let config = folder.path().join("s3.json");
        std::fs::write(&config, config_text()).expect("writable");
        let [master, volume, filer, s3] = free_ports();
        let log = std::fs::File::create(folder.path().join("log")).expect("writable");
        let child = Command::new(binary())
            .arg("server")
            .args([
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-master.telemetry=false",
                "-s3",
            ])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=50"])
            .arg(format!("-dir={}", folder.path().display()))
            .arg(format!("-master.port={master}"))
            .arg(format!("-volume.port={volume}"))
            .arg(format!("-filer.port={filer}"))
            .arg(format!("-s3.port={s3}"))
            .arg(format!("-s3.config={}", config.display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("weed runs");
        let weed = Self {
            child,
            _folder: folder,
            s3,
        };
        weed.make_bucket(master, filer);
        weed
    }

    /// Its endpoint.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.s3)
    }

    /// Makes the bucket as soon as every component is up, then waits until S3 answers.
    fn make_bucket(&self, master: u16, filer: u16) {
        for port in [master, filer, self.s3] {
            retry(&format!("port {port} of weed"), || {
                TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
            });
        }
        retry("a bucket in weed", || {
            let mut shell = Command::new(binary())
                .arg("shell")
                .arg(format!("-master=127.0.0.1:{master}"))
                .arg(format!("-filer=127.0.0.1:{filer}"))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("weed runs");
            let script = format!("s3.bucket.create -name {BUCKET}\ns3.bucket.list\nexit\n");
            // It may end before it has read all when a component is not up yet.
            drop(
                shell
                    .stdin
                    .take()
                    .expect("piped")
                    .write_all(script.as_bytes()),
            );
            let output = shell.wait_with_output().expect("it ends");
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .any(|line| line.split_whitespace().next() == Some(BUCKET))
        });
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        // Already ended or not: nothing of it may stay.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn retry(what: &str, mut works: impl FnMut() -> bool) {
    for _ in 0..ATTEMPTS {
        if works() {
            return;
        }
        sleep(PAUSE);
    }
    panic!("{what} did not come up");
}

fn config_text() -> String {
    format!(
        r#"{{"identities": [{{"name": "nokv",
            "credentials": [{{"accessKey": "{ACCESS_KEY}", "secretKey": "{SECRET_KEY}"}}],
            "actions": ["Read:{BUCKET}", "Write:{BUCKET}", "List:{BUCKET}"]}}]}}"#
    )
}

/// `target/tools/weed` of this checkout.
fn binary() -> PathBuf {
    tools().join("weed")
}

/// What `cargo xtask setup` installed.
pub(crate) fn tools() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let targets = package.ancestors().map(|folder| folder.join("target"));
    let told = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    told.into_iter()
        .chain(targets)
        .map(|target| target.join("tools"))
        .find(|tools| tools.join("weed").exists())
        .expect("installed by `cargo xtask setup`")
}

/// Four ports that are free, and free at plus 10,000 too.
fn free_ports() -> [u16; 4] {
    let mut held = Vec::new();
    while held.len() < 4 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let Some(second) = port.checked_add(GRPC_OFFSET) else {
            continue;
        };
        if let Ok(second) = TcpListener::bind((Ipv4Addr::LOCALHOST, second)) {
            held.push((port, listener, second));
        }
    }
    let mut ports = held.iter().map(|(port, ..)| *port);
    std::array::from_fn(|_| ports.next().expect("four"))
}
