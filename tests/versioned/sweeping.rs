//! What is named is kept.

use crate::checkout::{Checkout, files};

/// How many objects a cache or a remote holds.
fn objects(checkout: &Checkout, place: &str) -> usize {
    files(&checkout.root.join(place)).len()
}

#[test]
fn what_no_pointer_names_is_removed_and_what_one_names_is_kept() {
    let checkout = Checkout::new();
    let version = |text: &str| {
        checkout.write("data/a", text);
        checkout.write("data/b", "same");
        checkout.ours(&["add", "data"]).success();
        checkout.remote("    url = ../../store\n    verify = true\n");
        checkout.commit();
        checkout.ours(&["push"]).success();
    };
    version("one");
    checkout.git(&["tag", "one"]);
    version("two");
    checkout.git(&["branch", "two"]);
    version("three");
    version("four");
    let (cache, store) = (".dvc/cache", "../store");
    assert_eq!((objects(&checkout, cache), objects(&checkout, store)), (9, 9));

    checkout.ours(&["gc", "--dry-run"]).success();
    assert_eq!(objects(&checkout, cache), 9);
    checkout.ours(&["gc", "--all-branches", "--all-tags", "--cloud"]).success();
    assert_eq!((objects(&checkout, cache), objects(&checkout, store)), (7, 7));
    checkout.ours(&["gc", "--all-tags"]).success();
    assert_eq!((objects(&checkout, cache), objects(&checkout, store)), (5, 7));
    // The remote has what the cache has no more.
    checkout.ours(&["gc", "--all-branches", "--cloud"]).success();
    checkout.ours(&["gc"]).success();
    assert_eq!((objects(&checkout, cache), objects(&checkout, store)), (3, 5));
    checkout.is_clean();
    checkout.git(&["checkout", "--quiet", "two"]);
    checkout.ours(&["pull"]).success();
    assert_eq!(checkout.read("data/a"), "two");

    // A manifest that nobody has could name anything.
    checkout.git(&["checkout", "--quiet", "one"]);
    checkout.refused(&["gc"], &["nobody knows what it names"]);
}

#[test]
fn whatever_leaves_a_doubt_about_what_is_named_ends_it_before_the_first_removal() {
    let checkout = Checkout::new();
    checkout.write("data", "of a pointer that Git ignores");
    checkout.ours(&["add", "data"]).success();
    checkout.write(".gitignore", "*.dvc\n");
    checkout.ours(&["gc"]).success();
    let cache = ".dvc/cache";
    assert_eq!(objects(&checkout, cache), 1, "an ignored pointer names its data, too");

    checkout.write(".gitignore", "/data*\n");
    checkout.write("unnamed", "of nobody");
    checkout.ours(&["add", "unnamed"]).success();
    fs_err::remove_file(checkout.root.join("unnamed.dvc")).unwrap();
    checkout.refused(&["gc", "--remote", "store"], &["`--cloud` is not there"]);
    checkout.refused(&["gc", "--cloud"], &["what others may have pointers to", "--all-branches"]);
    checkout.write("stage/dvc.lock", "schema: '2.0'\n");
    checkout.refused(&["gc"], &["dvc.lock", "outputs of a pipeline"]);
    checkout.commit();
    checkout.git(&["branch", "with-a-pipeline"]);
    fs_err::remove_file(checkout.root.join("stage/dvc.lock")).unwrap();
    checkout.commit();
    checkout.refused(&["gc", "--all-branches"], &["dvc.lock", "in commit"]);
    checkout.write("broken.dvc", "outs: [");
    checkout.refused(&["gc"], &["broken.dvc"]);
    fs_err::remove_file(checkout.root.join("broken.dvc")).unwrap();
    assert_eq!(objects(&checkout, cache), 2);
    checkout.ours(&["gc"]).success();
    assert_eq!(objects(&checkout, cache), 1);
}

#[test]
fn whoever_cloned_one_branch_takes_nothing_from_the_others() {
    let checkout = Checkout::new();
    let store = checkout.beside("store");
    checkout.write("one", "of main");
    checkout.ours(&["add", "one"]).success();
    checkout.remote(&format!("    url = {}\n", store.display()));
    checkout.commit();
    checkout.git(&["checkout", "--quiet", "-b", "other"]);
    checkout.write("another", "of the other");
    checkout.ours(&["add", "another"]).success();
    checkout.commit();
    checkout.ours(&["push"]).success();
    checkout.git(&["checkout", "--quiet", "main"]);

    let clone = checkout.clone_of();
    clone.ours(&["pull"]).success();
    clone.git(&["remote", "set-branches", "origin", "main"]);
    clone.git(&["branch", "--remotes", "--delete", "origin/other"]);
    let sweep = ["gc", "--cloud", "--all-branches"];
    clone.refused(&sweep, &["fetches only some branches of `origin`", "git remote set-branches"]);
    clone.git(&["remote", "set-branches", "origin", "*"]);
    clone.git(&["fetch", "--quiet", "origin"]);
    clone.ours(&sweep).success();
    assert_eq!(files(&store).len(), 2);
}
