//! Bodies of the Open Inference Protocol.

use base64::Engine as _;
use poem_openapi::registry::MetaSchema;
use protocol::v2::elements::Elements;
use protocol::v2::{INPUT, Output};
use serde_json::json;

use super::{Described, EXAMPLE, described, inline, integer, list, object, optional, text};

pub struct InferRequest;

impl Described for InferRequest {
    const NAME: &'static str = "InferRequest";

    fn schema() -> MetaSchema {
        let example = base64::engine::general_purpose::STANDARD.encode(EXAMPLE);
        let lengths = "N pictures: the model's shape after N, or N alone for BYTES";
        let datatypes = "Whole numbers from 0 to 255, FP from 0 to 1, BYTES for PNG or JPEG";
        let input = vec![
            ("name", one_of("The only input", [INPUT])),
            ("shape", MetaSchema { min_items: Some(1), ..list(lengths, integer("", 1)) }),
            ("datatype", one_of(datatypes, Elements::datatypes())),
            ("parameters", parameters()),
            ("data", data()),
        ];
        let output = vec![("name", output_name()), ("parameters", parameters())];
        let inputs = MetaSchema {
            min_items: Some(1),
            max_items: Some(1),
            ..list("One tensor", optional(&["parameters", "data"], object("", input)))
        };
        let fields = vec![
            ("id", text("Given back as it came")),
            ("parameters", parameters()),
            ("inputs", inputs),
            (
                "outputs",
                list(
                    "What to answer; all where nothing is said",
                    optional(&["parameters"], object("", output)),
                ),
            ),
        ];
        let schema = object("Pictures as a tensor", fields);
        let example = json!({
            "id": "1",
            "inputs": [{ "name": "image", "shape": [1], "datatype": "BYTES", "data": [example] }],
            "outputs": [{ "name": "label" }, { "name": "probabilities" }],
        });
        MetaSchema { example: Some(example), ..optional(&["id", "parameters", "outputs"], schema) }
    }
}

pub struct InferResponse;

impl Described for InferResponse {
    const NAME: &'static str = "InferResponse";

    fn schema() -> MetaSchema {
        let size = integer("Bytes after the JSON", 0);
        let binary = object("Where the tensor is binary", vec![("binary_data_size", size)]);
        let output = vec![
            ("name", output_name()),
            ("shape", list("", integer("", 1))),
            ("datatype", text("FP32 for probabilities, INT64 for labels")),
            ("parameters", binary),
            (
                "data",
                list(
                    "Row by row, flat; missing where the tensor is binary",
                    described("number", ""),
                ),
            ),
        ];
        let receipts = text("One for each picture, in their order and separated by spaces");
        let receipts = object("Where feedback is taken", vec![("receipts", receipts)]);
        let outputs = list(
            "In the order they were asked for",
            optional(&["parameters", "data"], object("", output)),
        );
        let fields = vec![
            ("model_name", text("")),
            ("model_version", text("")),
            ("id", text("As it was given")),
            ("parameters", receipts),
            ("outputs", outputs),
        ];
        optional(&["id", "parameters"], object("What the model sees, as tensors", fields))
    }
}

/// A body of the extension.
pub fn binary() -> MetaSchema {
    MetaSchema {
        format: Some("binary"),
        ..text(
            "As JSON, as long as the header `Inference-Header-Content-Length` says, then the elements of each tensor with the parameter `binary_data_size`",
        )
    }
}

pub struct Server;

impl Described for Server {
    const NAME: &'static str = "V2Server";

    fn schema() -> MetaSchema {
        let extensions = list("Optional parts of the protocol that are served", text(""));
        let fields = vec![
            ("name", text("")),
            ("version", text("Of the service")),
            ("extensions", extensions),
        ];
        object("The server", fields)
    }
}

pub struct Live;

impl Described for Live {
    const NAME: &'static str = "V2Live";

    fn schema() -> MetaSchema {
        object("Anything else is a problem with a status of its own", vec![("live", flag())])
    }
}

pub struct Ready;

impl Described for Ready {
    const NAME: &'static str = "V2Ready";

    fn schema() -> MetaSchema {
        let fields = vec![("live", flag()), ("ready", flag())];
        object("Anything else is a problem with a status of its own", fields)
    }
}

pub struct Models;

impl Described for Models {
    const NAME: &'static str = "V2Models";

    fn schema() -> MetaSchema {
        object("The models that are served", vec![("models", list("Names", text("")))])
    }
}

pub struct ModelReady;

impl Described for ModelReady {
    const NAME: &'static str = "V2ModelReady";

    fn schema() -> MetaSchema {
        let fields = vec![("name", text("Of the model")), ("ready", flag())];
        object("Anything else is a problem with a status of its own", fields)
    }
}

pub struct Model;

impl Described for Model {
    const NAME: &'static str = "V2Model";

    fn schema() -> MetaSchema {
        let tensor = || {
            let shape = list("-1 is up to the caller", described("integer", ""));
            object("", vec![("name", text("")), ("datatype", text("")), ("shape", shape)])
        };
        object(
            "The model and its tensors",
            vec![
                ("name", text("")),
                ("versions", list("The one that is served", text(""))),
                ("platform", text("Format of the model")),
                ("inputs", list("How they are best sent", tensor())),
                ("outputs", list("", tensor())),
            ],
        )
    }
}

pub struct IndexRequest;

impl Described for IndexRequest {
    const NAME: &'static str = "IndexRequest";

    fn schema() -> MetaSchema {
        let ready = described("boolean", "List only models that are ready");
        optional(&["ready"], object("May be left out", vec![("ready", ready)]))
    }
}

pub struct Index;

impl Described for Index {
    const NAME: &'static str = "Index";

    fn schema() -> MetaSchema {
        let entry = object(
            "",
            vec![
                ("name", text("")),
                ("version", text("")),
                ("state", text("`READY` or `UNAVAILABLE`")),
                ("reason", text("Why it is not ready; empty where it is")),
            ],
        );
        list("The models that are served", entry)
    }
}

fn output_name() -> MetaSchema {
    one_of("", Output::ALL.map(Output::name))
}

fn one_of<const N: usize>(description: &'static str, words: [&str; N]) -> MetaSchema {
    MetaSchema { enum_items: words.map(Into::into).into(), ..text(description) }
}

fn flag() -> MetaSchema {
    described("boolean", "`true`")
}

fn parameters() -> MetaSchema {
    described("object", "Those of `binary_tensor_data` are read, others passed over")
}

/// Schemas of this kind cannot contain themselves, so how deep arrays go is left open.
fn data() -> MetaSchema {
    let element = [
        described("number", ""),
        MetaSchema { format: Some("byte"), ..text("Of BYTES") },
        list("An array of more", MetaSchema::ANY),
    ];
    let element = MetaSchema { any_of: element.map(inline).into(), ..MetaSchema::ANY };
    list("Row by row, nested as the shape says, or flat", element)
}
