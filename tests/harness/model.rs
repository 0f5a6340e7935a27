//! A model trained on the real data, once per build of the trainer, shared by every test.

use std::path::{Path, PathBuf};

use contract::artifact::Artifact;
use contract::digest::Digest;

use crate::data;
use crate::process::{run, xtask};
use crate::repo;

/// The shipped task, `quick` recipe, seed 0.
pub fn quick() -> Artifact {
    quick_of(0)
}

pub fn quick_of(seed: u64) -> Artifact {
    let trainer = Digest::of_file(&repo::release_binary("model")).expect("the trainer can be read");
    let inputs = ["model/task.yaml", "model/recipes/quick.yaml"]
        .map(|file| Digest::of_file(&repo::root().join(file)).expect("a file of the checkout"));
    let key = Digest::of(format!("{trainer}{inputs:?}").as_bytes()).hex();
    let folder = repo::scratch().join(format!("quick-{seed}-{}", &key[..12]));
    let lock = fs_err::File::create(repo::scratch().join("quick.lock")).expect("a lock file");
    lock.file().lock().expect("a lock");
    if !folder.exists() {
        let task = data::task();
        let mirror = data::folder(&task);
        let mirror = mirror.to_str().expect("the checkout's path is text");
        let seed = seed.to_string();
        let data = ["--data", &task.data.name, "--mirror", mirror];
        train(&folder, &[&["--recipe", "quick", "--seed", &seed], &data[..]].concat());
    }
    Artifact::open(&folder).expect("the artifact is whole")
}

/// `cargo xtask train` into `out`, all else that it makes beside it; what it printed on stdout.
#[track_caller]
pub fn train(out: &Path, args: &[&str]) -> PathBuf {
    let mut xtask = xtask(out.parent().expect("an artifact lies in a folder"));
    xtask.arg("train").arg("--out").arg(out).args(args);
    let printed = run(&mut xtask).success().stdout;
    PathBuf::from(printed.trim_end())
}
