//! How long a dump takes: fills a store on disk with inodes, then writes a binary dump of it.
//!
//! `cargo run --release -p nokv-namespace --example dump -- DIR [INODES]`
#![expect(clippy::print_stdout, reason = "it prints its figures")]
#![expect(clippy::disallowed_methods, reason = "it reads the clock and /proc")]

use bytes::Bytes;
use nokv_dump::{BinaryWriter, Bodies, Head};
use nokv_env::Env;
use nokv_namespace::{
    Content, Context, Durability, Expect, Namespace, NewAttributes, Options, Parents, Publish,
    PublishItem, View,
};
use nokv_types::{Body, Layout, NsPath, TimeNanos};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

const PER_DIRECTORY: usize = 1_000;
const PAGE_BYTES: usize = 2 << 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("say where: DIR [INODES]")?;
    let inodes: usize = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let namespace = Namespace::open(
        Env::real(),
        &Path::new(&dir).join("meta"),
        Options::default(),
    )?;
    let context = Context {
        durability: Durability::Buffered,
        ..Context::new(namespace.default_mount(), TimeNanos::new(1))
    };
    let begun = Instant::now();
    for directory in 0..inodes.div_ceil(PER_DIRECTORY + 1) {
        let item = |name: usize| {
            let body = Bytes::from(format!("body {name} of {directory}"));
            let body = Body::new(body.len() as u64, None, Layout::Inline(body))?;
            let (upper, lower) = (directory / 64, directory % 64);
            let path = format!("/d{upper:03}/e{lower:02}/file-{name:05}.bin");
            Ok::<_, nokv_types::Failure>(PublishItem {
                path: NsPath::parse(path)?,
                content: Content::File(body),
                attributes: NewAttributes::mode(0o644),
                expect: Expect::Any,
            })
        };
        let publish = Publish {
            items: (0..PER_DIRECTORY).map(item).collect::<Result<_, _>>()?,
            parents: Parents::Create,
            session: None,
        };
        namespace.publish(&context, publish)?;
    }
    println!("filled in {:.2?}, {} MiB", begun.elapsed(), peak_mib());
    for _ in 0..3 {
        dump(&namespace, &dir)?;
    }
    namespace.close()?;
    Ok(())
}

fn dump(namespace: &Namespace, dir: &str) -> Result<(), Box<dyn std::error::Error>> {
    let begun = Instant::now();
    let head = Head {
        store_id: [0; 16],
        mount: "default".to_owned(),
        path: Bytes::from_static(b"/"),
        version: namespace.read_version(),
        made_millis: 0,
        bodies: Bodies::Referenced,
    };
    let path = Path::new(dir).join("dump");
    let file = BufWriter::new(std::fs::File::create(&path)?);
    let mut writer = BinaryWriter::new(file, &head)?;
    let view = View::latest(namespace.default_mount()).at(head.version);
    let (root, mut after, mut count) = (NsPath::root(), None, 0);
    loop {
        let page = namespace.dump(&view, &root, after.as_deref(), PAGE_BYTES)?;
        writer.encoded_nodes(&page.nodes, page.count)?;
        count += page.count;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    writer.finish()?.flush()?;
    let (took, bytes) = (begun.elapsed(), std::fs::metadata(&path)?.len());
    println!(
        "{count} nodes, {bytes} bytes in {took:.2?}, peak {} MiB",
        peak_mib()
    );
    Ok(())
}

/// The most memory that the process has had.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) >> 10
}
