//! From a [`Recipe`] and a [`Dataset`] to a trained net, one step at a time.
//!
//! What a step does depends on the state before it and on nothing else: a [`Trainer`] restored from a
//! checkpoint goes on bit for bit like the one that wrote it.

mod optimiser;
mod temperature;
mod worker;

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Tensor, no_grad};

use crate::checkpoint::Checkpoint;
use crate::classifier::Weights;
use crate::compress::int8::{self, Int8};
use crate::dataset::Dataset;
use crate::net::{Net, NothingLeft};
use crate::random::{self, Random};
use crate::recipe::{Average, Recipe};
use crate::tensors::Tensors;
use contract::manifest::CompressionRecord;
use contract::task::Normalisation;
use optimiser::Parameter;
use worker::{Job, Outcome, Workers};

/// What, besides the data, decides which weights come out.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub recipe: Recipe,
    /// `quick`, `release`, or the stem of the recipe's file.
    pub recipe_name: String,
    pub normalisation: Normalisation,
    pub seed: u64,
    pub threads: usize,
    pub device: Device,
    /// None where training begins with random weights.
    pub compression: Option<CompressionRecord>,
}

/// Made by [`Trainer::finish`] and by nothing else: whoever shows one has trained.
#[derive(Debug)]
#[non_exhaustive]
pub struct Trained {
    pub plan: Plan,
    pub net: Net,
    /// The variables of `net` by name, on the CPU: what `weights.safetensors` holds.
    pub vars: VarStore,
    pub epochs: Vec<Epoch>,
    pub parameters: usize,
    /// Wall-clock seconds spent in steps, interruptions left out.
    pub seconds: f64,
    pub finished_at: Timestamp,
}

/// One line of `metrics.jsonl` and one point of the learning curves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// From 1.
    pub epoch: u32,
    /// Mean over the epoch's images, as augmented, with label smoothing.
    pub train_loss: f64,
    pub train_accuracy: f64,
    /// Of the averaged weights where the recipe averages. Mean negative log-likelihood in nats.
    pub validation_loss: f64,
    pub validation_accuracy: f64,
    pub learning_rate: f64,
    /// Since training began, interruptions left out.
    pub seconds: f64,
    /// When the epoch ended, in milliseconds since 1970.
    pub timestamp: i64,
}

/// How far a training is: all of its state that is not a tensor.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Steps taken.
    pub step: usize,
    pub epochs: Vec<Epoch>,
    pub seconds: f64,
    /// Within the current epoch.
    loss_sum: f64,
    correct: i64,
    images: usize,
}

impl Progress {
    /// Mean training loss so far in the current epoch; 0 before its first step.
    pub fn loss(&self) -> f64 {
        if self.images == 0 { 0.0 } else { self.loss_sum / self.images as f64 }
    }

    pub fn accuracy(&self) -> f64 {
        if self.images == 0 { 0.0 } else { self.correct as f64 / self.images as f64 }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    #[error(transparent)]
    Net(#[from] NothingLeft),
    #[error(
        "training diverged: the loss was {loss} at step {step}; no model was saved\n\nhint: a lower `schedule.peak` in the recipe"
    )]
    Diverged { step: usize, loss: f64 },
    #[error("the checkpoint does not fit this training: {0}")]
    Checkpoint(String),
    #[error("the weights to start from have no `{0}` that fits")]
    Weights(String),
    #[error("a thread of the trainer ended; its message is above")]
    Worker,
}

pub struct Trainer {
    plan: Plan,
    dataset: Arc<Dataset>,
    vars: VarStore,
    net: Net,
    parameters: Vec<Parameter>,
    average: Option<(VarStore, Net)>,
    workers: Workers,
    steps_per_epoch: usize,
    progress: Progress,
    /// Of the current epoch, once computed.
    order: Option<Vec<usize>>,
}

/// Training images that batch norm's statistics are measured on before a validation.
const MEASURED: usize = 2048;

impl Trainer {
    /// From here on every libtorch operation of the process runs on the thread that calls it.
    pub fn new(plan: Plan, dataset: Arc<Dataset>) -> Result<Self, TrainingError> {
        tch::set_num_threads(1);
        let (vars, mut net) = build(&plan, &dataset)?;
        net.initialise(plan.seed);
        let average = match plan.recipe.average {
            Some(_) => Some(build(&plan, &dataset)?),
            None => None,
        };
        let optimiser = plan.recipe.optimiser;
        let parameters =
            net.trainable().into_iter().map(|value| Parameter::new(value, optimiser)).collect();
        let judged = average.as_ref().map_or(&net, |(_, net)| net);
        Ok(Self {
            workers: Workers::start(&plan, &dataset, &net, judged),
            vars,
            net,
            parameters,
            average,
            steps_per_epoch: (dataset.train.len() / plan.recipe.batch).max(1),
            progress: Progress::default(),
            order: None,
            dataset,
            plan,
        })
    }

    /// Starts from these weights, named as an artifact names them, instead of from random ones.
    pub fn start_from(&mut self, weights: &Tensors) -> Result<(), TrainingError> {
        let average = self.average.iter().map(|(vars, _)| vars);
        for (name, mut variable) in average.chain([&self.vars]).flat_map(VarStore::variables) {
            match weights.get(&name) {
                Some(weight) if weight.size() == variable.size() => {
                    no_grad(|| variable.copy_(weight));
                }
                _ => return Err(TrainingError::Weights(name)),
            }
        }
        Ok(())
    }

    /// Leaves no step to take: the weights are those that these epochs made.
    pub fn end_with(&mut self, epochs: Vec<Epoch>) {
        let seconds = epochs.last().map_or(0.0, |epoch| epoch.seconds);
        self.progress = Progress { step: self.steps(), epochs, seconds, ..Progress::default() };
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    pub fn steps(&self) -> usize {
        self.steps_per_epoch * self.plan.recipe.epochs as usize
    }

    /// Images that the steps so far were computed from.
    pub fn images(&self) -> usize {
        self.progress.step * self.plan.recipe.batch.min(self.dataset.train.len())
    }

    pub fn is_finished(&self) -> bool {
        self.progress.step >= self.steps()
    }

    /// Takes one step; the last of an epoch also validates and returns how the epoch went.
    pub fn step(&mut self) -> Result<Option<Epoch>, TrainingError> {
        let began = Instant::now();
        let step = self.progress.step;
        let rate = self.plan.recipe.schedule.rate(step, self.steps());
        let (epoch, positions) = self.batch();
        let count = positions.len();
        let jobs = positions.chunks(self.plan.recipe.ghost_batch).map(|part| Job::Train {
            positions: part.to_vec(),
            epoch,
            batch: count,
        });
        let mut outcome = self.workers.run(jobs)?;
        let loss = outcome.loss / count as f64;
        if !loss.is_finite() {
            return Err(TrainingError::Diverged { step, loss });
        }
        let optimiser = self.plan.recipe.optimiser;
        optimiser::clip(&mut outcome.gradients, self.plan.recipe.clip);
        optimiser::update(optimiser, &mut self.parameters, &outcome.gradients, rate, step);
        self.average_in(step);

        self.progress.loss_sum += outcome.loss;
        self.progress.correct += outcome.correct;
        self.progress.images += count;
        self.progress.step += 1;
        let ends_epoch = self.progress.step.is_multiple_of(self.steps_per_epoch);
        let validated = if ends_epoch { Some(self.validate()?) } else { None };
        self.progress.seconds += began.elapsed().as_secs_f64();
        Ok(validated.map(|outcome| self.end_epoch(rate, &outcome)))
    }

    /// The epoch, from 0, and the positions of the next step's images.
    fn batch(&mut self) -> (u32, Vec<usize>) {
        let epoch = self.progress.step / self.steps_per_epoch;
        let within = self.progress.step % self.steps_per_epoch;
        let epoch = u32::try_from(epoch).expect("a recipe counts its epochs in 32 bits");
        let images = self.dataset.train.len();
        if within == 0 {
            self.order = None;
        }
        let seed = self.plan.seed;
        let order = self.order.get_or_insert_with(|| {
            let mut order: Vec<usize> = (0..images).collect();
            Random::new([seed, random::ORDER, u64::from(epoch), 0]).shuffle(&mut order);
            order
        });
        let first = within * self.plan.recipe.batch;
        (epoch, order[first..(first + self.plan.recipe.batch).min(images)].to_vec())
    }

    fn average_in(&mut self, step: usize) {
        let steps = self.steps() as f64;
        let (Some(Average { decay, from }), Some((_, average))) =
            (self.plan.recipe.average, &self.average)
        else {
            return;
        };
        let counted = (step + 1) as f64 - from * steps;
        // At first nearly the mean of all weights so far, so that the start is soon forgotten.
        let keep = if counted <= 0.0 { 0.0 } else { decay.min(counted / (counted + 10.0)) };
        no_grad(|| {
            for (mut mean, parameter) in average.trainable().into_iter().zip(&self.parameters) {
                drop(mean.lerp_(&parameter.value, 1.0 - keep));
            }
        });
    }

    fn end_epoch(&mut self, learning_rate: f64, validated: &Outcome) -> Epoch {
        let validation = self.dataset.validation.len() as f64;
        let epoch = Epoch {
            epoch: u32::try_from(self.progress.epochs.len() + 1).unwrap_or(u32::MAX),
            train_loss: self.progress.loss(),
            train_accuracy: self.progress.accuracy(),
            validation_loss: validated.loss / validation,
            validation_accuracy: validated.correct as f64 / validation,
            learning_rate,
            seconds: self.progress.seconds,
            timestamp: Timestamp::now().as_millisecond(),
        };
        self.progress.epochs.push(epoch);
        (self.progress.loss_sum, self.progress.correct, self.progress.images) = (0.0, 0, 0);
        epoch
    }

    fn validate(&self) -> Result<Outcome, TrainingError> {
        let judged = self.average.as_ref().map_or(&self.net, |(_, net)| net);
        judged.measure(self.typical_batches());
        let positions: Vec<usize> = (0..self.dataset.validation.len()).collect();
        let parts = positions.chunks(JUDGED_AT_ONCE);
        self.workers.run(parts.map(|part| Job::Judge { positions: part.to_vec() }))
    }

    /// Training images as training sees them, always the same ones.
    fn typical_batches(&self) -> impl Iterator<Item = Tensor> {
        let images = &self.dataset.train;
        let positions: Vec<usize> = (0..images.len().min(MEASURED)).collect();
        let size = self.plan.recipe.ghost_batch.max(JUDGED_AT_ONCE);
        let batches: Vec<Vec<usize>> = positions.chunks(size).map(<[usize]>::to_vec).collect();
        batches.into_iter().map(|positions| {
            let augment = &self.plan.recipe.augment;
            worker::images(images, &positions, augment, self.plan.seed, u32::MAX, &self.plan)
        })
    }

    pub fn checkpoint(&self) -> Checkpoint {
        let tensors = self.state().map(|(name, tensor)| (name, tensor.detach().copy())).collect();
        Checkpoint { progress: self.progress.clone(), tensors }
    }

    /// Goes on where `checkpoint` was made, by a trainer of the same plan and data.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainingError> {
        let misfit = |mistake: String| Err(TrainingError::Checkpoint(mistake));
        let state: Vec<(String, Tensor)> = self.state().collect();
        if checkpoint.tensors.len() != state.len() || checkpoint.progress.step > self.steps() {
            return misfit("it is of another recipe".to_owned());
        }
        for (name, mut tensor) in state {
            match checkpoint.tensors.get(&name) {
                Some(saved) if saved.size() == tensor.size() => {
                    no_grad(|| tensor.copy_(saved));
                }
                _ => return misfit(format!("`{name}` is missing or of another shape")),
            }
        }
        self.progress = checkpoint.progress.clone();
        self.order = None;
        Ok(())
    }

    /// Every tensor that a step or [`Trainer::finish`] depends on.
    fn state(&self) -> impl Iterator<Item = (String, Tensor)> {
        let named = |stem: &'static str, vars: &VarStore| {
            vars.variables().into_iter().map(move |(name, value)| (format!("{stem}.{name}"), value))
        };
        let average = self.average.iter().flat_map(move |(vars, _)| named("average", vars));
        let memory = self.parameters.iter().enumerate().flat_map(|(i, parameter)| {
            let buffers = parameter.memory.iter().enumerate();
            buffers.map(move |(j, buffer)| (format!("memory.{i}.{j}"), buffer.shallow_clone()))
        });
        named("trained", &self.vars).chain(average).chain(memory)
    }

    /// The final weights: the averaged ones where the recipe averages, of the values that 8-bit integers have
    /// where those are wanted, their confidence calibrated on the validation images.
    pub fn finish(self) -> Trained {
        let parameters = self.parameters.iter().map(|parameter| parameter.value.numel()).sum();
        let (mut vars, net) = self.average.unwrap_or((self.vars, self.net));
        if Weights::of(self.plan.compression.as_ref()) == Weights::Int8 {
            for mut weight in net.trainable().into_iter().filter(int8::is_weight) {
                let packed = Int8::of(&weight);
                no_grad(|| weight.copy_(&packed.floats()));
            }
        }
        let (logits, labels) = worker::logits(&net, &self.dataset.validation, &self.plan);
        let on_cpu = |tensor: &Tensor| tensor.to_device(Device::Cpu);
        net.scale_logits(temperature::factor(&on_cpu(&logits), &on_cpu(&labels)));
        vars.set_device(Device::Cpu);
        let timestamp = self.progress.epochs.last().map(|epoch| epoch.timestamp);
        Trained {
            plan: self.plan,
            net,
            vars,
            parameters,
            seconds: self.progress.seconds,
            finished_at: timestamp
                .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok())
                .unwrap_or_else(Timestamp::now),
            epochs: self.progress.epochs,
        }
    }
}

/// Few enough for the activations to stay in a core's cache.
const JUDGED_AT_ONCE: usize = 128;

fn build(plan: &Plan, dataset: &Dataset) -> Result<(VarStore, Net), TrainingError> {
    let vars = VarStore::new(plan.device);
    let net = Net::new(&vars.root(), dataset.shape, dataset.classes, &plan.recipe.net)?;
    Ok((vars, net))
}
