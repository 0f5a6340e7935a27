//! Which task, and which images of it: the options that all commands share.

use std::path::PathBuf;

use anyhow::Context;
use contract::task::Task;
use model::dataset::Source;

#[derive(clap::Args)]
pub(crate) struct DataArgs {
    /// What is classified
    #[arg(long, value_name = "FILE")]
    task: PathBuf,
    /// Folder with the task's IDX files [default: the folders that the task names]
    #[arg(long, value_name = "DIR", conflicts_with = "synthetic")]
    data_dir: Option<PathBuf>,
    /// Pictures of the task's generator
    #[arg(long)]
    synthetic: bool,
}

impl DataArgs {
    pub(crate) fn task(&self) -> anyhow::Result<Task> {
        let text = fs_err::read_to_string(&self.task)?;
        Task::from_yaml(&text).with_context(|| format!("in `{}`", self.task.display()))
    }

    pub(crate) fn source(&self) -> Source {
        match &self.data_dir {
            Some(folder) => Source::Idx(folder.clone()),
            None if self.synthetic => Source::Synthetic,
            None => Source::Folders,
        }
    }
}
