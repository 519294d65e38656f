//! Generates the Rust messages from `proto/nokv/v1/*.proto` with protox, so that no protoc is
//! needed.
//!
//! Invariants: every `bytes` field becomes `bytes::Bytes` (a decoded message shares the buffer of
//! its frame), and the descriptor set is kept whole (`nokv.v1.bin`, with comments), for reflection.

use prost::Message;
use std::path::PathBuf;

const FILES: &[&str] = &[
    "proto/nokv/v1/frame.proto",
    "proto/nokv/v1/namespace.proto",
    "proto/nokv/v1/bodies.proto",
    "proto/nokv/v1/admin.proto",
    "proto/nokv/v1/branches.proto",
    "proto/nokv/v1/clients.proto",
    "proto/nokv/v1/dump.proto",
    "proto/nokv/v1/mount.proto",
    "proto/nokv/v1/edits.proto",
    "proto/nokv/v1/nouns.proto",
    "proto/nokv/v1/quotas.proto",
    "proto/nokv/v1/services.proto",
    "proto/nokv/v1/snapshots.proto",
    "proto/nokv/v1/watch.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    #[expect(
        clippy::disallowed_methods,
        reason = "a build script runs outside of the environment that the rule protects"
    )]
    std::fs::write(out.join("nokv.v1.bin"), descriptors.encode_to_vec())?;
    prost_build::Config::new()
        .bytes(["."])
        .skip_protoc_run()
        .compile_fds(descriptors)?;
    Ok(())
}
