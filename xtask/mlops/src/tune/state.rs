//! What is known of a study, as files that are made once and never changed, in a folder or an object store: workers on
//! one machine and on many agree by who was the first to make a file. Only a worker's beat is written again.
//!
//! ```text
//! study.json  data.json  trials/0007/{claim-000.json, beat-000, epoch-3.json, end.json}
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use contract::causes;
use contract::run::Dataset;
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::space::Params;
use super::study::Written;
use crate::data::remote::shared;
use crate::data::{block_on, hinted};

pub(super) const SCHEMA: u32 = 1;

/// What all workers begin with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Founded {
    pub(super) schema: u32,
    /// Of the study's own record.
    pub(super) run_id: String,
    /// Milliseconds since 1970.
    pub(super) at: i64,
    pub(super) study: Written,
    pub(super) base: Value,
}

/// A worker is at the trial, or was.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    pub(super) worker: Worker,
    pub(super) at: i64,
    pub(super) params: Params,
    pub(super) seed: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Worker {
    pub(super) host: String,
    pub(super) pid: u32,
    /// Milliseconds since 1970; another may have had its number before.
    pub(super) since: i64,
}

/// What became of a trial at a rung.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rung {
    pub(super) value: f64,
    pub(super) goes_on: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) how: How,
    /// The last that counts; 0 where none does.
    pub(super) epoch: u32,
    /// Of the objective, then.
    pub(super) value: Option<f64>,
    pub(super) seconds: f64,
    pub(super) run_id: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) at: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum How {
    Finished,
    /// By a rung.
    Stopped,
    /// By its recipe.
    Failed,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Trial {
    pub(super) claims: Vec<Claim>,
    /// By epoch.
    pub(super) rungs: BTreeMap<u32, Rung>,
    pub(super) end: Option<End>,
    /// Changes for as long as the last worker lives.
    pub(super) beat: String,
}

/// All of it at one moment.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) founded: Option<Founded>,
    pub(super) data: Option<Dataset>,
    pub(super) trials: BTreeMap<String, Trial>,
}

pub(super) struct State {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    place: String,
    /// What was read once is not asked for again.
    known: Mutex<BTreeMap<String, Vec<u8>>>,
}

const STUDY: &str = "study.json";
const DATA: &str = "data.json";

impl State {
    /// `place` is a folder, or a URL like `s3://BUCKET/PREFIX`.
    pub(super) fn open(place: &str) -> anyhow::Result<Self> {
        let (store, prefix) = shared(place).with_context(|| format!("the state at `{place}`"))?;
        Ok(Self { store, prefix, place: place.to_owned(), known: Mutex::default() })
    }

    /// Whether it was the first.
    pub(super) fn found(&self, founded: &Founded) -> anyhow::Result<bool> {
        self.create(STUDY, founded)
    }

    /// Whether it was the first.
    pub(super) fn say_data(&self, data: &Dataset) -> anyhow::Result<bool> {
        self.create(DATA, data)
    }

    /// Whether it was the first.
    pub(super) fn claim(&self, trial: &str, turn: usize, claim: &Claim) -> anyhow::Result<bool> {
        self.create(&format!("trials/{trial}/claim-{turn:03}.json"), claim)
    }

    /// One that is there already stays: the same training came there before.
    pub(super) fn rung(&self, trial: &str, epoch: u32, rung: &Rung) -> anyhow::Result<bool> {
        self.create(&format!("trials/{trial}/epoch-{epoch}.json"), rung)
    }

    pub(super) fn end(&self, trial: &str, end: &End) -> anyhow::Result<bool> {
        self.create(&format!("trials/{trial}/end.json"), end)
    }

    /// Says that the worker of this claim lives.
    pub(super) fn beat(&self, trial: &str, turn: usize, count: u64) -> anyhow::Result<()> {
        let name = format!("trials/{trial}/beat-{turn:03}");
        let content = PutPayload::from(count.to_string());
        block_on(async { Ok(self.store.put(&self.path(&name), content).await?) })
            .map(drop)
            .map_err(|error| self.failed("writing", &name, &error))
    }

    fn create(&self, name: &str, value: &impl Serialize) -> anyhow::Result<bool> {
        let content = PutPayload::from(serde_json::to_vec_pretty(value)?);
        let put = block_on(async {
            Ok(self.store.put_opts(&self.path(name), content, PutMode::Create.into()).await)
        })?;
        match put {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.failed("writing", name, &error.into())),
        }
    }

    pub(super) fn look(&self) -> anyhow::Result<Seen> {
        let listed: Vec<ObjectMeta> =
            block_on(async { Ok(self.store.list(Some(&self.prefix)).try_collect().await?) })
                .map_err(|error| self.failed("listing", "", &error))?;
        let mut seen = Seen::default();
        // In the order of their names claims are in the order of their turns.
        let files: BTreeMap<String, ObjectMeta> = listed
            .into_iter()
            .filter_map(|meta| Some((self.name(&meta.location)?, meta)))
            .collect();
        for (name, meta) in &files {
            self.take(name, meta, &mut seen)?;
        }
        Ok(seen)
    }

    fn take(&self, name: &str, meta: &ObjectMeta, seen: &mut Seen) -> anyhow::Result<()> {
        let Some(rest) = name.strip_prefix("trials/") else {
            match name {
                STUDY => seen.founded = Some(self.read(name)?),
                DATA => seen.data = Some(self.read(name)?),
                _ => {}
            }
            return Ok(());
        };
        let Some((trial, file)) = rest.split_once('/') else { return Ok(()) };
        let trial = seen.trials.entry(trial.to_owned()).or_default();
        if file.starts_with("claim-") {
            trial.claims.push(self.read(name)?);
        } else if file.starts_with("beat-") {
            trial.beat = format!("{file} {} {:?}", meta.last_modified, meta.e_tag);
        } else if let Some(epoch) = file.strip_prefix("epoch-") {
            let epoch = epoch.trim_end_matches(".json").parse().with_context(|| {
                format!("`{name}` in the state at `{}` is of no epoch", self.place)
            })?;
            trial.rungs.insert(epoch, self.read(name)?);
        } else if file == "end.json" {
            trial.end = Some(self.read(name)?);
        }
        Ok(())
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> anyhow::Result<T> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known().get(name).cloned();
        let bytes = if let Some(bytes) = before {
            bytes
        } else {
            let path = self.path(name);
            let read = async { Ok(self.store.get(&path).await?.bytes().await?.to_vec()) };
            let bytes = block_on(read).map_err(|error| self.failed("reading", name, &error))?;
            known().insert(name.to_owned(), bytes.clone());
            bytes
        };
        serde_json::from_slice(&bytes).map_err(|error| {
            hinted(
                format_args!(
                    "`{name}` in the state at `{}` is not what this program writes: {error}",
                    self.place
                ),
                "remove it, and what it told is found out again; without `study.json` begin in another place",
            )
        })
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), Path::join)
    }

    fn name(&self, path: &Path) -> Option<String> {
        let mut parts = path.prefix_match(&self.prefix)?.map(|part| part.as_ref().to_owned());
        let first = parts.next()?;
        Some(parts.fold(first, |name, part| format!("{name}/{part}")))
    }

    fn failed(&self, doing: &str, name: &str, error: &anyhow::Error) -> anyhow::Error {
        let what = if name.is_empty() { String::new() } else { format!(" `{name}` of") };
        hinted(
            format_args!(
                "{doing}{what} the state at `{}`: {}",
                self.place,
                causes::sentence(error.chain())
            ),
            "look whether it answers and may be written; what was told already is kept, so run it again",
        )
    }
}

impl Trial {
    pub(super) fn params(&self) -> Option<&Params> {
        self.claims.last().map(|claim| &claim.params)
    }
}

#[cfg(test)]
impl Trial {
    /// One that was trained with this `x` for a second and finished with a value, or failed.
    pub(super) fn of_one_field(x: f64, value: Result<f64, &str>, at: i64) -> Self {
        let how = if value.is_ok() { How::Finished } else { How::Failed };
        let reason = value.err().map(str::to_owned);
        let end = End { how, epoch: 1, value: value.ok(), seconds: 1.0, run_id: None, reason, at };
        let worker = Worker { host: String::new(), pid: 1, since: 0 };
        let params = [("x".to_owned(), x.into())].into();
        let claims = vec![Claim { worker, at: 0, params, seed: 0 }];
        Self { claims, end: Some(end), ..Self::default() }
    }
}
