//! The checkout under test and the binaries built from it.

use std::path::{Path, PathBuf};

/// Another one where a test runs tests in a copy.
pub const CHECKOUT: &str = "E2E_CHECKOUT";

pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the checkout");
    std::env::var_os(CHECKOUT).map_or_else(|| here.to_owned(), PathBuf::from)
}

/// `target`, from `target/<profile>/deps/<test>`.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    test.ancestors().nth(3).expect("a test lies in target/<profile>/deps").to_owned()
}

/// A binary of the libtorch packages, which are built in the release profile.
pub fn release_binary(name: &str) -> PathBuf {
    built(target().join("release").join(name))
}

pub fn xtask() -> PathBuf {
    built(target().join("debug/xtask"))
}

pub fn gitops_listen() -> PathBuf {
    built(target().join("debug/gitops-listen"))
}

/// Where `cargo xtask test` keeps the data: the checkout, unless its user said otherwise.
pub fn home() -> PathBuf {
    std::env::var_os("XTASK_HOME").map_or_else(root, PathBuf::from)
}

/// For what tests make and may keep, beside the build.
pub fn scratch() -> PathBuf {
    let folder = target().join("e2e");
    fs_err::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

fn built(path: PathBuf) -> PathBuf {
    assert!(path.is_file(), "{} is not built; run the tests by `cargo xtask test`", path.display());
    path
}

/// A folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).expect("a folder to write to");
    for entry in fs_err::read_dir(from).expect("a folder of the checkout") {
        let entry = entry.expect("a folder of the checkout");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its kind is known").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs_err::copy(entry.path(), target).expect("a folder to write to");
        }
    }
}
