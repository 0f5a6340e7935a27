//! [`Answer`]: predictions as the output tensors that were asked for.

use contract::prediction::Prediction;
use serde::{Serialize, Serializer};

use super::Output;
use super::request::{Asked, Form};

/// What one request is answered with.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    pub model_name: &'a str,
    pub model_version: &'a str,
    pub asked: &'a Asked,
    /// At least one, all of as many classes.
    pub predictions: &'a [Prediction],
    /// Of the predictions, in their order and separated by spaces, where feedback is taken. Parameters of the
    /// protocol are no lists.
    pub receipts: Option<&'a str>,
}

/// A body, and how much of it is JSON where not all is.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    pub body: Vec<u8>,
    pub header: Option<usize>,
}

impl Answer<'_> {
    pub fn write(self) -> Written {
        let mut body = serde_json::to_vec(&self).expect("string keys and no failing parts");
        let json = body.len();
        let binary = self.asked.outputs.iter().filter(|(_, form)| *form == Form::Binary);
        let mut header = None;
        for (output, _) in binary {
            header = Some(json);
            self.append(*output, &mut body);
        }
        Written { body, header }
    }

    fn append(&self, output: Output, body: &mut Vec<u8>) {
        match output {
            Output::Probabilities => {
                body.extend(probabilities(self.predictions).flat_map(f32::to_le_bytes));
            }
            Output::Label => body.extend(labels(self.predictions).flat_map(i64::to_le_bytes)),
        }
    }

    fn tensor(&self, output: Output, form: Form) -> Tensor<'_> {
        let images = self.predictions.len();
        let classes = probabilities(self.predictions).count() / images.max(1);
        let shape = output.shape(images, classes);
        let elements: usize = shape.iter().product();
        let size = match output {
            Output::Probabilities => size_of::<f32>(),
            Output::Label => size_of::<i64>(),
        };
        let (parameters, data) = match form {
            Form::Json => (None, Some(Data { output, predictions: self.predictions })),
            Form::Binary => (Some(Parameters { binary_data_size: elements * size }), None),
        };
        Tensor { name: output, shape, datatype: output.datatype(), parameters, data }
    }
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            model_name: &'a str,
            model_version: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            parameters: Option<OfAnswer<'a>>,
            outputs: Vec<Tensor<'a>>,
        }

        let outputs = self.asked.outputs.iter().map(|(output, form)| self.tensor(*output, *form));
        let body = Body {
            model_name: self.model_name,
            model_version: self.model_version,
            id: self.asked.id.as_deref(),
            parameters: self.receipts.map(|receipts| OfAnswer { receipts }),
            outputs: outputs.collect(),
        };
        body.serialize(json)
    }
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: Output,
    shape: Vec<usize>,
    datatype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

#[derive(Serialize)]
struct OfAnswer<'a> {
    receipts: &'a str,
}

#[derive(Serialize)]
struct Parameters {
    binary_data_size: usize,
}

/// Elements in row-major order, flat.
struct Data<'a> {
    output: Output,
    predictions: &'a [Prediction],
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        match self.output {
            Output::Probabilities => json.collect_seq(probabilities(self.predictions)),
            Output::Label => json.collect_seq(labels(self.predictions)),
        }
    }
}

fn probabilities(predictions: &[Prediction]) -> impl Iterator<Item = f32> + '_ {
    predictions.iter().flat_map(|prediction| prediction.scores.probabilities()).copied()
}

fn labels(predictions: &[Prediction]) -> impl Iterator<Item = i64> + '_ {
    let label = |prediction: &Prediction| i64::try_from(prediction.label);
    predictions.iter().map(move |prediction| label(prediction).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use contract::prediction::Scores;

    use super::*;

    fn written(outputs: &[(Output, Form)], id: Option<&str>, receipts: Option<&str>) -> Written {
        let scores = [[0.25, 0.75], [0.9, 0.1]].map(|scores| Scores::new(scores).unwrap());
        let asked = Asked { id: id.map(str::to_owned), outputs: outputs.to_vec() };
        let predictions = &scores.map(Prediction::from);
        Answer { model_name: "m", model_version: "v", asked: &asked, predictions, receipts }.write()
    }

    #[test]
    fn outputs_stand_in_the_order_they_were_asked_for_and_the_id_comes_back() {
        let outputs = [(Output::Label, Form::Json), (Output::Probabilities, Form::Json)];
        let Written { body, header } = written(&outputs, Some("a \"b\""), Some("r0 r1"));
        assert_eq!(header, None);
        assert_eq!(
            String::from_utf8(body).unwrap(),
            concat!(
                r#"{"model_name":"m","model_version":"v","id":"a \"b\"","#,
                r#""parameters":{"receipts":"r0 r1"},"outputs":["#,
                r#"{"name":"label","shape":[2],"datatype":"INT64","data":[1,0]},"#,
                r#"{"name":"probabilities","shape":[2,2],"datatype":"FP32","data":[0.25,0.75,0.9,0.1]}]}"#
            )
        );
    }

    #[test]
    fn a_binary_output_follows_the_json_that_tells_its_size() {
        let outputs = [(Output::Probabilities, Form::Json), (Output::Label, Form::Binary)];
        let Written { body, header } = written(&outputs, None, None);
        let (json, raw) = body.split_at(header.unwrap());
        let json: serde_json::Value = serde_json::from_slice(json).unwrap();
        assert_eq!(json["outputs"][1]["parameters"]["binary_data_size"], 16);
        assert_eq!((json.get("id"), json.get("parameters")), (None, None));
        assert_eq!(json["outputs"][1].get("data"), None);
        assert_eq!(json["outputs"][0]["data"][0], 0.25);
        assert_eq!(raw, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

        let Written { body, header } =
            written(&[(Output::Probabilities, Form::Binary)], None, None);
        let floats: Vec<u8> =
            [0.25f32, 0.75, 0.9, 0.1].iter().flat_map(|p| p.to_le_bytes()).collect();
        assert_eq!(body[header.unwrap()..], floats);
    }
}
