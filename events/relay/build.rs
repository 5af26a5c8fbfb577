//! Embedded migrations are read when the crate is compiled: a new file must make it compile again.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
