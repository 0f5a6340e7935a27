//! What a program that ended may have left in a folder of its own.

use std::path::Path;

/// Programs that have this folder somewhere in their command line.
pub fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let commands = fs_err::read_dir("/proc").expect("/proc").filter_map(|entry| {
        let command = fs_err::read(entry.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&command).replace('\0', " "))
    });
    commands.filter(|command| command.contains(&folder)).collect()
}

/// Neither files nor processes.
#[track_caller]
pub fn nothing_is_left(folder: &Path) {
    let files: Vec<_> =
        fs_err::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    assert!(files.is_empty(), "{files:?}");
    assert_eq!(processes_of(folder), Vec::<String>::new());
}
