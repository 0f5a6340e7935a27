//! What the crate refuses to know, looked for in its sources.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

/// Where files, processes, sockets, the environment and the clock begin.
const FORBIDDEN: [&str; 10] = [
    "std::fs",
    "fs_err",
    "std::process",
    "std::net",
    "std::env",
    "std::thread",
    "SystemTime",
    "Instant",
    "::now(",
    "println!",
];

#[test]
fn no_source_names_files_processes_sockets_or_the_clock() {
    let mut open = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    let mut seen = 0;
    while let Some(folder) = open.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                seen += 1;
                check(&path);
            }
        }
    }
    assert!(seen > 20, "only {seen} sources found");
}

fn check(path: &Path) {
    let text = fs_err::read_to_string(path).unwrap();
    for word in FORBIDDEN {
        assert!(!text.contains(word), "{} names {word}", path.display());
    }
}
