//! The shipped notifications under a name of the demo's own, so that what Argo CD sends to others stays as it is.

use anyhow::Context;
use base64::prelude::{BASE64_STANDARD, Engine};
use fs_err as fs;
use serde_yaml::{Mapping, Value};

use crate::identity::{APPLICATIONS, NOTIFICATIONS};
use crate::operate::rehearsal::script::{PRODUCTION, STAGING};
use crate::repo::Repo;

/// What the shipped settings call the receiver.
const SERVICE: &str = "gitops";
const CONFIG_MAP: &str = "argocd-notifications-cm";
pub(super) const SECRET: &str = "argocd-notifications-secret";

/// The clone's Applications send under the demo's name.
pub(super) fn subscribe(clone: &Repo, name: &str) -> anyhow::Result<()> {
    for environment in [STAGING, PRODUCTION] {
        let file = clone.path(&format!("{APPLICATIONS}/{environment}.yaml"));
        let text = fs::read_to_string(&file)?;
        let text = text
            .replace("/subscribe.", &format!("/subscribe.{name}-"))
            .replace(&format!(".{SERVICE}:"), &format!(".{name}:"));
        fs::write(&file, text)?;
    }
    Ok(())
}

/// The shipped triggers, templates and service, sending to `url` with `token`.
pub(super) fn manifests(
    clone: &Repo,
    name: &str,
    url: &str,
    token: &str,
) -> anyhow::Result<String> {
    let shipped: Value = serde_yaml::from_str(&fs::read_to_string(clone.path(NOTIFICATIONS))?)?;
    let shipped = shipped["data"].as_mapping().context("the shipped notifications have no data")?;
    let mut data = Mapping::new();
    for (key, value) in shipped {
        let (key, value) = key.as_str().zip(value.as_str()).context("a key that is no text")?;
        let (kind, rest) = key.split_once('.').with_context(|| format!("`{key}`"))?;
        let (key, value) = match kind {
            "service" => {
                let settings = at(value, url)?.replace("$gitops-token", &format!("${name}-token"));
                (format!("service.webhook.{name}"), settings)
            }
            "trigger" => {
                let send =
                    value.replace(&format!("send: [{rest}]"), &format!("send: [{name}-{rest}]"));
                (format!("trigger.{name}-{rest}"), send)
            }
            "template" => {
                let sent = value.replace(&format!("  {SERVICE}:\n"), &format!("  {name}:\n"));
                (format!("template.{name}-{rest}"), sent)
            }
            _ => continue,
        };
        data.insert(key.into(), value.into());
    }
    let settings = object("ConfigMap", CONFIG_MAP, Some(data));
    // Of `stringData` the API server does not remember who set what, so it could not be taken back.
    let token = BASE64_STANDARD.encode(token);
    let secret = Mapping::from_iter([(format!("{name}-token").into(), token.into())]);
    let secret = object("Secret", SECRET, Some(secret));
    Ok(format!("{}---\n{}", serde_yaml::to_string(&settings)?, serde_yaml::to_string(&secret)?))
}

/// Applied by the same manager, these take back what it had set. An empty `data` would stay its own, and the next
/// who sets a key where there is none would be refused.
pub(super) fn nothing() -> anyhow::Result<String> {
    let settings = object("ConfigMap", CONFIG_MAP, None);
    let secret = object("Secret", SECRET, None);
    Ok(format!("{}---\n{}", serde_yaml::to_string(&settings)?, serde_yaml::to_string(&secret)?))
}

fn at(service: &str, url: &str) -> anyhow::Result<String> {
    let mut settings: Mapping = serde_yaml::from_str(service)?;
    settings.insert("url".into(), url.into());
    Ok(serde_yaml::to_string(&settings)?)
}

fn object(kind: &str, name: &str, data: Option<Mapping>) -> Mapping {
    let metadata =
        Mapping::from_iter([("name".into(), name.into()), ("namespace".into(), "argocd".into())]);
    let mut object = Mapping::from_iter([
        ("apiVersion".into(), "v1".into()),
        ("kind".into(), kind.into()),
        ("metadata".into(), metadata.into()),
    ]);
    object.extend(data.map(|data| ("data".into(), data.into())));
    object
}
