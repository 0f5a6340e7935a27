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
