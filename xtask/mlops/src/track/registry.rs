//! The registered model on an MLflow server: its aliases say what main says, and are moved to wherever main has moved.

use contract::digest::Digest;
use contract::manifest::ModelVersion as Version;
use contract::run::Entry;
use serde::Deserialize;
use serde_json::{Value, json};

use super::artifacts::FOLDER;
use super::replay::{MODEL_DIGEST, find};
use super::say;
use super::server::{Address, Passing, Server, ServerError, patiently};
use super::wire::{Experiment, FoundVersions, Listed, ModelVersion, VersionAnswer};

/// Make the aliases of a registered model say what main says
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the registered model
    #[arg(long, value_name = "NAME")]
    model: String,
    /// Digest of the champion's weights; none has the alias without
    #[arg(long, value_name = "DIGEST")]
    champion: Option<Digest>,
    /// Digest of the weights of the one before it
    #[arg(long, value_name = "DIGEST")]
    previous: Option<Digest>,
    #[command(flatten)]
    server: Address,
}

#[derive(Debug, thiserror::Error)]
enum RegistryError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(
        "no run at MLflow made model {0}\n\nhint: where it was trained, `cargo xtask track RUN`; \
         `cargo xtask runs list` tells which run"
    )]
    Unknown(Version),
    #[error(
        "the run at MLflow that made model {0} is without its files\n\nhint: `cargo xtask track RUN`"
    )]
    WithoutFiles(Version),
}

impl Passing for RegistryError {
    fn is_passing(&self) -> bool {
        matches!(self, Self::Server(error) if error.is_passing())
    }
}

#[derive(Deserialize)]
struct FoundExperiments {
    #[serde(default)]
    experiments: Vec<Experiment>,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let server = Server::at(&self.server);
        let registry = Registry { server: &server, model: &self.model };
        patiently(|| registry.provide())?;
        let aliases = [("champion", self.champion), ("previous", self.previous)];
        // One that cannot be set keeps the other from nothing.
        let set = aliases.map(|(alias, digest)| patiently(|| registry.set(alias, digest)));
        Ok(set.into_iter().collect::<Result<(), _>>()?)
    }
}

struct Registry<'a> {
    server: &'a Server,
    model: &'a str,
}

impl Registry<'_> {
    fn provide(&self) -> Result<(), ServerError> {
        match self.server.post::<Value>("registered-models/create", &json!({ "name": self.model }))
        {
            Err(error) if !error.is("RESOURCE_ALREADY_EXISTS") => Err(error),
            _ => Ok(()),
        }
    }

    fn set(&self, alias: &str, digest: Option<Digest>) -> Result<(), RegistryError> {
        let model = self.model;
        let Some(digest) = digest else {
            self.server
                .delete("registered-models/alias", &json!({ "name": model, "alias": alias }))?;
            say(format_args!("{model}@{alias}: none"));
            return Ok(());
        };
        let version = self.version(digest)?;
        let body = json!({ "name": model, "alias": alias, "version": version });
        let _: Value = self.server.post("registered-models/alias", &body)?;
        say(format_args!("{model}@{alias}: version {version}, model {}", Version::of(&digest)));
        Ok(())
    }

    /// The version that is this model, made where there is none.
    fn version(&self, digest: Digest) -> Result<String, RegistryError> {
        let of_ours = format!("name='{}'", self.model);
        let found: FoundVersions =
            self.server.get("model-versions/search", &[("filter", &of_ours)])?;
        let tag = Entry::new(MODEL_DIGEST, digest);
        let is_it = |found: &ModelVersion| found.name == self.model && found.tags.contains(&tag);
        if let Some(version) = found.model_versions.into_iter().find(is_it) {
            return Ok(version.version);
        }
        let FoundExperiments { experiments } =
            self.server.post("experiments/search", &json!({ "max_results": 1000 }))?;
        let ids: Vec<String> = experiments.into_iter().map(|found| found.experiment_id).collect();
        let run = find(self.server, &ids, &format!("tags.`{MODEL_DIGEST}` = '{digest}'"))?;
        let run = run.ok_or_else(|| RegistryError::Unknown(Version::of(&digest)))?.info;
        let query = [("run_id", run.run_id.as_str()), ("path", FOLDER)];
        let listed: Listed = self.server.get("artifacts/list", &query)?;
        let weights = format!("{FOLDER}/{}", contract::artifact::WEIGHTS);
        if !listed.files.iter().any(|file| file.path == weights) {
            return Err(RegistryError::WithoutFiles(Version::of(&digest)));
        }
        let body = json!({
            "name": self.model,
            "source": format!("{}/{FOLDER}", run.artifact_uri),
            "run_id": run.run_id,
            "description": format!("model {}", Version::of(&digest)),
            "tags": [tag],
        });
        let VersionAnswer { model_version } = self.server.post("model-versions/create", &body)?;
        Ok(model_version.version)
    }
}
