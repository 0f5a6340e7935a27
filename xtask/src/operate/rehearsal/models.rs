//! The demo's models: two that are good, one that learned nothing, and one that is broken.

use std::path::{Path, PathBuf};

use anyhow::Context;
use contract::artifact::{Artifact, MODEL};
use fs_err as fs;

use super::demand_uninterrupted;
use crate::repo::{Repo, read_task};
use crate::train::data::{Source, TaskFile};
use crate::train::training;

/// A learning rate so small that the weights stay what chance made them.
const NOTHING_LEARNED: &str = "\
net:
  blocks: [{ channels: 16, kernel: 5, stride: 2, padding: none }, { channels: 32, stride: 2 }]
  head: flatten
epochs: 1
batch: 128
schedule: { peak: 1e-7 }
";

/// How `train` calls the task's generator.
const SYNTHETIC: &str = "synthetic";

/// Trains in the checkout's way, with its data where that is here, and leaves nothing in the checkout.
pub(in crate::operate) struct Workshop<'a> {
    repo: &'a Repo,
    folder: PathBuf,
    /// Name of the data.
    data: String,
}

impl<'a> Workshop<'a> {
    pub(in crate::operate) fn open(repo: &'a Repo, folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let task = read_task(&repo.task_file())?;
        // The demo needs no network, so what is not here is not fetched.
        let is_here = task.data.synthetic.is_none() || repo.data(&task.data.name).is_dir();
        let data = if is_here { task.data.name } else { SYNTHETIC.to_owned() };
        Ok(Self { repo, folder: folder.to_owned(), data })
    }

    pub(in crate::operate) fn is_synthetic(&self) -> bool {
        self.data == SYNTHETIC
    }

    pub(in crate::operate) fn good(&self, seed: u64) -> anyhow::Result<Artifact> {
        self.train("quick", seed)
    }

    pub(in crate::operate) fn ignorant(&self) -> anyhow::Result<Artifact> {
        let recipe = self.folder.join("nothing-learned.yaml");
        fs::write(&recipe, NOTHING_LEARNED)?;
        self.train(&recipe.display().to_string(), 0)
    }

    /// Opened while it was whole; now half of the model is missing, and no service starts with it.
    pub(in crate::operate) fn broken(&self, of: &Artifact) -> anyhow::Result<Artifact> {
        let folder = self.folder.join("broken");
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(of.path())? {
            let entry = entry?;
            fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
        let artifact = Artifact::open(&folder)?;
        let model = fs::OpenOptions::new().write(true).open(folder.join(MODEL))?;
        let half = model.metadata()?.len() / 2;
        model.set_len(half)?;
        Ok(artifact)
    }

    fn train(&self, recipe: &str, seed: u64) -> anyhow::Result<Artifact> {
        let source = Source { task: TaskFile { file: None }, mirror: None };
        let training = training::Args {
            data: Some(self.data.clone()),
            seed,
            within: Some(self.folder.clone()),
            unlabelled: true,
            ..training::Args::of(recipe, source)
        };
        demand_uninterrupted()?;
        let folder = training.trainer(self.repo)?.tied_to_us().read()?;
        Artifact::open(Path::new(folder.trim_end())).context("what was trained just now")
    }
}
