//! A training on disk: every tensor that a step reads or changes, and the [`Progress`], in one file that
//! is replaced whole. The random numbers need no place in it: they follow from seed, epoch and step.

use std::io;
use std::path::{Path, PathBuf};

use contract::atomic;

use crate::tensors::{self, Metadata, Tensors};
use crate::training::Progress;

#[derive(Debug)]
pub struct Checkpoint {
    pub progress: Progress,
    pub tensors: Tensors,
}

#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("the checkpoint could not be written or read: {0}")]
    File(#[from] io::Error),
    #[error(
        "`{path}` is not a checkpoint: {mistake}\n\nhint: remove its folder, and train from the start"
    )]
    Content { path: PathBuf, mistake: String },
}

/// The key of the progress in the file's metadata.
const PROGRESS: &str = "progress";

impl Checkpoint {
    pub fn write(&self, path: &Path) -> Result<(), CheckpointError> {
        let progress = serde_json::to_string(&self.progress).map_err(io::Error::from)?;
        let metadata = Metadata::from([(PROGRESS.to_owned(), progress)]);
        let file = tensors::to_bytes(&self.tensors, Some(metadata)).map_err(|error| {
            CheckpointError::Content { path: path.to_owned(), mistake: error.to_string() }
        })?;
        Ok(atomic::write_file(path, &file)?)
    }

    /// None where there is no file.
    pub fn read(path: &Path) -> Result<Option<Self>, CheckpointError> {
        let bytes = match fs_err::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Self::parse(&bytes)
            .map(Some)
            .map_err(|mistake| CheckpointError::Content { path: path.to_owned(), mistake })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (tensors, metadata) = tensors::from_bytes(bytes).map_err(|error| error.to_string())?;
        let progress = metadata.get(PROGRESS);
        let progress = progress.ok_or_else(|| "it says nothing of the progress".to_owned())?;
        let progress = serde_json::from_str(progress).map_err(|error| error.to_string())?;
        Ok(Self { progress, tensors })
    }
}
