//! Compiles the .proto files with protox, so that no system protoc is needed, and keeps the descriptor set for reflection.

use std::{env, fs, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "proto/sottovoce/v1/common.proto",
        "proto/sottovoce/v1/agents.proto",
        "proto/sottovoce/v1/analysts.proto",
        "proto/sottovoce/v1/register.proto",
        "proto/sottovoce/v1/enrolment.proto",
    ];
    let descriptors = protox::compile(files, ["proto"])?;
    fs::write(
        PathBuf::from(env::var("OUT_DIR")?).join("sottovoce.bin"),
        descriptors.encode_to_vec(),
    )?;
    // Vectors and signed messages stay `Bytes`: a slice of what arrived, not a copy of it.
    // No `connect` on clients: it would clash with the call of that name, and a client needs its TLS set up anyway.
    tonic_prost_build::configure()
        .bytes(".")
        .build_transport(false)
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}
