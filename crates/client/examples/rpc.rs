//! Measures calls over the Unix socket: `cargo run --release -p nokv-client --example rpc [DIR]`.
//!
//! Server and clients share the process and its two worker threads, so figures are those of both
//! together.

use nokv_client::{Client, ClientOptions, Endpoint, Follow, ObjectsConfig, Parents};
use nokv_env::{Clock, Env, RealClock};
use nokv_server::{Create, Server, ServerOptions, Service, StoreConfig};
use nokv_types::{Failure, NsPath};
use std::path::{Path, PathBuf};
use std::time::Duration;

const CONNECTIONS: usize = 16;
const LOOKUPS: usize = 20_000;

fn main() -> Result<(), Failure> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let scratch = tempfile::tempdir().expect("a directory");
    let dir = std::env::args_os()
        .nth(1)
        .map_or(scratch.path().to_owned(), PathBuf::from);
    runtime.block_on(measure(&dir))
}

async fn measure(dir: &Path) -> Result<(), Failure> {
    let objects = ObjectsConfig {
        url: Some("memory:".to_owned()),
        ..ObjectsConfig::default()
    };
    let config = StoreConfig {
        create: Create::IfMissing,
        objects,
        ..StoreConfig::new(dir.to_owned())
    };
    let service = Service::open(Env::real(), config).await?;
    let server = Server::start(service, ServerOptions::default()).await?;
    let clients = connect(dir, CONNECTIONS).await?;
    let client = &clients[0];
    let deep = NsPath::parse("/a/b/c/d")?;
    client.make_dir(&deep, 0o755, Parents::Create).await?;

    report(
        "lookup of /a/b/c/d, 1 caller",
        LOOKUPS,
        lookups(client.clone(), deep.clone(), LOOKUPS).await?,
    );
    for depth in [1, 16] {
        let name = format!("lookup, {CONNECTIONS} connections x {depth} in flight");
        let each = LOOKUPS / 4;
        let (clock, start) = start();
        let mut tasks = tokio::task::JoinSet::new();
        for client in clients
            .iter()
            .flat_map(|client| std::iter::repeat_n(client, depth))
        {
            tasks.spawn(lookups(client.clone(), deep.clone(), each));
        }
        let mut times = Vec::new();
        while let Some(done) = tasks.join_next().await {
            times.extend(done.expect("no panic")?.1);
        }
        report(
            &name,
            CONNECTIONS * depth * each,
            (clock.monotonic() - start, times),
        );
    }
    for depth in [1, 16, 64] {
        let name = format!("synced mkdir, {CONNECTIONS} connections x {depth} in flight");
        let each = 4_000 / depth;
        let (clock, start) = start();
        let mut tasks = tokio::task::JoinSet::new();
        for (index, client) in clients.iter().enumerate() {
            for lane in 0..depth {
                tasks.spawn(creates(
                    client.clone(),
                    format!("/{depth}-{index}-{lane}"),
                    each,
                ));
            }
        }
        let mut times = Vec::new();
        while let Some(done) = tasks.join_next().await {
            times.extend(done.expect("no panic")?);
        }
        report(
            &name,
            CONNECTIONS * depth * each,
            (clock.monotonic() - start, times),
        );
    }
    server.stop().await
}

async fn connect(dir: &Path, count: usize) -> Result<Vec<Client>, Failure> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let endpoint = Endpoint::Dir {
            dir: dir.to_owned(),
            create: Create::Never,
            objects: ObjectsConfig::default(),
        };
        clients.push(Client::connect(Env::real(), endpoint, ClientOptions::default()).await?);
    }
    Ok(clients)
}

async fn lookups(
    client: Client,
    path: NsPath,
    count: usize,
) -> Result<(Duration, Vec<Duration>), Failure> {
    let (clock, begin) = start();
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let before = clock.monotonic();
        client.lookup(&path, Follow::No).await?;
        times.push(clock.monotonic() - before);
    }
    Ok((clock.monotonic() - begin, times))
}

async fn creates(client: Client, prefix: String, count: usize) -> Result<Vec<Duration>, Failure> {
    let (clock, _) = start();
    let mut times = Vec::with_capacity(count);
    for index in 0..count {
        let path = NsPath::parse(format!("{prefix}-{index}"))?;
        let before = clock.monotonic();
        client.make_dir(&path, 0o755, Parents::Required).await?;
        times.push(clock.monotonic() - before);
    }
    Ok(times)
}

fn start() -> (RealClock, Duration) {
    let clock = RealClock::new();
    let now = clock.monotonic();
    (clock, now)
}

#[expect(clippy::print_stdout, reason = "an example speaks to a person")]
fn report(name: &str, count: usize, (total, mut times): (Duration, Vec<Duration>)) {
    times.sort_unstable();
    let at = |share: usize| {
        times
            .get(times.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    let rate = count as f64 / total.as_secs_f64();
    println!("{name}: {rate:.0}/s, p50 {:?}, p99 {:?}", at(50), at(99));
}
