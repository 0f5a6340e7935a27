//! What goes wrong: told with a way forward, and nothing is lost.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use e2e::process::{command, run, run_into_a_full_device, run_without_a_reader};
use e2e::repo;
use e2e::served::Served;

use crate::checkout::{Checkout, files};

/// With a folder that is pushed to.
fn checkout(files: usize) -> (Checkout, PathBuf) {
    let checkout = Checkout::new();
    for number in 0..files {
        checkout.write(&format!("data/{number}"), number.to_string());
    }
    checkout.ours(&["add", "data"]).success();
    checkout.remote("    url = ../../store\n    verify = true\n");
    checkout.commit();
    let store = checkout.beside("store");
    (checkout, store)
}

fn in_store(store: &Path, object: &str) -> PathBuf {
    store.join("files/md5").join(&object[..2]).join(&object[2..])
}

/// The name of the manifest.
fn named(checkout: &Checkout) -> String {
    let pointer = checkout.read("data.dvc");
    pointer.split("md5: ").nth(1).unwrap().lines().next().unwrap().to_owned()
}

#[test]
#[ignore = "slow: killed at many moments"]
fn a_push_that_is_killed_leaves_no_manifest_and_the_next_one_ends_it() {
    let (checkout, store) = checkout(2000);
    let manifest = in_store(&store, &named(&checkout));
    for least in [1, 200, 600] {
        let mut push = checkout.data();
        let mut push =
            push.arg("push").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while files(&store).len() < least && push.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let done = push.try_wait().unwrap().is_some();
        drop(push.kill());
        push.wait().unwrap();
        assert!(done || !manifest.exists(), "killed after {least}");
    }
    checkout.ours(&["push"]).success();
    assert!(manifest.is_file());
    let clone = checkout.clone_of();
    clone.remote(&format!("    url = {}\n    verify = true\n", store.display()));
    clone.dvc(&["pull"]);
    assert_eq!(files(&clone.root.join("data")).len(), 2000);
}

#[test]
#[ignore = "slow: killed at many moments"]
fn a_pull_that_is_killed_goes_on_where_it_was() {
    let (checkout, store) = checkout(2000);
    checkout.ours(&["push"]).success();
    let clone = checkout.clone_of();
    clone.remote(&format!("    url = {}\n", store.display()));
    let cache = clone.root.join(".dvc/cache/files");
    let mut pull = clone.data();
    let mut pull = pull.arg("pull").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while files(&cache).len() < 100 && pull.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(pull.kill());
    assert_eq!(pull.wait().unwrap().code(), None, "it was done before it was killed");
    let told = clone.ours(&["pull"]).success().stdout;
    assert!(!told.contains("2001 objects fetched"), "{told}");
    clone.ours(&["verify"]).success();
    assert_eq!(files(&clone.root.join("data")).len(), 2000);
}

#[test]
fn two_pushes_at_once_end_well() {
    let (checkout, store) = checkout(300);
    let push = || {
        let mut push = checkout.data();
        push.arg("push").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for push in [push(), push(), push()] {
        let ended = push.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    let of_cache = files(&checkout.root.join(".dvc/cache"));
    assert_eq!(files(&store), of_cache);
}

#[test]
fn what_a_remote_has_cut_off_is_refused_by_a_pull_and_mended_by_a_push() {
    let (checkout, store) = checkout(3);
    checkout.ours(&["push"]).success();
    // Of the content `0`.
    let object = "cfcd208495d565ef66e7dff9f98764da";
    fs_err::write(in_store(&store, object), "").unwrap();
    let clone = checkout.clone_of();
    clone.remote(&format!("    url = {}\n", store.display()));
    clone.refused(&["pull"], &[object, "`store`", "not what its name says"]);
    assert!(!clone.root.join("data/0").exists());
    checkout.refused(&["verify", "--cloud"], &[object]);
    let told = checkout.ours(&["push"]).success().stdout;
    assert!(told.contains("1 pushed"), "{told}");
    clone.ours(&["pull"]).success();

    fs_err::remove_file(in_store(&store, object)).unwrap();
    let clone = checkout.clone_of();
    clone.remote(&format!("    url = {}\n", store.display()));
    clone.refused(&["pull"], &[object, "is not on `store`"]);
    let told = checkout.ours(&["status", "--cloud"]).success().stdout;
    assert!(told.contains("lacks 1 of 4 objects"), "{told}");
    // Same length, other bytes.
    fs_err::write(in_store(&store, object), "7").unwrap();
    clone.refused(&["pull"], &[object, "not what its name says"]);
}

#[test]
fn what_cannot_be_done_is_refused_with_a_way_forward() {
    let empty = Checkout::new();
    empty.refused(&["status"], &["no data is versioned"]);
    let (checkout, _store) = checkout(2);
    let pointer = checkout.read("data.dvc");
    for (text, told) in [
        ("outs:\n- md5: 1", "missing field"),
        ("<<<<<<< ours\n", "no pointer to data"),
        ("", "outs"),
        (&*pointer.replace("path: data", "path: ../data"), "leads out"),
    ] {
        checkout.write("data.dvc", text);
        checkout.refused(&["pull"], &["data.dvc", told]);
        checkout.refused(&["gc"], &["data.dvc", told]);
    }
    checkout.write("data.dvc", &pointer);
    checkout.refused(&["add", "data/0"], &["overlap"]);
    checkout.refused(&["add", "nowhere"], &["`nowhere` is not there"]);
    checkout.refused(&["add", "/etc/passwd"], &["is not below"]);
    checkout.refused(&["pull", "nowhere"], &["no pointer `nowhere.dvc`"]);
    checkout.refused(&["push", "--remote", "other"], &["no remote `other`"]);
    checkout.write("tracked", "in Git");
    checkout.commit();
    checkout.refused(&["add", "tracked"], &["is in Git itself"]);
    checkout.write("data/0", "never added");
    checkout.refused(&["verify"], &["1 thing is not"]);
    checkout.refused(&["pull"], &["`data/0` was changed and is in no cache"]);
    checkout.ours(&["pull", "--force"]).success();
    assert_eq!(checkout.read("data/0"), "0");
    checkout.remote("    url = ftp://somewhere\n");
    checkout.refused(&["push"], &["nothing here speaks `ftp`"]);
    checkout.remote("    url = ../nowhere\n");
    fs_err::remove_dir_all(checkout.root.join(".dvc/cache")).unwrap();
    checkout.refused(&["pull"], &["nowhere` is not there"]);
}

#[test]
fn data_of_any_name_is_ignored_by_git_and_taken_for_no_other() {
    let checkout = Checkout::new();
    checkout.write("ab", "in Git");
    checkout.commit();
    for name in ["a\\b", "at the end  ", "a*", "[ab]", "!no", "#no", " begins", ":(top)ab"] {
        checkout.write(name, name);
        checkout.ours(&["add", name]).success();
        checkout.git(&["check-ignore", "--quiet", "--no-index", "--", &format!("./{name}")]);
    }
    checkout.refused(&["add", ".git/config"], &["`.git/config` is no data"]);
    checkout.refused(&["add", "."], &["the whole checkout"]);
}

#[test]
fn a_name_that_no_pointer_can_have_is_told_before_anything_is_taken() {
    let checkout = Checkout::new();
    checkout.write("two\nlines", "");
    checkout.refused(&["add", "two\nlines"], &["\"two\\nlines\" has control characters"]);
    let latin = OsStr::from_bytes(b"caf\xe9");
    fs_err::write(checkout.root.join(latin), "").unwrap();
    let ended = run(checkout.data().arg("add").arg(latin));
    assert!(ended.stderr.contains("caf\u{fffd}` is not UTF-8"), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: rename it"), "{}", ended.stderr);
    assert!(files(&checkout.root.join(".dvc/cache")).is_empty());
}

#[test]
fn a_checkout_is_found_whatever_its_folder_is_called() {
    let nowhere = tempfile::tempdir().unwrap();
    let add = |root: &Path| {
        let mut data = command(repo::release_binary("mlops"), root);
        run(data.args(["data", "add", "file"]))
    };
    let told = add(nowhere.path()).stderr;
    assert!(told.contains("a checkout of Git around it") && told.contains("hint: "), "{told}");
    for name in ["two\nlines", "two words", "at the end \n"] {
        let root = nowhere.path().join(name);
        fs_err::create_dir(&root).unwrap();
        run(command("git", &root).args(["init", "--quiet"])).success();
        fs_err::write(root.join("file"), name).unwrap();
        add(&root).success();
        assert!(root.join("file.dvc").is_file());
    }
}

#[test]
fn whoever_adds_at_once_has_his_line_in_gitignore() {
    let checkout = Checkout::new();
    let names: Vec<String> = (0..24).map(|number| format!("data-{number}")).collect();
    for name in &names {
        checkout.write(name, name);
    }
    checkout.ours(&["add", "data-0"]).success();
    let add =
        |name: &String| checkout.data().args(["add", name]).stdout(Stdio::null()).spawn().unwrap();
    for mut adding in names.iter().map(add).collect::<Vec<_>>() {
        assert!(adding.wait().unwrap().success());
    }
    let told = checkout.git(&["status", "--porcelain", "--untracked-files=all"]);
    let is_told = |name: &&String| told.lines().any(|line| line == format!("?? {name}"));
    let not_ignored: Vec<&String> = names.iter().filter(is_told).collect();
    assert!(not_ignored.is_empty(), "{not_ignored:?}");
}

#[test]
fn a_reader_who_left_stops_nothing_half_way() {
    let checkout = Checkout::new();
    for name in ["one", "two", "three"] {
        checkout.write(name, name);
    }
    let ended = run_without_a_reader(checkout.data().args(["add", "one", "two", "three"]));
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    assert!(checkout.root.join("three.dvc").is_file());
    let unwritable = run_into_a_full_device(checkout.data().arg("status"));
    assert_eq!(unwritable.code, Some(1));
    assert!(unwritable.stderr.contains("cannot be written to stdout"), "{}", unwritable.stderr);
}

#[test]
fn credentials_that_are_wrong_are_told_as_that() {
    let (checkout, _) = checkout(2);
    let store = tempfile::tempdir().unwrap();
    let server = Served::http(store.path(), "secret");
    checkout.remote(&format!(
        "    url = {}\n    method = PUT\n    auth = basic\n    user = user\n    password = wrong\n",
        server.url()
    ));
    checkout.refused(&["push"], &["credentials are wrong"]);
    let s3 = Served::s3(true);
    checkout.remote(&format!(
        "    url = s3://bucket/a\n    endpointurl = {}\n    region = us-east-1\n",
        s3.url()
    ));
    checkout.refused(&["push"], &["credentials are wrong"]);
}

#[test]
fn what_no_request_can_be_made_of_is_refused_before_any() {
    let (checkout, _) = checkout(1);
    let s3 = |settings: &str| checkout.remote(&format!("    url = s3://bucket/a\n{settings}"));
    for endpoint in ["127.0.0.1:9", "ftp://127.0.0.1", "http://", "http://two words"] {
        s3(&format!("    endpointurl = {endpoint}\n"));
        checkout.refused(&["push"], &[&format!("the endpoint `{endpoint}` is no URL")]);
    }
    s3("    endpointurl = http://127.0.0.1:9\n");
    for variable in ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_REGION"] {
        let ended = run(checkout.data().arg("push").env(variable, "read from a file\n"));
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("or {variable}, has a space")), "{}", ended.stderr);
    }
    // What Git has says where the data is, and no variable.
    let mut push = checkout.data();
    let ended = run(push.arg("push").env("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1"));
    assert!(ended.stderr.contains("http://127.0.0.1:9/bucket"), "{}", ended.stderr);
    assert!(ended.stderr.contains("Connection refused"), "{}", ended.stderr);
    for url in ["s3://", "s3:///a", "s3://two words/a", "gs://", "azure://?"] {
        checkout.remote(&format!("    url = {url}\n"));
        checkout.refused(&["push"], &[&format!("`{url}` names no bucket")]);
    }
}

#[test]
fn a_remote_that_is_gone_is_not_asked_for_every_object() {
    let (checkout, _) = checkout(200);
    checkout.remote("    url = http://127.0.0.1:9\n    method = PUT\n");
    checkout.refused(&["push"], &["64 objects failed, among them", "what arrived already is kept"]);
}

/// A disk of two megabytes, in a world of its own.
#[test]
fn a_disk_that_is_full_is_told_and_what_was_written_whole_stays() {
    let checkout = Checkout::new();
    checkout.write("data/small", "small");
    let noise: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    checkout.write("data/z large", noise);
    let script = "mkdir -p .dvc/cache && mount -t tmpfs -o size=2m tmpfs .dvc/cache && \"$0\" data add data; \
                  ended=$?; find .dvc/cache -type f; exit $ended";
    let mut unshare = command("unshare", &checkout.root);
    unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    let ended = run(unshare.arg(repo::release_binary("mlops")));
    assert_eq!(ended.code, Some(1), "{} {}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("hint: free some space"), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    assert!(!checkout.root.join("data.dvc").exists());
}

#[test]
fn a_pull_overwrites_no_file_that_is_hidden_from_it() {
    let (checkout, store) = checkout(2);
    checkout.ours(&["push"]).success();
    let clone = checkout.clone_of();
    clone.remote(&format!("    url = {}\n", store.display()));
    clone.write(".dvcignore", "/data/0\n");
    clone.write("data/0", "somebody's own");
    clone.refused(&["pull"], &["`data/0` was changed and is in no cache"]);
    assert_eq!(clone.read("data/0"), "somebody's own");
    clone.ours(&["pull", "--force"]).success();
    assert_eq!(clone.read("data/0"), checkout.read("data/0"));
}
