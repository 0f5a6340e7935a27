//! What one pushes the other pulls.

use e2e::process::{command, run};
use e2e::served::Served;

use crate::checkout::{Checkout, files};

fn with_data() -> Checkout {
    let checkout = Checkout::new();
    for number in 0..20 {
        checkout.write(&format!("data/set/{number:02}/é {number}.txt"), number.to_string());
    }
    // Sent in several parts where a remote has them.
    let large: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    checkout.write("data/set/large", &large);
    checkout.write("model.bin", "weights");
    checkout.ours(&["add", "data/set", "model.bin"]).success();
    checkout
}

/// Ours pushes, DVC pulls; DVC changes and pushes, ours pulls.
fn both_ways(settings: &str) {
    let ours = with_data();
    ours.remote(settings);
    ours.commit();
    let told = ours.ours(&["push"]).success().stdout;
    assert!(told.contains("23 pushed") || told.contains("24 pushed"), "{told}");
    assert!(ours.ours(&["push"]).success().stdout.contains("0 pushed"));
    ours.is_clean();

    let theirs = ours.clone_of();
    theirs.dvc(&["pull"]);
    assert_eq!(files(&theirs.root.join("data/set")), files(&ours.root.join("data/set")));
    theirs.is_clean();
    theirs.write("data/set/00/é 0.txt", "changed");
    theirs.write("data/set/new", "new");
    fs_err::remove_dir_all(theirs.root.join("data/set/01")).unwrap();
    theirs.dvc(&["add", "--quiet", "data/set"]);
    theirs.dvc(&["push"]);
    theirs.commit();

    ours.git(&["pull", "--quiet", theirs.root.to_str().unwrap(), "main"]);
    ours.ours(&["pull"]).success();
    assert_eq!(files(&theirs.root.join("data/set")), files(&ours.root.join("data/set")));
    ours.is_clean();
    let third = theirs.clone_of();
    third.ours(&["pull", "data/set"]).success();
    third.ours(&["pull", "model.bin.dvc"]).success();
    third.is_clean();
}

#[test]
fn what_one_pushes_to_a_folder_the_other_pulls() {
    let store = tempfile::tempdir().unwrap();
    both_ways(&format!("    url = {}\n    verify = true\n", store.path().join("a/b").display()));
}

#[test]
fn what_one_pushes_to_s3_the_other_pulls() {
    let s3 = Served::s3(false);
    let mut bucket = command("curl", &std::env::temp_dir());
    run(bucket.args(["--silent", "--fail", "--request", "PUT", &format!("{}/bucket", s3.url())]))
        .success();
    both_ways(&format!(
        "    url = s3://bucket/some/where\n    endpointurl = {}\n    region = us-east-1\n    verify = true\n",
        s3.url()
    ));
}

#[test]
#[ignore = "slow: another remote; a folder and S3 are tried out always"]
fn what_one_pushes_over_http_the_other_pulls() {
    let store = tempfile::tempdir().unwrap();
    let server = Served::http(store.path(), "secret");
    both_ways(&format!(
        "    url = {}/some/where\n    method = PUT\n    auth = basic\n    user = user\n    password = secret\n    verify = true\n",
        server.url()
    ));
}
