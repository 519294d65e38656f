//! A real S3 server for the run: `weed` (SeaweedFS) with a directory and free ports of its own.
//!
//! Its traps, each met once: every component also listens on its port plus 10,000; Iceberg and
//! Lance endpoints open fixed ports unless switched off; it reports home unless told not to;
//! without an identity file anybody may do anything.

use super::place::{ACCESS_KEY_ID, BUCKET, Place, SECRET_ACCESS_KEY};
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// gRPC ports are the components' ports plus this.
const GRPC_PORT_OFFSET: u16 = 10_000;
/// Components: master, volume, filer, S3.
const PORTS: usize = 4;
/// It takes about four seconds on an idle machine.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// Pause between two questions whether it is up.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Below the largest test set; the default of 30 GiB would preallocate nothing but checks the disk
/// against it.
const VOLUME_MIB: u32 = 1024;
/// Volumes the server may make: each file set needs a few.
const VOLUMES_MAX: u32 = 100;

/// A running server; it is killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Where clients find it.
    pub(crate) place: Place,
}

impl Server {
    /// Starts one in `dir` and waits until the bucket is there.
    ///
    /// **Errors**: `weed` is not installed, or not up in time (its log is in `dir`).
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        let data = dir.join("data");
        std::fs::create_dir_all(&data)?;
        let identities = dir.join("identities.json");
        std::fs::write(&identities, identity_file())?;
        let [master, volume, filer, s3] = free_ports()?;
        let log = std::fs::File::create(dir.join("weed.log"))?;
        let child = Command::new("weed")
            .arg("server")
            .arg(format!("-dir={}", data.display()))
            .args([
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-master.telemetry=false",
            ])
            .args(["-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"])
            .arg(format!("-master.port={master}"))
            .arg(format!("-volume.port={volume}"))
            .arg(format!("-filer.port={filer}"))
            .arg(format!("-s3.port={s3}"))
            .arg(format!("-s3.config={}", identities.display()))
            .arg(format!("-master.volumeSizeLimitMB={VOLUME_MIB}"))
            .arg(format!("-volume.max={VOLUMES_MAX}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start weed")?;
        let endpoint = format!("http://127.0.0.1:{s3}");
        let mut server = Self {
            child,
            place: Place::S3 { endpoint, data },
        };
        server.wait_until_up(filer, s3)?;
        Ok(server)
    }

    fn wait_until_up(&mut self, filer: u16, s3: u16) -> Result<()> {
        let begun = Instant::now();
        let bucket = format!("POST /buckets/{BUCKET}/ HTTP/1.1");
        while begun.elapsed() < START_TIME_MAX {
            if let Some(status) = self.child.try_wait()? {
                bail!("weed ended at once: {status}");
            }
            // An unsigned request is refused by a server that is up.
            if matches!(status_of(s3, "GET / HTTP/1.1"), Ok(403))
                && matches!(status_of(filer, &bucket), Ok(200..300))
            {
                return Ok(());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        bail!("weed is not up after {START_TIME_MAX:?}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to do.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn identity_file() -> String {
    serde_json::json!({ "identities": [{
        "name": "bench",
        "credentials": [{ "accessKey": ACCESS_KEY_ID, "secretKey": SECRET_ACCESS_KEY }],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }]})
    .to_string()
}

/// Ports that are free now, as are those of their gRPC sides.
fn free_ports() -> Result<[u16; PORTS]> {
    let mut held = Vec::new();
    let mut ports = Vec::new();
    while ports.len() < PORTS {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let Some(grpc) = port.checked_add(GRPC_PORT_OFFSET) else {
            continue;
        };
        if let Ok(other) = TcpListener::bind(("127.0.0.1", grpc)) {
            ports.push(port);
            held.extend([listener, other]);
        }
    }
    ports.try_into().ok().context("as many ports as components")
}

/// The status of an answer to a request without a body.
fn status_of(port: u16, request: &str) -> Result<u16> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "{request}\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\n"
    )?;
    write!(stream, "Connection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer
        .split_ascii_whitespace()
        .nth(1)
        .context("a status line")?;
    Ok(status.parse()?)
}
