//! GitHub, asked through `gh`, which has its user's credentials. Field names are those of GitHub's REST API,
//! version 2022-11-28.

use serde_json::Value;

use super::{Finding, ask, finding};
use crate::identity::Identity;
use crate::rendered::list;
use crate::repo::Repo;

const WORKFLOWS: [&str; 5] =
    ["deployed.yml", "promote.yml", "release.yml", "rollback.yml", "watch.yml"];

pub(super) fn findings(repo: &Repo, identity: &Identity) -> Vec<Finding> {
    let slug = identity.slug();
    // Paths of the API begin without a slash, or some shells would rewrite them.
    let api = |path: &str| -> Result<Value, String> {
        let path = format!("repos/{slug}{path}");
        let text = ask(repo, "gh", &["api", &path])?;
        serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))
    };
    let repository = match api("") {
        Ok(_) => Ok(slug.to_owned()),
        Err(error) => {
            // Whatever else is asked would fail the same way.
            let told = Err(format!("{slug}: {error}"));
            return vec![finding("repository", told, "gh auth login; cargo xtask init")];
        }
    };
    let rules = api("/rules/branches/main");
    vec![
        finding("repository", repository, ""),
        finding(
            "ruleset",
            rules.clone().and_then(|rules| takes_pull_requests(&rules)),
            "docs/adopt.md, 2: a ruleset for main that requires a pull request and the check `test`",
        ),
        finding(
            "bypass",
            rules.and_then(|rules| only_an_app_passes(&rules, &api)),
            "docs/adopt.md, 2: the App is the only one who bypasses the ruleset of main",
        ),
        finding(
            "bot's id",
            api("/actions/variables").and_then(|all| has(&all["variables"], "GITOPS_CLIENT_ID")),
            "gh variable set GITOPS_CLIENT_ID",
        ),
        finding(
            "bot's key",
            api("/actions/secrets").and_then(|all| has(&all["secrets"], "GITOPS_PRIVATE_KEY")),
            "gh secret set GITOPS_PRIVATE_KEY < key.pem",
        ),
        finding(
            "workflows",
            api("/actions/workflows").and_then(|all| are_active(&all["workflows"])),
            "gh workflow enable NAME; they run from the default branch only",
        ),
        finding(
            "webhook",
            api("/hooks").and_then(|hooks| tells_argo_cd(&hooks)),
            "docs/adopt.md, 4: without it a revert is seen after up to two minutes",
        ),
    ]
}

fn takes_pull_requests(rules: &Value) -> Result<String, String> {
    let has = |kind: &str| list(rules).iter().any(|rule| rule["type"] == kind);
    match (has("pull_request"), has("required_status_checks")) {
        (true, true) => Ok("main takes pull requests whose checks passed".to_owned()),
        (true, false) => Err("main takes pull requests unchecked".to_owned()),
        (false, _) => Err("anybody with write access may push to main".to_owned()),
    }
}

/// Every ruleset lets one App pass; a person who may as well is told.
fn only_an_app_passes(
    rules: &Value,
    api: &dyn Fn(&str) -> Result<Value, String>,
) -> Result<String, String> {
    let mut ids: Vec<u64> =
        list(rules).iter().filter_map(|rule| rule["ruleset_id"].as_u64()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Err("there is no ruleset to bypass".to_owned());
    }
    let mut others = 0;
    for id in ids {
        let ruleset = api(&format!("/rulesets/{id}"))?;
        let actors = list(&ruleset["bypass_actors"]);
        let apps = actors.iter().filter(|actor| actor["actor_type"] == "Integration").count();
        if apps == 0 {
            return Err("no App may push to main, so no release can".to_owned());
        }
        others += actors.len() - 1;
    }
    match others {
        0 => Ok("an App, and nobody else".to_owned()),
        others => Err(format!("{others} besides the App bypass it")),
    }
}

fn has(all: &Value, wanted: &str) -> Result<String, String> {
    if list(all).iter().any(|one| one["name"] == wanted) {
        return Ok(wanted.to_owned());
    }
    Err(format!("{wanted} is not set"))
}

fn are_active(workflows: &Value) -> Result<String, String> {
    let active = |file: &str| {
        let path = format!(".github/workflows/{file}");
        list(workflows).iter().any(|one| one["path"] == *path && one["state"] == "active")
    };
    let missing: Vec<&str> = WORKFLOWS.into_iter().filter(|file| !active(file)).collect();
    if missing.is_empty() {
        return Ok("active".to_owned());
    }
    Err(format!("not active: {}", missing.join(", ")))
}

fn tells_argo_cd(hooks: &Value) -> Result<String, String> {
    let ours = list(hooks).iter().find(|hook| {
        let address = hook["config"]["url"].as_str().unwrap_or_default();
        address.ends_with("/api/webhook") && hook["active"] == true
    });
    match ours {
        Some(hook) if hook["config"]["content_type"] == "json" => {
            Ok("tells Argo CD of a push".to_owned())
        }
        Some(_) => Err("its content type must be application/json".to_owned()),
        None => Err("nothing tells Argo CD of a push".to_owned()),
    }
}
