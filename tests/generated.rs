//! Files that a program writes and people review: each is what its program writes today. What renders
//! without libtorch is compared where it is checked, the manifests in `delivery`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use e2e::process::{command, run, run_into_a_full_device, run_without_a_reader};
use e2e::repo;

#[test]
#[expect(clippy::disallowed_methods, reason = "how the developer asks for new expectations")]
fn the_committed_api_document_is_what_the_service_prints() {
    let mut service = command(repo::release_binary("mnist-api"), &repo::root());
    let printed = run(service.arg("openapi")).success().stdout;
    let file = repo::root().join("app/openapi.json");
    if std::env::var("UPDATE_EXPECT").is_ok() {
        fs_err::write(&file, &printed).unwrap();
    }
    let reviewed = fs_err::read_to_string(&file).unwrap_or_default();
    let difference = printed.lines().zip(reviewed.lines()).find(|(now, then)| now != then);
    assert!(
        printed == reviewed,
        "app/openapi.json is not what `mnist-api openapi` prints: {difference:?}; look at it, then run \
         `cargo xtask check` with UPDATE_EXPECT=1"
    );
}

#[test]
fn a_document_that_cannot_be_printed_is_an_error_and_a_reader_who_left_is_none() {
    let mut service = command(repo::release_binary("mnist-api"), &repo::root());
    service.arg("openapi");
    let unwritable = run_into_a_full_device(&mut service);
    assert_eq!(unwritable.code, Some(1), "{}", unwritable.stderr);
    assert!(unwritable.stderr.starts_with("error: stdout cannot be"), "{}", unwritable.stderr);
    let unread = run_without_a_reader(&mut service);
    assert_eq!((unread.code, unread.stderr.as_str()), (Some(0), ""));
}
