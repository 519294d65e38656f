//! gRPC from another language: a Python client that was generated from the `.proto` alone.

use crate::program::Store;
use crate::weed;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_python_client_creates_lists_watches_snapshots_and_renames() {
    let store = Store::new();
    let server = store.serve(["--grpc", "127.0.0.1:0"]);
    let address = server.welcome.iter();
    let address = address.filter_map(|line| line.split_once("grpc "));
    let address = address.map(|(_, address)| address.trim().to_owned()).next();
    let generated = store.local("generated");
    std::fs::create_dir(&generated).expect("writable");
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let protos = package.join("../proto/proto");
    let mut files = std::fs::read_dir(protos.join("nokv/v1"))
        .expect("there")
        .map(|entry| entry.expect("readable").path())
        .collect::<Vec<_>>();
    files.sort();
    let mut generate = python();
    generate
        .args(["-m", "grpc_tools.protoc", "-I"])
        .arg(&protos)
        .arg(format!("--python_out={}", generated.display()))
        .arg(format!("--grpc_python_out={}", generated.display()))
        .args(files);
    succeed(generate);
    let mut client = python();
    client
        .arg(package.join("tests/it/grpc_client.py"))
        .arg(&generated)
        .arg(address.expect("it says where it listens"));
    assert_eq!(succeed(client), "ok\n");
    assert_eq!(store.ok(["ls", "/runs"]), b"best\n");
    assert_eq!(server.stop(), Some(0));
}

fn python() -> Command {
    let mut command = Command::new(weed::tools().join("venv/bin/python3"));
    command.stdin(Stdio::null());
    command
}

fn succeed(mut command: Command) -> String {
    let output = command.output().expect("installed by `cargo xtask setup`");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).expect("text")
}
