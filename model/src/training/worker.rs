//! Threads that each compute parts of a step, one libtorch thread each.
//!
//! One wait per step instead of one per operation, as libtorch's own threads would have: faster, and not
//! brought to a halt by another busy process. Which thread computed a part changes nothing, and sums are
//! taken in the order of the parts.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use tch::{Device, Kind, Reduction, Tensor, no_grad};

use super::{JUDGED_AT_ONCE, Plan, TrainingError};
use crate::augment::{self, Augment};
use crate::dataset::{Dataset, Split};
use crate::net::{self, Net};

/// A part of a step or of a validation.
pub(super) enum Job {
    /// Gradients for these training images, which are part of a batch of so many.
    Train {
        positions: Vec<usize>,
        epoch: u32,
        batch: usize,
    },
    Judge {
        positions: Vec<usize>,
    },
}

/// Of one part, or the sum of many.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// As [`Net::trainable`] orders them, of the mean loss over the batch; none where nothing was trained.
    pub(super) gradients: Vec<Tensor>,
    /// Summed over the images.
    pub(super) loss: f64,
    pub(super) correct: i64,
}

pub(super) struct Workers(Vec<(Sender<Job>, Receiver<Outcome>)>);

impl Workers {
    /// `judged` shares no variable with `trained`, or all.
    pub(super) fn start(plan: &Plan, dataset: &Arc<Dataset>, trained: &Net, judged: &Net) -> Self {
        let parts = plan.recipe.batch.div_ceil(plan.recipe.ghost_batch);
        let count = match plan.device {
            Device::Cpu => plan.threads.clamp(1, parts),
            _ => 1,
        };
        let start = |_| {
            let (jobs, received) = channel();
            let (outcomes, results) = channel();
            let worker = Worker {
                plan: plan.clone(),
                dataset: Arc::clone(dataset),
                trained: trained.share(),
                judged: judged.share(),
            };
            thread::spawn(move || worker.work(&received, &outcomes));
            (jobs, results)
        };
        Self((0..count).map(start).collect())
    }

    pub(super) fn run(&self, jobs: impl Iterator<Item = Job>) -> Result<Outcome, TrainingError> {
        let mut count = 0;
        for (job, (jobs, _)) in jobs.zip(self.0.iter().cycle()) {
            jobs.send(job).or(Err(TrainingError::Worker))?;
            count += 1;
        }
        let mut sum = Outcome::default();
        for (_, results) in self.0.iter().cycle().take(count) {
            let part = results.recv().or(Err(TrainingError::Worker))?;
            sum.loss += part.loss;
            sum.correct += part.correct;
            if sum.gradients.is_empty() {
                sum.gradients = part.gradients;
            } else {
                for (sum, part) in sum.gradients.iter_mut().zip(&part.gradients) {
                    *sum += part;
                }
            }
        }
        Ok(sum)
    }
}

struct Worker {
    plan: Plan,
    dataset: Arc<Dataset>,
    trained: Net,
    judged: Net,
}

impl Worker {
    /// Until the trainer is dropped.
    fn work(&self, jobs: &Receiver<Job>, outcomes: &Sender<Outcome>) {
        for job in jobs {
            let outcome = match job {
                Job::Train { positions, epoch, batch } => self.train(&positions, epoch, batch),
                Job::Judge { positions } => self.judge(&positions),
            };
            if outcomes.send(outcome).is_err() {
                return;
            }
        }
    }

    fn train(&self, positions: &[usize], epoch: u32, batch: usize) -> Outcome {
        let Plan { recipe, seed, .. } = &self.plan;
        let split = &self.dataset.train;
        let images = images(split, positions, &recipe.augment, *seed, epoch, &self.plan);
        let labels = labels(split, positions, self.plan.device);
        let logits = self.trained.forward_t(&images, true);
        let loss = loss(&logits, &labels, recipe.label_smoothing);
        let gradients =
            Tensor::run_backward(&[&loss / batch as f64], &self.trained.trainable(), false, false);
        Outcome { gradients, loss: loss.double_value(&[]), correct: correct(&logits, &labels) }
    }

    fn judge(&self, positions: &[usize]) -> Outcome {
        let split = &self.dataset.validation;
        let images = images(split, positions, &Augment::default(), 0, 0, &self.plan);
        let labels = labels(split, positions, self.plan.device);
        no_grad(|| {
            let logits = self.judged.forward_t(&images, false);
            Outcome {
                gradients: Vec::new(),
                loss: loss(&logits, &labels, 0.0).double_value(&[]),
                correct: correct(&logits, &labels),
            }
        })
    }
}

/// What `net` says of all images of `split`, with their labels.
pub(super) fn logits(net: &Net, split: &Split, plan: &Plan) -> (Tensor, Tensor) {
    let positions: Vec<usize> = (0..split.len()).collect();
    let parts = positions.chunks(JUDGED_AT_ONCE).map(|part| {
        let images = images(split, part, &Augment::default(), 0, 0, plan);
        no_grad(|| net.forward_t(&images, false))
    });
    (Tensor::cat(&parts.collect::<Vec<_>>(), 0), labels(split, &positions, plan.device))
}

/// `[N, C, H, W]`, normalised, channels last in memory.
pub(super) fn images(
    split: &Split,
    positions: &[usize],
    augment: &Augment,
    seed: u64,
    epoch: u32,
    plan: &Plan,
) -> Tensor {
    let pixels = augment::apply(augment, augment::Batch { images: split, positions, seed, epoch });
    let shape = split.shape();
    let sizes = [positions.len(), shape.height, shape.width, shape.channels];
    let images = Tensor::from_slice(&pixels)
        .view(sizes.map(|size| size as i64))
        .permute([0, 3, 1, 2])
        .to_device(plan.device);
    net::normalise(&images, &plan.normalisation)
}

fn labels(split: &Split, positions: &[usize], device: Device) -> Tensor {
    let labels: Vec<i64> = positions.iter().map(|&i| split.labels()[i] as i64).collect();
    Tensor::from_slice(&labels).to_device(device)
}

fn loss(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Tensor {
    logits.cross_entropy_loss(labels, None::<&Tensor>, Reduction::Sum, -100, smoothing)
}

fn correct(logits: &Tensor, labels: &Tensor) -> i64 {
    logits.argmax(1, false).eq_tensor(labels).sum(Kind::Int64).int64_value(&[])
}
