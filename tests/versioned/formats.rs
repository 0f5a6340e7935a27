//! The bytes that both write.

use e2e::repo;

use crate::checkout::{Checkout, files};

/// Names that JSON, YAML or a sorting by components would spell otherwise.
const NAMES: [&str; 12] =
    ["a/b", "a.txt", "a-b", "a b", "é", "😀", "q\"'", "#x", "1e5", "true", "x: y", "deep/er/still"];

fn both(change: impl Fn(&Checkout), paths: &[&str]) -> (Checkout, Checkout) {
    let (ours, theirs) = (Checkout::new(), Checkout::new());
    theirs.dvc(&["init", "--quiet"]);
    for checkout in [&ours, &theirs] {
        change(checkout);
    }
    ours.ours(&[&["add"], paths].concat()).success();
    theirs.dvc(&[&["add", "--quiet"], paths].concat());
    (ours, theirs)
}

#[track_caller]
fn are_alike(ours: &Checkout, theirs: &Checkout) {
    let of = |checkout: &Checkout| {
        let mut files = files(&checkout.root);
        files.retain(|name, _| {
            let not_ours = [".git/", ".dvc/tmp/", ".dvcignore"];
            !not_ours.iter().any(|other| name.starts_with(other))
        });
        files
    };
    let (ours, theirs) = (of(ours), of(theirs));
    for (name, content) in &theirs {
        let written = ours.get(name).map(|bytes| String::from_utf8_lossy(bytes));
        assert_eq!(written.as_deref(), Some(&*String::from_utf8_lossy(content)), "{name}");
    }
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
}

#[test]
fn pointers_manifests_and_cache_have_the_bytes_that_dvc_writes() {
    let write = |checkout: &Checkout| {
        for name in NAMES {
            checkout.write(&format!("data/set/{name}"), format!("content of {name}\n"));
        }
        checkout.write("data/set/empty", "");
        // Of a clone, a submodule and a folder that Mercurial has: nobody's data.
        for own in ["inner/.git/config", "module/.git", "other/.hg/store", "inner/.dvc/config"] {
            checkout.write(&format!("data/set/{own}"), "not ours\n");
        }
        checkout.write("data/one.bin", [0, 1, 2, 255].repeat(1000));
    };
    let (ours, theirs) = both(write, &["data/set", "data/one.bin"]);
    are_alike(&ours, &theirs);

    for checkout in [&ours, &theirs] {
        checkout.write("data/set/more", "more\n");
        fs_err::remove_file(checkout.root.join("data/set/a-b")).unwrap();
        let pointer = checkout.read("data/set.dvc");
        checkout.write(
            "data/set.dvc",
            format!("# ours\ndesc: pictures\nmeta:\n  from: [a, b]\n{pointer}"),
        );
        checkout.write("data/one.bin", "now text\n");
    }
    ours.ours(&["add", "data/set", "data/one.bin"]).success();
    theirs.dvc(&["add", "--quiet", "data/set", "data/one.bin"]);
    are_alike(&ours, &theirs);
}

#[test]
fn a_name_is_quoted_in_a_pointer_where_dvc_quotes_it() {
    let names = [
        "1",
        "1e5",
        "1_000",
        "0x1f",
        "0o7",
        ".5",
        "true",
        "no",
        "y",
        "null",
        "~",
        "2020-01-01",
        "a: b",
        "a:b",
        "x #y",
        "#x",
        "-x",
        "- x",
        "'q'",
        "'a\"b",
        "\"q\"",
        "a,b",
        "[x",
        "{x",
        "!x",
        "&x",
        "*x",
        "%x",
        "@x",
        "`x",
        "?x",
        "? x",
        "=",
        "<<",
        "ü",
        "😀",
        "a b",
    ];
    let write = |checkout: &Checkout| {
        for name in names {
            checkout.write(&format!("data/{name}"), name);
        }
    };
    let paths: Vec<String> = names.iter().map(|name| format!("data/{name}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let (ours, theirs) = both(write, &paths);
    for name in names {
        let pointer = format!("data/{name}.dvc");
        assert_eq!(ours.read(&pointer), theirs.read(&pointer));
    }
}

#[test]
fn an_artifact_is_versioned_where_training_puts_it() {
    let ignored = fs_err::read_to_string(repo::root().join(".gitignore")).unwrap();
    let write = |checkout: &Checkout| {
        checkout.write(".gitignore", &ignored);
        checkout.write("artifacts/toy-0123/manifest.json", "{}");
        checkout.write("artifacts/toy-0123/model.pt", "weights");
    };
    let (ours, theirs) = both(write, &["artifacts/toy-0123"]);
    are_alike(&ours, &theirs);
    let told = ours.git(&["status", "--porcelain", "--untracked-files=all", "artifacts"]);
    assert_eq!(told, "?? artifacts/toy-0123.dvc\n");
}
