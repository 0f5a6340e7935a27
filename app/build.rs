//! Writes where libtorch is into our binaries. torch-sys tells only `model`, which passes it on.

use std::env;

fn main() {
    #[expect(clippy::disallowed_methods, reason = "how cargo talks to a build script")]
    let lib = env::var("DEP_MODEL_LIBTORCH_LIB").expect("`model`, a direct dependency, sets it");
    // `$ORIGIN/../lib` is where an image puts it; there the first folder does not exist.
    println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib:{lib}");
    println!("cargo::rerun-if-changed=build.rs");
}
