//! How far training is, on stderr: a bar on a terminal, one line per epoch elsewhere.

use std::fmt::Arguments;
use std::io::{IsTerminal, Write, stderr};

use contract::manifest::Manifest;
use indicatif::{ProgressBar, ProgressStyle};
use model::dataset::Dataset;
use model::training::{Epoch, Plan, Trainer};

pub(super) struct Progress {
    /// Only on a terminal.
    bar: Option<ProgressBar>,
    epochs: u32,
}

const BAR: &str = "{bar:30} {percent:>3} %  {msg}  {eta} left";

impl Progress {
    pub(super) fn of(dataset: &Dataset, plan: &Plan) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(BAR).expect("the template is well-formed");
            ProgressBar::new(0).with_style(style)
        });
        let progress = Self { bar, epochs: plan.recipe.epochs };
        let doing = match &plan.compression {
            Some(compression) => format!("compressing {},", compression.parent),
            None => "training".to_owned(),
        };
        progress.say(format_args!(
            "{doing} `{}` on {}: {} images of {}, seed {}, {} threads",
            plan.recipe_name,
            dataset.name,
            dataset.train.len(),
            dataset.shape,
            plan.seed,
            plan.threads
        ));
        progress
    }

    pub(super) fn say(&self, line: Arguments<'_>) {
        match &self.bar {
            Some(bar) => bar.suspend(|| write_line(line)),
            None => write_line(line),
        }
    }

    pub(super) fn step(&self, trainer: &Trainer) {
        let Some(bar) = &self.bar else { return };
        let progress = trainer.progress();
        bar.set_length(trainer.steps() as u64);
        bar.set_position(progress.step as u64);
        if progress.loss() > 0.0 {
            bar.set_message(format!(
                "loss {:.4}  accuracy {:.2} %  {:.0} images/s",
                progress.loss(),
                100.0 * progress.accuracy(),
                trainer.images() as f64 / progress.seconds
            ));
        }
    }

    pub(super) fn epoch(&self, epoch: &Epoch) {
        self.say(format_args!(
            "epoch {:>3} of {}: loss {:.4}, accuracy {:.2} %, validation {:.2} %, {:.1} s",
            epoch.epoch,
            self.epochs,
            epoch.train_loss,
            100.0 * epoch.train_accuracy,
            100.0 * epoch.validation_accuracy,
            epoch.seconds
        ));
    }

    pub(super) fn trained(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    pub(super) fn finished(&self, manifest: &Manifest, run: &str) {
        self.say(format_args!(
            "model {}: {:.2} % of {} test images of {}, trained in {:.1} s; recorded as run {run}",
            manifest.model_version,
            100.0 * manifest.metrics.accuracy,
            manifest.data.test,
            manifest.data.name,
            manifest.training.seconds
        ));
    }
}

/// Progress is worth no failure: whoever closed stderr does not read it.
fn write_line(line: Arguments<'_>) {
    drop(writeln!(stderr(), "{line}"));
}
