//! [`Evaluation`]: true and predicted classes of one artifact on one suite. Everything a gate compares
//! is derived from it, so a gate needs neither libtorch nor the data.

use serde::{Deserialize, Serialize};

use crate::prediction::Label;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawEvaluation")]
pub struct Evaluation {
    suite: String,
    classes: usize,
    labels: Vec<Label>,
    predicted: Vec<Label>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEvaluation {
    suite: String,
    classes: usize,
    labels: Vec<Label>,
    predicted: Vec<Label>,
}

#[derive(Debug, thiserror::Error)]
pub enum InvalidEvaluation {
    #[error("{labels} labels but {predicted} predictions")]
    Lengths { labels: usize, predicted: usize },
    #[error("class {label} at position {index}, but there are only {classes} classes")]
    Label { index: usize, label: Label, classes: usize },
    #[error("an evaluation of no images says nothing")]
    Empty,
}

impl TryFrom<RawEvaluation> for Evaluation {
    type Error = InvalidEvaluation;

    fn try_from(raw: RawEvaluation) -> Result<Self, InvalidEvaluation> {
        Self::new(raw.suite, raw.classes, raw.labels, raw.predicted)
    }
}

/// How one class fared. Shares are of 1, and 0 where nothing was to be found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassMetrics {
    pub name: String,
    /// Images of this class.
    pub support: u64,
    pub precision: f64,
    pub recall: f64,
}

impl Evaluation {
    /// `suite` names the images, for example `mnist/test`; `labels[i]` and `predicted[i]` belong to image i.
    pub fn new(
        suite: String,
        classes: usize,
        labels: Vec<Label>,
        predicted: Vec<Label>,
    ) -> Result<Self, InvalidEvaluation> {
        if labels.len() != predicted.len() {
            return Err(InvalidEvaluation::Lengths {
                labels: labels.len(),
                predicted: predicted.len(),
            });
        }
        if labels.is_empty() {
            return Err(InvalidEvaluation::Empty);
        }
        for (index, &label) in labels.iter().chain(&predicted).enumerate() {
            if label >= classes {
                return Err(InvalidEvaluation::Label {
                    index: index % labels.len(),
                    label,
                    classes,
                });
            }
        }
        Ok(Self { suite, classes, labels, predicted })
    }

    pub fn suite(&self) -> &str {
        &self.suite
    }

    pub fn images(&self) -> usize {
        self.labels.len()
    }

    pub fn classes(&self) -> usize {
        self.classes
    }

    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    pub fn predicted(&self) -> &[Label] {
        &self.predicted
    }

    /// Share of images classified rightly, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        let right = self.images() - self.misclassified().len();
        right as f64 / self.images() as f64
    }

    /// Positions of the images classified wrongly, ascending.
    pub fn misclassified(&self) -> Vec<usize> {
        (0..self.images()).filter(|&i| self.labels[i] != self.predicted[i]).collect()
    }

    /// `[actual][predicted]` counts.
    pub fn confusion(&self) -> Vec<Vec<u64>> {
        let mut counts = vec![vec![0; self.classes]; self.classes];
        for (&actual, &predicted) in self.labels.iter().zip(&self.predicted) {
            counts[actual][predicted] += 1;
        }
        counts
    }

    pub fn per_class(&self, names: &[String]) -> Vec<ClassMetrics> {
        let share =
            |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let confusion = self.confusion();
        names
            .iter()
            .enumerate()
            .take(self.classes)
            .map(|(class, name)| {
                let right = confusion[class][class];
                let support = confusion[class].iter().sum();
                let predicted = confusion.iter().map(|row| row[class]).sum();
                ClassMetrics {
                    name: name.clone(),
                    support,
                    precision: share(right, predicted),
                    recall: share(right, support),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation() -> Evaluation {
        Evaluation::new("toy".to_owned(), 3, vec![0, 0, 1, 1], vec![0, 1, 1, 1]).unwrap()
    }

    #[test]
    fn one_mistake_in_four_is_three_quarters() {
        let evaluation = evaluation();
        assert!((evaluation.accuracy() - 0.75).abs() < 1e-12);
        assert_eq!(evaluation.misclassified(), [1]);
        assert_eq!(evaluation.confusion(), [[1, 1, 0], [0, 2, 0], [0, 0, 0]]);
    }

    #[test]
    fn a_share_is_the_very_number_that_a_limit_names() {
        let labels = vec![0; 1000];
        let predicted = (0..1000).map(|i| usize::from(i < 70)).collect();
        let evaluation = Evaluation::new("toy".to_owned(), 2, labels, predicted).unwrap();
        assert!(evaluation.accuracy() >= 0.93, "{}", evaluation.accuracy());
    }

    #[test]
    fn a_class_without_images_has_no_share_of_anything() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let metrics = evaluation().per_class(&names);
        assert_eq!((metrics[0].precision, metrics[0].recall), (1.0, 0.5));
        assert!((metrics[1].precision - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!((metrics[2].support, metrics[2].recall), (0, 0.0));
    }

    #[test]
    fn a_file_with_an_impossible_class_is_refused() {
        let json = r#"{"suite":"toy","classes":2,"labels":[0,1],"predicted":[0,2]}"#;
        let error = serde_json::from_str::<Evaluation>(json).unwrap_err();
        assert!(error.to_string().contains("class 2 at position 1"), "{error}");
    }
}
