//! A training on disk: every tensor that a step reads or changes, and the [`Progress`], in one file that
//! is replaced whole. The random numbers need no place in it: they follow from seed, epoch and step.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use contract::atomic;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tch::{Kind, Tensor};

use crate::training::Progress;

#[derive(Debug)]
pub struct Checkpoint {
    pub progress: Progress,
    /// 32-bit floats.
    pub tensors: BTreeMap<String, Tensor>,
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
        let content = |mistake: String| CheckpointError::Content { path: path.to_owned(), mistake };
        let mut parts = Vec::new();
        for (name, tensor) in &self.tensors {
            let shape: Vec<usize> =
                tensor.size().iter().filter_map(|&size| usize::try_from(size).ok()).collect();
            let values = Vec::<f32>::try_from(tensor.detach().flatten(0, -1).contiguous())
                .map_err(|error| content(error.to_string()))?;
            let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
            parts.push((name, shape, bytes));
        }
        let views = parts
            .iter()
            .map(|(name, shape, bytes)| {
                Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|error| content(error.to_string()))?;
        let progress = serde_json::to_string(&self.progress).map_err(io::Error::from)?;
        let metadata = HashMap::from([(PROGRESS.to_owned(), progress)]);
        let file = safetensors::serialize(views, Some(metadata))
            .map_err(|error| content(error.to_string()))?;
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
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
        let progress = metadata.metadata().as_ref().and_then(|metadata| metadata.get(PROGRESS));
        let progress = progress.ok_or_else(|| "it says nothing of the progress".to_owned())?;
        let progress = serde_json::from_str(progress).map_err(|error| error.to_string())?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(format!("`{name}` does not hold 32-bit floats"));
            }
            let values: Vec<f32> = view
                .data()
                .chunks_exact(4)
                .map(|value| f32::from_le_bytes(value.try_into().expect("a chunk of four bytes")))
                .collect();
            let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
            let tensor = Tensor::from_slice(&values).to_kind(Kind::Float).view(&shape[..]);
            tensors.insert(name.to_owned(), tensor);
        }
        Ok(Self { progress, tensors })
    }
}
