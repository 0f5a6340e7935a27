//! The files of a run's artifact. One that is not what the record says is not sent.

use std::collections::BTreeMap;
use std::path::Path;

use contract::digest::Digest;
use contract::run::Recorded;
use fs_err::File;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::replay::{Replay, ReplayError};
use super::server::{Server, patiently};
use super::wire::Listed;
use crate::runs::Run;

/// Where in a run's artifacts they are.
pub(super) const FOLDER: &str = "model";

const IN_A_SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Sends what is missing or of another size.
pub(super) fn send(server: &Server, replay: &Replay<'_>, run: &Run) -> Result<(), ReplayError> {
    let Some(artifact) = &run.record.artifact_uri else { return Ok(()) };
    let base = proxied(&replay.info.artifact_uri)?;
    let listed: Listed = patiently(|| {
        let query = [("run_id", replay.info.run_id.as_str()), ("path", FOLDER)];
        server.get("artifacts/list", &query)
    })?;
    let there: BTreeMap<String, u64> =
        listed.files.into_iter().map(|file| (file.path, file.file_size)).collect();
    let is_missing =
        |file: &&Recorded| there.get(&format!("{FOLDER}/{}", file.path)) != Some(&file.file_size);
    let mut gone = Vec::new();
    for file in run.record.artifacts.iter().filter(is_missing) {
        let path = Path::new(artifact).join(&file.path);
        if !Digest::of_file(&path).is_ok_and(|digest| digest == file.digest) {
            gone.push(file.path.as_str());
            continue;
        }
        let name: Vec<String> = file.path.split('/').map(escaped).collect();
        let to = format!("{base}/{FOLDER}/{}", name.join("/"));
        let was_there = patiently(|| match File::open(&path) {
            Ok(content) => server.put(&to, content).map(|()| true),
            Err(_) => Ok(false),
        })?;
        if !was_there {
            gone.push(file.path.as_str());
        }
    }
    if gone.is_empty() {
        return Ok(());
    }
    let what = gone.join(", ");
    Err(ReplayError::Artifact(format!("of `{artifact}`, gone or no longer what it was: {what}")))
}

/// The path under which the server itself takes files.
fn proxied(uri: &str) -> Result<&str, ReplayError> {
    match uri.strip_prefix("mlflow-artifacts:") {
        Some(path) if path.starts_with('/') && !path.starts_with("//") => Ok(path),
        _ => Err(ReplayError::OwnStore(uri.to_owned())),
    }
}

fn escaped(segment: &str) -> String {
    utf8_percent_encode(segment, IN_A_SEGMENT).to_string()
}
