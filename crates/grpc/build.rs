//! Generates the services of `nokv/v1/services.proto` for tonic, with protox: no protoc needed.
//!
//! Invariant: only services are generated here; every message is the one of `nokv-proto`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../proto/proto");
    let descriptors = protox::compile(["nokv/v1/services.proto"], ["../proto/proto"])?;
    tonic_prost_build::configure()
        .build_client(true)
        .extern_path(".nokv.v1", "::nokv_proto::v1")
        .compile_fds(descriptors)?;
    Ok(())
}
