//! What is asked of a candidate, one criterion after the other. Beside the champion a candidate is refused for
//! being worse beyond chance, never for not being better.

use contract::artifact::Artifact;
use contract::evaluation::Evaluation;
use contract::manifest::Manifest;
use contract::mcnemar::{Comparison, holm};
use contract::robustness::{Perturbation, Robustness};

use super::judgement::{Beside, Judgement, Replayed, Row};
use super::policy::{Gate, LatencyBudget, ReplayLimits, Robust};

/// What an artifact says of its model.
#[derive(Debug)]
pub(super) struct Candidate {
    manifest: Manifest,
    evaluation: Evaluation,
    /// Earlier trainers did not ask.
    robustness: Option<Robustness>,
}

impl Candidate {
    pub(super) fn of(artifact: &Artifact) -> anyhow::Result<Self> {
        Ok(Self {
            manifest: artifact.manifest().clone(),
            evaluation: artifact.evaluation()?,
            robustness: artifact.robustness()?,
        })
    }

    fn name(&self) -> String {
        format!("the champion {}", self.manifest.model_version)
    }
}

impl Gate {
    pub(super) fn judge(
        &self,
        candidate: Candidate,
        champion: Option<Candidate>,
        replayed: Option<Replayed>,
    ) -> Judgement {
        let beside = champion.as_ref();
        let (classes, perturbed) =
            (classes(&candidate, beside), self.perturbed(&candidate, beside));
        let mut criteria = vec![self.data(&candidate), self.accuracy(&candidate)];
        criteria.push(self.compare(&candidate, beside));
        criteria.extend(beside.and_then(|champion| self.class_by_class(&classes, champion)));
        criteria.push(self.calibration(&candidate));
        criteria.extend(self.robustness(&candidate, beside, &perturbed));
        criteria.push(self.replay(beside, replayed.as_ref()));
        criteria.push(self.latency(&candidate));
        Judgement {
            candidate: candidate.manifest,
            champion: champion.map(|champion| champion.manifest),
            criteria,
            classes,
            perturbed,
            replayed,
        }
    }

    fn data(&self, candidate: &Candidate) -> (bool, String) {
        let name = &candidate.manifest.data.name;
        let allowed = self.data.join(", ");
        let holds = self.data.contains(name);
        (holds, format!("trained on `{name}`; data that may ship: {allowed}"))
    }

    fn accuracy(&self, candidate: &Candidate) -> (bool, String) {
        let (found, least) = (candidate.evaluation.accuracy(), self.min_accuracy);
        (found >= least, format!("accuracy {}; at least {}", percent(found), percent(least)))
    }

    fn compare(&self, candidate: &Candidate, champion: Option<&Candidate>) -> (bool, String) {
        let Some(champion) = champion else {
            return (true, "there is no champion yet to be compared with".to_owned());
        };
        match Comparison::of(&candidate.evaluation, &champion.evaluation) {
            Ok(Comparison { gained, lost, p_value }) => {
                let limit = self.champion_significance;
                let told = format!(
                    "against {}: {gained} images gained, {lost} lost, p = {p_value:.3}; worse at {limit} \
                     or below",
                    champion.name()
                );
                (p_value > limit, told)
            }
            Err(reason) => {
                (false, format!("it cannot be compared with {}: {reason}", champion.name()))
            }
        }
    }

    /// Nothing where the two cannot be compared, which was said already.
    fn class_by_class(&self, classes: &[Row], champion: &Candidate) -> Option<(bool, String)> {
        let limit = self.class_significance;
        let mut rows: Vec<(&str, Beside)> =
            classes.iter().filter_map(|row| Some((&*row.name, row.beside?))).collect();
        rows.sort_by(|(_, one), (_, other)| {
            one.comparison.p_value.total_cmp(&other.comparison.p_value)
        });
        let (worst, beside) = rows.first()?;
        let holds = beside.adjusted > limit;
        let told = if holds {
            format!("`{worst}` did worst, {beside}")
        } else {
            let refused = rows.iter().take_while(|(_, beside)| beside.adjusted <= limit);
            refused
                .map(|(name, beside)| format!("`{name}` {beside}"))
                .collect::<Vec<_>>()
                .join("; ")
        };
        let sentence = format!(
            "class by class against {}: {told}; worse at {limit} or below",
            champion.name()
        );
        Some((holds, sentence))
    }

    fn calibration(&self, candidate: &Candidate) -> (bool, String) {
        let (found, most) =
            (candidate.manifest.metrics.calibration_error, self.max_calibration_error);
        let told = format!(
            "confidence is off by {} on average (calibration error); at most {}",
            percent(found),
            percent(most)
        );
        (found <= most, told)
    }

    /// All that was measured; adjusted for how many of them are judged.
    fn perturbed(&self, candidate: &Candidate, champion: Option<&Candidate>) -> Vec<Row> {
        let asked = Perturbation::ALL.into_iter().filter_map(|perturbation| {
            let evaluation = candidate.robustness.as_ref()?.of(perturbation)?;
            Some((perturbation, evaluation))
        });
        let mut rows: Vec<Row> = asked
            .map(|(perturbation, evaluation)| {
                let other = champion.and_then(|champion| champion.robustness.as_ref());
                let beside = other.and_then(|other| {
                    let other = other.of(perturbation)?;
                    let comparison = Comparison::of(evaluation, other).ok()?;
                    Some(Beside { accuracy: other.accuracy(), comparison, adjusted: 1.0 })
                });
                Row {
                    name: perturbation.name().to_owned(),
                    images: evaluation.images() as u64,
                    accuracy: evaluation.accuracy(),
                    judged: self.robust(perturbation).is_some(),
                    beside,
                }
            })
            .collect();
        adjust(&mut rows);
        rows
    }

    fn robustness(
        &self,
        candidate: &Candidate,
        champion: Option<&Candidate>,
        rows: &[Row],
    ) -> Vec<(bool, String)> {
        if candidate.robustness.is_none() && self.judges_robustness() {
            let told =
                "its artifact is older than questions about perturbed pictures; train it again";
            return vec![(false, told.to_owned())];
        }
        let judged = Perturbation::ALL.into_iter();
        let judged =
            judged.filter_map(|perturbation| Some((perturbation, self.robust(perturbation)?)));
        judged
            .map(|(perturbation, limits)| {
                let name = perturbation.name();
                match rows.iter().find(|row| row.name == name) {
                    Some(row) => self.robust_to(row, limits, champion),
                    None => (false, format!("it was not asked about pictures with {name}")),
                }
            })
            .collect()
    }

    fn robust_to(&self, row: &Row, limits: Robust, champion: Option<&Candidate>) -> (bool, String) {
        let Robust { min_accuracy, max_loss } = limits;
        let limit = self.champion_significance;
        let is_worse = row.beside.is_some_and(|beside| {
            let Comparison { gained, lost, .. } = beside.comparison;
            let loss = (lost as f64 - gained as f64) / row.images as f64;
            beside.adjusted <= limit && loss > max_loss
        });
        let against = match (champion.map(Candidate::name), row.beside) {
            (None, _) => String::new(),
            (Some(name), None) => format!("; {name} was not asked about the same pictures"),
            (Some(name), Some(beside)) => format!(
                "; against {name}: {beside}; worse at {limit} or below if by more than {}",
                percent(max_loss)
            ),
        };
        let told = format!(
            "accuracy {} with {}; at least {}{against}",
            percent(row.accuracy),
            row.name,
            percent(min_accuracy)
        );
        (row.accuracy >= min_accuracy && !is_worse, told)
    }

    fn replay(&self, champion: Option<&Candidate>, replayed: Option<&Replayed>) -> (bool, String) {
        let ReplayLimits { min_images, max_flips, required } = self.replay;
        let Some(champion) = champion else {
            return (
                true,
                "there is no champion yet that records could be replayed with".to_owned(),
            );
        };
        let Some(Replayed { answers, .. }) = replayed else {
            let demand = if required { "some are demanded" } else { "none are demanded" };
            return (!required, format!("no records were replayed; {demand} (--records)"));
        };
        let images = answers.images;
        if images < min_images {
            let skipped: u64 = answers.skipped.values().sum();
            let demand = if required { ", and records are demanded" } else { "" };
            let told = format!(
                "{images} pictures of records were replayed and {skipped} lines skipped; fewer than \
                 {min_images} say nothing{demand}"
            );
            return (!required, told);
        }
        let corrected = match answers.corrected.len() {
            0 => String::new(),
            corrected => format!("; {corrected} more became what callers said"),
        };
        let told = format!(
            "of {images} pictures of records {} ({}) are answered otherwise than by {}; at most {}{corrected}",
            answers.flips.len(),
            percent(answers.share()),
            champion.name(),
            percent(max_flips)
        );
        (answers.share() <= max_flips, told)
    }

    fn latency(&self, candidate: &Candidate) -> (bool, String) {
        let LatencyBudget { batch, microseconds_per_image: most } = self.max_latency;
        let measured = &candidate.manifest.latency;
        match measured.iter().find(|latency| latency.batch == batch) {
            Some(latency) => {
                let found = latency.microseconds_per_image;
                let told =
                    format!("{found:.0} µs per image at batch {batch}; at most {most:.0} µs");
                (found <= most, told)
            }
            None => (false, format!("no latency was measured at batch {batch}")),
        }
    }
}

/// By the images of each class. An answer to one is right where the class is found: its recall.
fn classes(candidate: &Candidate, champion: Option<&Candidate>) -> Vec<Row> {
    let names = &candidate.manifest.task.classes;
    let mut rows: Vec<Row> = candidate
        .evaluation
        .per_class(names)
        .into_iter()
        .map(|class| Row {
            name: class.name,
            images: class.support,
            accuracy: class.recall,
            judged: true,
            beside: None,
        })
        .collect();
    let compared = champion.and_then(|champion| {
        let found = Comparison::by_class(&candidate.evaluation, &champion.evaluation).ok()?;
        Some(found.into_iter().zip(champion.evaluation.per_class(names)))
    });
    for (row, (comparison, class)) in rows.iter_mut().zip(compared.into_iter().flatten()) {
        row.beside = Some(Beside { accuracy: class.recall, comparison, adjusted: 1.0 });
    }
    adjust(&mut rows);
    rows
}

fn adjust(rows: &mut [Row]) {
    let judged = rows.iter_mut().filter(|row| row.judged);
    let family: Vec<&mut Beside> = judged.filter_map(|row| row.beside.as_mut()).collect();
    let p_values: Vec<f64> = family.iter().map(|beside| beside.comparison.p_value).collect();
    for (beside, adjusted) in family.into_iter().zip(holm(&p_values)) {
        beside.adjusted = adjusted;
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
