//! [`Classifier`]: a verified artifact, ready to answer. All that a service imports of this package; it
//! knows nothing of training and of data sets.
//!
//! Nothing is served that was not proven first: every digest, the names and shapes of the weights, and
//! one inference whose result must be a probability per class.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use contract::artifact::{Artifact, ArtifactError};
use contract::image::{Image, Shape};
use contract::manifest::{CompressionRecord, Manifest};
use contract::prediction::{NotProbabilities, Scores};
use safetensors::{SafeTensorError, SafeTensors};
use tch::{CModule, Kind, TchError, Tensor};

/// More than any machine has cores. libtorch ends the process if it is told to use a hundred thousand.
pub const MAX_THREADS: usize = 1024;

/// Threads that one inference may use, in this process: from 1 to [`MAX_THREADS`].
pub fn set_threads(intra: usize) {
    let threads = intra.clamp(1, MAX_THREADS);
    tch::set_num_threads(i32::try_from(threads).expect("MAX_THREADS is far below 2^31"));
}

/// May be sent to the thread that is to use it.
#[derive(Debug)]
pub struct Classifier {
    manifest: Manifest,
    module: Module,
}

#[derive(Debug, thiserror::Error)]
pub enum ClassifierError {
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error("the weights of the artifact cannot be read")]
    ReadWeights(#[source] std::io::Error),
    #[error("`{path}` is not a safetensors file")]
    Weights { path: PathBuf, source: SafeTensorError },
    #[error("`{path}` contradicts its manifest: {mistake}")]
    Tensors { path: PathBuf, mistake: String },
    #[error("`{path}` is not TorchScript that this libtorch can load")]
    Module { path: PathBuf, source: TchError },
    #[error("`{path}` does not classify {shape} images")]
    Unfit { path: PathBuf, shape: Shape, source: InferenceError },
    #[error(transparent)]
    Inference(#[from] InferenceError),
}

#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    #[error("the model takes {expected} images, not {found}")]
    Shape { expected: Shape, found: Shape },
    #[error("libtorch failed on {images} images")]
    Failed { images: usize, source: TchError },
    #[error("{images} images and {classes} classes were answered by a tensor of {found:?}")]
    Answer { images: usize, classes: usize, found: Vec<i64> },
    #[error(transparent)]
    Scores(#[from] NotProbabilities),
}

impl Classifier {
    pub fn open(folder: &Path) -> Result<Self, ClassifierError> {
        let artifact = Artifact::open(folder)?;
        let manifest = artifact.manifest().clone();
        verify_weights(&artifact)?;
        let path = artifact.model();
        let (shape, classes) = (manifest.task.input, manifest.task.classes.len());
        let weights = Weights::of(manifest.compression.as_ref());
        let module = Module::load(&path, shape, classes, weights)
            .map_err(|source| ClassifierError::Module { path: path.clone(), source })?;
        module.warm_up().map_err(|source| ClassifierError::Unfit { path, shape, source })?;
        Ok(Self { manifest, module })
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// One answer per image, in the order of the images; none of them is answered if one cannot be.
    pub fn classify(&self, images: &[Image]) -> Result<Vec<Scores>, ClassifierError> {
        Ok(self.module.classify(images)?)
    }
}

fn verify_weights(artifact: &Artifact) -> Result<(), ClassifierError> {
    let path = artifact.weights();
    let bytes = fs_err::read(&path).map_err(ClassifierError::ReadWeights)?;
    let weights = SafeTensors::deserialize(&bytes)
        .map_err(|source| ClassifierError::Weights { path: path.clone(), source })?;
    let wrong = |mistake| Err(ClassifierError::Tensors { path: path.clone(), mistake });
    let named = &artifact.manifest().tensors;
    for (name, tensor) in weights.iter() {
        match named.get(name) {
            None => return wrong(format!("it does not name `{name}`")),
            Some(shape) if shape != tensor.shape() => {
                return wrong(format!("`{name}` is {:?}, not {shape:?}", tensor.shape()));
            }
            Some(_) => {}
        }
    }
    match named.keys().find(|name| weights.tensor(name).is_err()) {
        Some(name) => wrong(format!("`{name}` is missing")),
        None => Ok(()),
    }
}

/// Numbers of images that are computed at once; another number is filled up to the next of them with
/// blank ones. For each size that it meets libtorch takes a millisecond more once, and half a megabyte
/// for good: so few sizes, all met on opening. More than the last gain nothing, image by image.
const BATCHES: [usize; 14] = [1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, MOST];
const MOST: usize = 32;

/// What libtorch makes of a module is a matter of the whole process, so one is loaded at a time.
static LOADING: Mutex<()> = Mutex::new(());
/// Calls: one to watch, one to optimise.
const WATCHED: usize = 2;

/// As a traced model holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weights {
    Floats,
    /// To be made floats again.
    Int8,
}

impl Weights {
    pub(crate) fn of(compression: Option<&CompressionRecord>) -> Self {
        match compression {
            Some(CompressionRecord { int8: true, .. }) => Self::Int8,
            _ => Self::Floats,
        }
    }
}

/// A traced model and what it must take and give.
#[derive(Debug)]
pub(crate) struct Module {
    script: CModule,
    shape: Shape,
    classes: usize,
}

impl Module {
    pub(crate) fn load(
        path: &Path,
        shape: Shape,
        classes: usize,
        weights: Weights,
    ) -> Result<Self, TchError> {
        let _turn = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        // libtorch would watch the first two calls in order to optimise the rest: a tenth of a second for
        // nothing that could be measured afterwards.
        tch::jit::f_set_profiling_mode(false)?;
        let module = Self { script: CModule::load(path)?, shape, classes };
        if weights == Weights::Int8 {
            module.unpack()?;
        }
        Ok(module)
    }

    /// What follows from constants alone, as floats do from packed weights, libtorch computes once if it may watch: a
    /// fifth less time for a single image. What it then made of the module stays.
    fn unpack(&self) -> Result<(), TchError> {
        tch::jit::f_set_profiling_mode(true)?;
        for _ in 0..WATCHED {
            // A module that cannot do it says so when it is asked in earnest.
            drop(self.forward(&vec![0; self.shape.len()], 1));
        }
        tch::jit::f_set_profiling_mode(false)
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    fn warm_up(&self) -> Result<(), InferenceError> {
        let blank = Image::new(self.shape, vec![0; self.shape.len()])
            .expect("as many pixels as the shape says");
        for batch in BATCHES {
            self.classify(&vec![blank.clone(); batch])?;
        }
        Ok(())
    }

    pub(crate) fn classify(&self, images: &[Image]) -> Result<Vec<Scores>, InferenceError> {
        if let Some(wrong) = images.iter().find(|image| image.shape() != self.shape) {
            return Err(InferenceError::Shape { expected: self.shape, found: wrong.shape() });
        }
        let mut scores = Vec::with_capacity(images.len());
        for part in images.chunks(MOST) {
            self.classify_at_once(part, &mut scores)?;
        }
        Ok(scores)
    }

    /// At most [`MOST`] images, all of the right shape.
    fn classify_at_once(
        &self,
        images: &[Image],
        scores: &mut Vec<Scores>,
    ) -> Result<(), InferenceError> {
        let batch = BATCHES.into_iter().find(|&batch| batch >= images.len()).unwrap_or(MOST);
        let mut pixels = Vec::with_capacity(batch * self.shape.len());
        for image in images {
            pixels.extend_from_slice(image.pixels());
        }
        pixels.resize(batch * self.shape.len(), 0);
        let failed = |source| InferenceError::Failed { images: batch, source };
        let answer = self.forward(&pixels, batch).map_err(failed)?;
        let (found, classes) = (answer.size(), self.classes);
        if found != [batch as i64, classes as i64] {
            return Err(InferenceError::Answer { images: batch, classes, found });
        }
        let mut values = vec![0f32; batch * classes];
        let count = values.len();
        answer.f_copy_data(&mut values, count).map_err(failed)?;
        for probabilities in values.chunks_exact(classes).take(images.len()) {
            scores.push(Scores::new(probabilities)?);
        }
        Ok(())
    }

    fn forward(&self, pixels: &[u8], images: usize) -> Result<Tensor, TchError> {
        let Shape { height, width, channels } = self.shape;
        let sizes = [images, height, width, channels].map(|size| size as i64);
        let input = Tensor::f_from_data_size(pixels, &sizes, Kind::Uint8)?;
        tch::no_grad(|| self.script.forward_ts(&[input]))
    }
}
