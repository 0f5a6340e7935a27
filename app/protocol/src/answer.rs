//! What is said of a picture: projections of a [`Prediction`] into bodies.

use contract::prediction::Prediction;
use serde::Serialize;

/// Body of one prediction.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    #[serde(flatten)]
    pub verdict: Verdict<'a>,
    pub model_version: &'a str,
    pub request_id: &'a str,
}

/// Body of a batch: verdicts in the order of the images.
#[derive(Debug, Serialize)]
pub struct BatchAnswer<'a> {
    pub predictions: Vec<Verdict<'a>>,
    pub model_version: &'a str,
    pub request_id: &'a str,
}

#[derive(Debug, Serialize)]
pub struct Verdict<'a> {
    label: usize,
    name: &'a str,
    confidence: f32,
    probabilities: &'a [f32],
}

impl<'a> Verdict<'a> {
    pub fn of(prediction: &'a Prediction, classes: &'a [String]) -> Self {
        Self {
            label: prediction.label,
            name: classes.get(prediction.label).map_or("", String::as_str),
            confidence: prediction.confidence,
            probabilities: prediction.scores.probabilities(),
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::prediction::Scores;

    use super::*;

    #[test]
    fn an_answer_names_the_class_and_prints_floats_as_short_as_they_are() {
        let prediction = Prediction::from(Scores::new([0.1, 0.9]).unwrap());
        let classes = ["zero".to_owned(), "one".to_owned()];
        let verdict = Verdict::of(&prediction, &classes);
        let answer = Answer { verdict, model_version: "0123456789ab", request_id: "r" };
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            concat!(
                r#"{"label":1,"name":"one","confidence":0.9,"probabilities":[0.1,0.9],"#,
                r#""model_version":"0123456789ab","request_id":"r"}"#
            )
        );
    }
}
