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
    "proto/nokv/v1/backup.proto",
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
    "proto/nokv/v1/shards.proto",
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
    #[expect(
        clippy::disallowed_methods,
        reason = "a build script runs outside of the environment that the rule protects"
    )]
    std::fs::write(out.join("methods.rs"), methods(&descriptors))?;
    prost_build::Config::new()
        .bytes(["."])
        .skip_protoc_run()
        .compile_fds(descriptors)?;
    Ok(())
}

/// The methods of `Request`, numbered for tables: generated, so that none can be missing.
fn methods(descriptors: &prost_types::FileDescriptorSet) -> String {
    let messages = descriptors.file.iter().flat_map(|file| &file.message_type);
    let request = messages.filter(|message| message.name() == "Request");
    let fields = request.flat_map(|request| &request.field);
    let methods = fields.filter(|field| field.oneof_index.is_some());
    let names: Vec<_> = methods.map(|field| camel(field.name())).collect();
    let rows = names.iter().enumerate();
    let rows: String = rows
        .map(|(at, name)| format!("            Self::{name}(_) => {at},\n"))
        .collect();
    format!(
        "/// The methods by name, as `ReadDir`: [`request::Method::row`] says which is whose.\n\
         pub const METHODS: &[&str] = &{names:?};\n\n\
         impl request::Method {{\n    \
             /// Its place in [`METHODS`].\n    \
             #[must_use]\n    \
             pub const fn row(&self) -> usize {{\n        \
                 match self {{\n{rows}        }}\n    }}\n}}\n"
    )
}

/// The name of a variant for a field: `read_dir` is `ReadDir`.
fn camel(field: &str) -> String {
    let words = field.split('_').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    words.collect()
}
