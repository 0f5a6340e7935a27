//! A folder appears whole or not at all, and the same training gives the same model.

use std::path::Path;

use contract::atomic::is_partial;
use contract::manifest::SourceRecord;
use model::artifact::{Destination, write};
use model::classifier::Classifier;
use model::dataset::Split;
use model::test_set::TestSet;

use crate::toy::{artifact, dataset, task, train, write_to};

#[test]
fn the_same_seed_gives_the_same_model_and_another_seed_another() {
    let folder = tempfile::tempdir().unwrap();
    let again = write_to(folder.path(), 0);
    assert_eq!(again.file_name(), artifact().file_name());
    assert_ne!(write_to(folder.path(), 1).file_name(), artifact().file_name());
}

#[test]
fn a_model_of_generated_pictures_names_no_other_data_anywhere() {
    let other = task().data.name;
    for entry in fs_err::read_dir(artifact()).unwrap() {
        let path = entry.unwrap().path();
        let content = String::from_utf8_lossy(&fs_err::read(&path).unwrap()).into_owned();
        assert!(!content.contains(&other), "{} names {other}", path.display());
        let named = content.contains("synthetic-digits");
        let of_data = ["manifest.json", "MODEL_CARD.md", "evaluation.json"];
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(named || !(of_data.contains(&name) || name.contains(".svg")), "{name}");
    }
    let card = fs_err::read_to_string(artifact().join("MODEL_CARD.md")).unwrap();
    assert!(card.starts_with("# A toy (synthetic-digits) · "), "{card}");
}

#[test]
fn a_writer_that_fails_half_way_leaves_nothing_that_looks_whole() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset();
    let trained = train(&dataset, 0);
    // Found only after the model was written: an evaluation of no images is none.
    let none = TestSet::new(Split::new(dataset.shape, Vec::new(), Vec::new()));
    let source = SourceRecord { git_revision: None, dirty: false };
    let destination = Destination::Within(folder.path().to_owned());
    write(&trained, &task(), &dataset, none, source, &destination).unwrap_err();
    let left = fs_err::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0);
}

/// This test binary runs itself as the writer and kills it at whatever it happens to be doing.
#[test]
#[expect(clippy::disallowed_methods, reason = "the process to be killed is this very test")]
fn a_killed_writer_leaves_nothing_that_looks_whole() {
    const FOLDER: &str = "MODEL_TEST_WRITES_TO";
    if let Ok(folder) = std::env::var(FOLDER) {
        write_to(Path::new(&folder), 0);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut writer = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writing::a_killed_writer_leaves_nothing_that_looks_whole"])
        .env(FOLDER, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let names = || -> Vec<std::ffi::OsString> {
        let entries = fs_err::read_dir(folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    // Training ends when the hidden folder appears; the model is written into it first.
    while !names().iter().any(|name| is_partial(name)) {
        assert!(writer.try_wait().unwrap().is_none(), "ended before it was killed: {:?}", names());
        std::thread::yield_now();
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    // On a busy machine the writer may have come to its end before it was killed.
    for name in names().into_iter().filter(|name| !is_partial(name)) {
        Classifier::open(&folder.path().join(name)).unwrap();
    }
    let again = write_to(folder.path(), 0);
    assert_eq!(names(), [again.file_name().unwrap()]);
    Classifier::open(&again).unwrap();
}
