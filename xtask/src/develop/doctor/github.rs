//! GitHub, asked through `gh`, which has its user's credentials. Field names are those of GitHub's REST API,
//! version 2022-11-28.

use std::collections::BTreeSet;

use anyhow::Context;
use fs_err as fs;
use serde_json::Value;

use super::{Finding, ask, finding};
use crate::develop::by_hand;
use crate::identity::Identity;
use crate::rendered::list;
use crate::repo::Repo;

const WORKFLOWS: &str = ".github/workflows";

pub(super) fn findings(repo: &Repo, identity: &Identity) -> anyhow::Result<Vec<Finding>> {
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
            return Ok(vec![finding("repository", told, "gh auth login; cargo xtask init")]);
        }
    };
    let rules = api("/rules/branches/main?per_page=100");
    let workflows = workflows(repo)?;
    Ok(vec![
        finding("repository", repository, ""),
        finding(
            "ruleset",
            rules.clone().and_then(|rules| takes_pull_requests(&rules)),
            "docs/adopt.md, 2: a ruleset for main that requires a pull request and the check `test`",
        ),
        finding(
            "bypass",
            rules.clone().and_then(|rules| only_an_app_passes(&rules, &api)),
            "docs/adopt.md, 2: the App is the only one who bypasses the ruleset of main",
        ),
        finding(
            "unsigned commits",
            rules.and_then(|rules| may_be_unsigned(&rules, &api)),
            "let the bot bypass the rule: it signs no commit, and Argo CD's GPG gate must be off too",
        ),
        finding(
            "reviewers",
            by_hand::owners(repo).and_then(|_named| can_be_asked(&api)),
            "put your team in .github/CODEOWNERS, with write access to the repository",
        ),
        finding(
            "signatures",
            by_hand::signer(repo, identity),
            "docs/adopt.md, 3: `identity` in kustomize/signing.yaml is your own workflow",
        ),
        finding(
            "bot's id",
            is_set(&api, "/actions/variables", "GITOPS_CLIENT_ID"),
            "gh variable set GITOPS_CLIENT_ID",
        ),
        finding(
            "bot's key",
            is_set(&api, "/environments/gitops/secrets", "GITOPS_PRIVATE_KEY"),
            "gh secret set GITOPS_PRIVATE_KEY --env gitops < key.pem",
        ),
        finding(
            "workflows",
            are_active(&workflows, &api),
            "gh workflow enable NAME; they run from the default branch only",
        ),
        finding(
            "webhook",
            api("/hooks?per_page=100").and_then(|hooks| tells_argo_cd(&hooks)),
            "docs/adopt.md, 4: without it a revert is seen after up to two minutes",
        ),
    ])
}

/// One thing by its name: a list would have further pages.
fn one(api: &Api<'_>, path: &str) -> Result<Option<Value>, String> {
    match api(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.contains("HTTP 404") => Ok(None),
        Err(error) => Err(error),
    }
}

type Api<'a> = dyn Fn(&str) -> Result<Value, String> + 'a;

fn takes_pull_requests(rules: &Value) -> Result<String, String> {
    let has = |kind: &str| list(rules).iter().any(|rule| rule["type"] == kind);
    match (has("pull_request"), has("required_status_checks")) {
        (true, true) => Ok("main takes pull requests whose checks passed".to_owned()),
        (true, false) => Err("main takes pull requests unchecked".to_owned()),
        (false, _) => Err("anybody with write access may push to main".to_owned()),
    }
}

/// One App alone passes every ruleset. That it is the bot only its number tells: GitHub says of a variable's
/// client id to nobody but the App itself which App it is of.
fn only_an_app_passes(rules: &Value, api: &Api<'_>) -> Result<String, String> {
    let ids: BTreeSet<u64> =
        list(rules).iter().filter_map(|rule| rule["ruleset_id"].as_u64()).collect();
    if ids.is_empty() {
        return Err("there is no ruleset to bypass".to_owned());
    }
    let mut passing = BTreeSet::new();
    for id in ids {
        let ruleset = api(&format!("/rulesets/{id}"))?;
        let Some(actors) = ruleset["bypass_actors"].as_array() else {
            return Err(format!("only who may edit the ruleset {id} is told who bypasses it"));
        };
        if !lets_an_app_push(actors) {
            return Err("no App may push to main, so no release can".to_owned());
        }
        passing.extend(actors.iter().map(|actor| {
            let name = actor["actor_type"].as_str().unwrap_or("somebody");
            let name = if name == "Integration" { "App" } else { name };
            format!("{name} {}", actor["actor_id"])
        }));
    }
    let all = passing.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    match passing.len() {
        1 => Ok(format!("{all}, and nobody else")),
        _ => Err(format!("more than the bot bypass it: {all}")),
    }
}

fn lets_an_app_push(actors: &[Value]) -> bool {
    let mut apps = actors.iter().filter(|actor| actor["actor_type"] == "Integration");
    apps.any(|app| app["bypass_mode"] != "pull_request")
}

/// Whoever bypasses a ruleset may push unsigned commits past it; past a classic protection nobody may.
fn may_be_unsigned(rules: &Value, api: &Api<'_>) -> Result<String, String> {
    let refused =
        || Err("main refuses the bot's releases and reverts: they are not signed".to_owned());
    for rule in list(rules).iter().filter(|rule| rule["type"] == "required_signatures") {
        let ruleset = api(&format!("/rulesets/{}", rule["ruleset_id"]))?;
        if !lets_an_app_push(list(&ruleset["bypass_actors"])) {
            return refused();
        }
    }
    match one(api, "/branches/main/protection/required_signatures")? {
        Some(protection) if protection["enabled"] == true => refused(),
        _ => Ok("main takes those of the bot".to_owned()),
    }
}

/// Owners as GitHub knows them, on its default branch.
fn can_be_asked(api: &Api<'_>) -> Result<String, String> {
    let found = one(api, "/codeowners/errors")?.ok_or("the default branch has no CODEOWNERS")?;
    match list(&found["errors"]) {
        [] => Ok("can be asked".to_owned()),
        [error, ..] => Err(format!(
            "{}:{}: {}",
            error["path"].as_str().unwrap_or("CODEOWNERS"),
            error["line"],
            error["kind"].as_str().unwrap_or("wrong")
        )),
    }
}

fn is_set(api: &Api<'_>, kind: &str, name: &str) -> Result<String, String> {
    match one(api, &format!("{kind}/{name}"))? {
        Some(_) => Ok(name.to_owned()),
        None => Err(format!("{name} is not set")),
    }
}

/// Those of the work tree.
fn workflows(repo: &Repo) -> anyhow::Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(repo.path(WORKFLOWS))? {
        files
            .insert(entry?.file_name().into_string().ok().context("a file whose name is no text")?);
    }
    Ok(files)
}

fn are_active(files: &BTreeSet<String>, api: &Api<'_>) -> Result<String, String> {
    let mut missing = Vec::new();
    for file in files {
        let found = one(api, &format!("/actions/workflows/{file}"))?;
        if found.is_none_or(|workflow| workflow["state"] != "active") {
            missing.push(file.as_str());
        }
    }
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
