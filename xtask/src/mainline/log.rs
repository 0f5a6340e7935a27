//! Main's first-parent line as plain data.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use gitops::change::Entry;
use gitops::environment::ROOT;
use gitops::object_id::{CommitId, ObjectId};
use gitops::snapshot::{Blob, Blobs, Commit, Touched, wanted_blobs};
use jiff::Timestamp;

use crate::process::Cmd;

/// Marks the first field of a commit, because file entries follow the last one.
const BEGIN: char = '\u{1}';

/// Every commit from `tip` back, oldest first; of the files only those below `kustomize/`.
pub(super) fn read(git: &Cmd, tip: CommitId) -> anyhow::Result<Vec<Commit>> {
    let format = format!("--format={BEGIN}%H%x00%ct%x00%B%x00");
    // With `--sparse` the path limits what is compared but not which commits are shown.
    let options = ["--first-parent", "--sparse", "--raw", "--no-abbrev", "--no-renames", "-z"];
    let fixed =
        ["--diff-merges=first-parent", "--no-notes", "--no-ext-diff", "--no-show-signature"];
    let log = git.clone().arg("log").args(options).args(fixed).arg("--encoding=UTF-8").arg(format);
    let output = log.arg(tip.to_string()).args(["--", ROOT]).bytes()?;
    let mut commits = parse(&String::from_utf8_lossy(&output))?;
    commits.reverse();
    Ok(commits)
}

fn parse(output: &str) -> anyhow::Result<Vec<Commit>> {
    let mut commits: Vec<Commit> = Vec::new();
    let mut fields = output.split('\0');
    while let Some(field) = fields.next() {
        let field = field.trim_start_matches('\n');
        if let Some(id) = field.strip_prefix(BEGIN) {
            let [time, message] = [fields.next(), fields.next()];
            let seconds = time.context("`git log` ends within a commit")?.parse()?;
            commits.push(Commit {
                id: id.parse()?,
                committed_at: Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH),
                message: message.context("`git log` ends within a commit")?.to_owned(),
                touched: Vec::new(),
            });
        } else if let Some(entry) = field.strip_prefix(':') {
            let path = fields.next().context("`git log` ends within a file")?.to_owned();
            let entry = parse_entry(entry)?;
            let commit = commits.last_mut().context("`git log` begins with a file")?;
            commit.touched.push(Touched { path, entry });
        } else if !field.is_empty() {
            bail!("`git log` printed `{field}`, which is neither a commit nor a file");
        }
    }
    Ok(commits)
}

/// `old-mode new-mode old-id new-id status`
fn parse_entry(text: &str) -> anyhow::Result<Option<Entry>> {
    let fields: Vec<_> = text.split(' ').collect();
    ensure!(fields.len() == 5, "`git log` printed the file entry `{text}`");
    let mode = u32::from_str_radix(fields[1], 8)?;
    Ok(if mode == 0 { None } else { Some(Entry { mode, blob: fields[3].parse()? }) })
}

/// Content of the blobs that a snapshot of these commits wants.
pub(super) fn contents(git: &Cmd, commits: &[Commit]) -> anyhow::Result<Blobs> {
    let wanted = wanted_blobs(commits);
    let names: Vec<String> = wanted.iter().map(ObjectId::to_string).collect();
    let found = objects(git, &names)?;
    Ok(wanted
        .into_iter()
        .zip(found)
        .filter_map(|(id, content)| Some((id, Arc::new(Blob::new(content?)))))
        .collect())
}

/// Content of each object, none where there is no such object.
pub(super) fn objects(git: &Cmd, names: &[String]) -> anyhow::Result<Vec<Option<Vec<u8>>>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let input = names.join("\n") + "\n";
    let output = git.clone().args(["cat-file", "--batch"]).input(input).bytes()?;
    let mut rest = output.as_slice();
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let end = end.with_context(|| format!("`git cat-file` ends before `{name}`"))?;
        let head = str::from_utf8(&rest[..end])?;
        rest = &rest[end + 1..];
        if head.ends_with(" missing") {
            found.push(None);
            continue;
        }
        let size = head.rsplit(' ').next().and_then(|size| size.parse::<usize>().ok());
        let size = size.with_context(|| format!("`git cat-file` answers `{head}`"))?;
        ensure!(rest.len() > size, "`git cat-file` ends within `{name}`");
        found.push(Some(rest[..size].to_vec()));
        rest = &rest[size + 1..];
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_paths_of_any_kind_are_told_apart() {
        let [a, b] = ["a", "b"].map(|digit| digit.repeat(40));
        let zero = "0".repeat(40);
        let output = format!(
            "{BEGIN}{a}\x001\x00title\n\n:not a file\n\x00\x00\n:000000 100644 {zero} {b} A\x00kustomize/a\nb\x00\
             :100644 000000 {b} {zero} D\x00kustomize/c\x00\x00{BEGIN}{b}\x002\x00\x00"
        );
        let commits = parse(&output).unwrap();
        assert_eq!(commits.len(), 2);
        assert_eq!(commits[0].message, "title\n\n:not a file\n");
        let paths: Vec<_> = commits[0].touched.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["kustomize/a\nb", "kustomize/c"]);
        assert_eq!(commits[0].touched[1].entry, None);
        assert!(commits[1].touched.is_empty());
        assert!(parse("surprise").is_err());
    }
}
