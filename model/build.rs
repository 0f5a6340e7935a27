//! Where libtorch is, known to torch-sys alone, written into our binaries and passed on to `app`.

use std::env;

fn main() {
    #[expect(clippy::disallowed_methods, reason = "how cargo talks to a build script")]
    let lib = env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys, a direct dependency, sets it");
    println!("cargo::metadata=LIB={lib}");
    // `$ORIGIN/../lib` is where an image puts it; there the first folder does not exist.
    println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib:{lib}");
    println!("cargo::rerun-if-changed=build.rs");
}
