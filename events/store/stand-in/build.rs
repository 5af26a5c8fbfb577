//! Makes the server's side of the protocol from the descriptions that the client `eventstore` ships, so
//! that both sides always speak the same version of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a build that cannot go on stops")]

use std::{env, path::PathBuf, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../../../Cargo.lock");
    let protos = protos_of_the_client();
    let files = ["streams.proto", "serverfeatures.proto"].map(|file| protos.join(file));
    let described = protox::compile(files, [&protos]).expect("the client's descriptions are sound");
    tonic_build::configure()
        .build_client(false)
        .bytes(["."])
        .include_file("protocol.rs")
        .compile_fds(described)
        .expect("code can be made of them");
}

fn protos_of_the_client() -> PathBuf {
    let output = Command::new(env::var("CARGO").expect("cargo runs this"))
        .args(["metadata", "--format-version", "1", "--all-features", "--offline"])
        .current_dir(env::var("CARGO_MANIFEST_DIR").expect("cargo runs this"))
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().expect("packages");
    let client = packages.iter().find(|package| package["name"] == "eventstore");
    let manifest = client.expect("the client is in the workspace")["manifest_path"].as_str().unwrap();
    PathBuf::from(manifest).with_file_name("protos")
}
