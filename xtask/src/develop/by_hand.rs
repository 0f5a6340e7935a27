//! Names that `init` cannot know: who reviews, and who signs. Each is what is there, or what is wrong.

use fs_err as fs;
use gitops::environment::SIGNING;
use gitops::signing::Signing;

use crate::identity::Identity;
use crate::repo::Repo;

pub(crate) const OWNERS: &str = ".github/CODEOWNERS";
/// Stands where a team belongs.
const NOBODY: &str = "@OWNER";

pub(crate) fn owners(repo: &Repo) -> Result<String, String> {
    let text = fs::read_to_string(repo.path(OWNERS)).map_err(|error| error.to_string())?;
    let rules = text.lines().filter(|line| !line.starts_with('#'));
    let mut owners = rules.flat_map(|rule| rule.split_whitespace().skip(1));
    if owners.any(|owner| owner == NOBODY) {
        return Err(format!("{OWNERS} names {NOBODY}, where your team belongs"));
    }
    Ok("named".to_owned())
}

/// A certificate names the workflow that signed, and so its repository.
pub(crate) fn signer(repo: &Repo, identity: &Identity) -> Result<String, String> {
    let path = repo.path(SIGNING);
    if !path.is_file() {
        return Ok("none is demanded".to_owned());
    }
    let content = fs::read(path).map_err(|error| error.to_string())?;
    match Signing::read(&content).map_err(|error| error.to_string())? {
        Signing::None => Ok("none is demanded".to_owned()),
        Signing::Key { .. } => Ok("by a key".to_owned()),
        Signing::Keyless { identity: signer, .. } => {
            let ours = identity.repository.trim_end_matches(".git");
            if signer.strip_prefix(ours).is_some_and(|rest| rest.starts_with('/')) {
                return Ok(format!("by {signer}"));
            }
            Err(format!("{SIGNING} lets only {signer} sign, which is not {ours}"))
        }
    }
}
