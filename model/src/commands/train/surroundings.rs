//! What every training is told, whatever it begins with: what it learns from besides, how much of the machine it takes,
//! where its outcome goes, and which commit it is of.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use contract::artifact::MANIFEST;
use contract::manifest::SourceRecord;
use model::artifact::Destination;
use model::classifier::MAX_THREADS;

#[derive(clap::Args)]
// By its name it would be the command's.
#[group(skip)]
pub(in crate::commands) struct Args {
    /// Train on these pictures, too, as `cargo xtask feedback` writes them
    #[arg(long, value_name = "DIR")]
    also: Option<PathBuf>,
    /// Threads to compute with [default: one per core]
    #[arg(long)]
    threads: Option<usize>,
    /// Artifact folder [default: <data>-<model version> in `--artifacts`]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Folder of artifacts, where `latest` points to the one that was trained last
    #[arg(long, value_name = "DIR", default_value = "artifacts")]
    artifacts: PathBuf,
    /// Folder for run records and checkpoints
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// Continue the newest unfinished run of the same data and options; without one, start
    #[arg(long)]
    resume: bool,
    /// Git commit to record
    #[arg(long, value_name = "HEX")]
    revision: Option<String>,
    /// The work tree differs from that commit
    #[arg(long, requires = "revision")]
    dirty: bool,
}

pub(in crate::commands) struct Surroundings {
    /// Labelled pictures to train on, too.
    pub(in crate::commands) also: Option<PathBuf>,
    pub(in crate::commands) destination: Destination,
    pub(in crate::commands) runs: PathBuf,
    pub(in crate::commands) resume: bool,
    pub(in crate::commands) revision: SourceRecord,
}

impl Args {
    pub(in crate::commands) fn threads(&self) -> Result<usize, String> {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = self.threads.unwrap_or_else(cores);
        let can = (1..=MAX_THREADS).contains(&threads);
        can.then_some(threads).ok_or_else(|| format!("--threads: not between 1 and {MAX_THREADS}"))
    }

    pub(in crate::commands) fn surroundings(self) -> Result<Surroundings, String> {
        Ok(Surroundings {
            also: self.also,
            destination: destination(self.out, self.artifacts)?,
            runs: self.runs,
            resume: self.resume,
            revision: SourceRecord { git_revision: self.revision, dirty: self.dirty },
        })
    }
}

/// An artifact may replace an artifact or an empty folder, and nothing else.
fn destination(out: Option<PathBuf>, artifacts: PathBuf) -> Result<Destination, String> {
    let Some(out) = out else { return Ok(Destination::Within(artifacts)) };
    let is_free = match fs_err::read_dir(&out) {
        Ok(mut entries) => entries.next().is_none() || out.join(MANIFEST).is_file(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if is_free {
        Ok(Destination::Folder(out))
    } else {
        Err(format!("--out: `{}` is there and is not an artifact", out.display()))
    }
}
