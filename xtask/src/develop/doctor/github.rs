//! GitHub, asked through `gh`, which has its user's credentials. Field names are those of GitHub's REST API,
//! version 2022-11-28.

use serde_json::Value;

use super::{Finding, ask, found, lacks};
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
        Ok(answer) => found("repository", answer["full_name"].as_str().unwrap_or(slug).to_owned()),
        Err(error) => {
            // Whatever else is asked would fail the same way.
            return vec![lacks(
                "repository",
                format!("{slug}: {error}"),
                "gh auth login; cargo xtask init",
            )];
        }
    };
    vec![
        repository,
        pull_requests(api("/rules/branches/main")),
        bypass(&api),
        named(
            "bot's id",
            "variables",
            "GITOPS_CLIENT_ID",
            "gh variable set GITOPS_CLIENT_ID",
            api("/actions/variables"),
        ),
        named(
            "bot's key",
            "secrets",
            "GITOPS_PRIVATE_KEY",
            "gh secret set GITOPS_PRIVATE_KEY < key.pem",
            api("/actions/secrets"),
        ),
        workflows(api("/actions/workflows")),
        webhook(api("/hooks")),
    ]
}

fn pull_requests(rules: Result<Value, String>) -> Finding {
    const NAME: &str = "ruleset";
    const HINT: &str =
        "docs/adopt.md, 2: a ruleset for main that requires a pull request and the check `test`";
    let rules = match rules {
        Ok(rules) => rules,
        Err(error) => return lacks(NAME, error, HINT),
    };
    let has = |kind: &str| list(&rules).iter().any(|rule| rule["type"] == kind);
    match (has("pull_request"), has("required_status_checks")) {
        (true, true) => found(NAME, "main takes pull requests whose checks passed"),
        (true, false) => lacks(NAME, "main takes pull requests unchecked", HINT),
        (false, _) => lacks(NAME, "anybody with write access may push to main", HINT),
    }
}

/// Exactly one App may pass; a person who may as well is told.
fn bypass(api: &dyn Fn(&str) -> Result<Value, String>) -> Finding {
    const NAME: &str = "bypass";
    const HINT: &str = "docs/adopt.md, 2: the App is the only one who bypasses the ruleset of main";
    let rules = match api("/rules/branches/main") {
        Ok(rules) => rules,
        Err(error) => return lacks(NAME, error, HINT),
    };
    let mut ids: Vec<u64> =
        list(&rules).iter().filter_map(|rule| rule["ruleset_id"].as_u64()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return lacks(NAME, "there is no ruleset to bypass", HINT);
    }
    let mut apps = true;
    let mut others = 0;
    for id in ids {
        let ruleset = match api(&format!("/rulesets/{id}")) {
            Ok(ruleset) => ruleset,
            Err(error) => return lacks(NAME, error, HINT),
        };
        let actors = list(&ruleset["bypass_actors"]);
        apps &= actors.iter().any(|actor| actor["actor_type"] == "Integration");
        others += actors.iter().filter(|actor| actor["actor_type"] != "Integration").count();
    }
    match (apps, others) {
        (true, 0) => found(NAME, "an App, and nobody else"),
        (false, _) => lacks(NAME, "no App may push to main, so no release can", HINT),
        (true, others) => lacks(NAME, format!("{others} besides the App bypass it"), HINT),
    }
}

fn named(
    name: &'static str,
    kind: &str,
    wanted: &str,
    hint: &str,
    answer: Result<Value, String>,
) -> Finding {
    match answer {
        Ok(answer) if list(&answer[kind]).iter().any(|one| one["name"] == wanted) => {
            found(name, wanted)
        }
        Ok(_) => lacks(name, format!("{wanted} is not among the repository's {kind}"), hint),
        Err(error) => lacks(name, error, hint),
    }
}

fn workflows(answer: Result<Value, String>) -> Finding {
    const NAME: &str = "workflows";
    const HINT: &str = "gh workflow enable NAME; they run from the default branch only";
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return lacks(NAME, error, HINT),
    };
    let active = |file: &str| {
        let path = format!(".github/workflows/{file}");
        list(&answer["workflows"])
            .iter()
            .any(|one| one["path"] == *path && one["state"] == "active")
    };
    let missing: Vec<&str> = WORKFLOWS.into_iter().filter(|file| !active(file)).collect();
    if missing.is_empty() {
        return found(NAME, "active");
    }
    lacks(NAME, format!("not active: {}", missing.join(", ")), HINT)
}

fn webhook(answer: Result<Value, String>) -> Finding {
    const NAME: &str = "webhook";
    const HINT: &str = "docs/adopt.md, 4: without it a revert is seen after up to two minutes";
    let hooks = match answer {
        Ok(hooks) => hooks,
        Err(error) => return lacks(NAME, error, HINT),
    };
    let ours = list(&hooks).iter().find(|hook| {
        let address = hook["config"]["url"].as_str().unwrap_or_default();
        address.ends_with("/api/webhook") && hook["active"] == true
    });
    match ours {
        Some(hook) if hook["config"]["content_type"] == "json" => {
            found(NAME, "tells Argo CD of a push")
        }
        Some(_) => lacks(NAME, "its content type must be application/json", HINT),
        None => lacks(NAME, "nothing tells Argo CD of a push", HINT),
    }
}
