//! What is said of a picture: projections of a [`Prediction`] into bodies.

use contract::prediction::Prediction;
use serde::Serialize;

/// Body of one prediction.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    #[serde(flatten)]
    pub verdict: Verdict<'a>,
    /// The pixels that the model saw, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<&'a [u8]>,
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
    /// Present where feedback is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
}

impl<'a> Verdict<'a> {
    pub fn of(prediction: &'a Prediction, classes: &'a [String], receipt: Option<String>) -> Self {
        Self {
            label: prediction.label,
            name: classes.get(prediction.label).map_or("", String::as_str),
            confidence: prediction.confidence,
            probabilities: prediction.scores.probabilities(),
            receipt,
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
        let answer = |receipt: Option<String>, image| {
            let verdict = Verdict::of(&prediction, &classes, receipt);
            let answer = Answer { verdict, image, model_version: "0123456789ab", request_id: "r" };
            serde_json::to_string(&answer).unwrap()
        };
        let said = r#"{"label":1,"name":"one","confidence":0.9,"probabilities":[0.1,0.9],"#;
        let by = r#""model_version":"0123456789ab","request_id":"r"}"#;
        assert_eq!(answer(None, None), format!("{said}{by}"));
        assert_eq!(
            answer(Some("text".to_owned()), Some(&[0, 255])),
            format!(r#"{said}"receipt":"text","image":[0,255],{by}"#)
        );
    }
}
