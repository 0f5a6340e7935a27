//! `probes`: labelled pictures for smoke tests.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use contract::atomic;
use contract::task::Task;
use model::dataset::{Dataset, Source};
use model::{plots, probes};

/// Cut labelled probes for smoke tests
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What is classified
    #[arg(long, value_name = "FILE")]
    task: PathBuf,
    #[arg(long, value_enum)]
    from: From,
    /// Folder with the task's IDX files [default: the folders that the task names]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// At least so many pictures, the same number of every class
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    count: u16,
    /// Share that a deployed model must classify rightly
    #[arg(long, default_value_t = 0.9)]
    threshold: f64,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// An SVG with all of them, to look at
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum From {
    /// Drawn by the task's generator
    Synthetic,
    /// Held-out pictures of the task's data
    Test,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        ensure!(
            self.threshold > 0.0 && self.threshold <= 1.0,
            "a threshold is above 0 and at most 1, not {}",
            self.threshold
        );
        ensure!(self.count > 0, "probes that are none would let every model pass");
        let yaml = fs_err::read_to_string(&self.task)?;
        let task =
            Task::from_yaml(&yaml).with_context(|| format!("in `{}`", self.task.display()))?;
        let (pictures, origin) = match self.from {
            From::Synthetic => {
                let generator = task
                    .data
                    .synthetic
                    .with_context(|| format!("the task `{}` names no generator", task.name))?;
                let pictures = probes::draw(&task, generator, self.count.into(), self.seed);
                (pictures, format!("drawn as {}, seed {}", generator.data_name(), self.seed))
            }
            From::Test => {
                let source = match self.data_dir {
                    Some(folder) => Source::Idx(folder),
                    None if task.data.is_generated() => Source::Synthetic,
                    None => Source::Folders,
                };
                let (name, test) = Dataset::load_test(&task, &source)?;
                let pictures = probes::choose(&task, &test, self.count.into(), self.seed)?;
                (pictures, format!("test images of {name}, chosen with seed {}", self.seed))
            }
        };
        if let Some(sheet) = self.sheet {
            atomic::write_file(&sheet, plots::sheet(&task.classes, &pictures).as_bytes())?;
        }
        let probes = probes::probes(&task, &pictures, self.threshold, origin);
        atomic::write_file(&self.out, probes::to_json(&probes)?.as_bytes())?;
        Ok(())
    }
}
