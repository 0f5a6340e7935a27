//! What bodies look like, for the document. A test compares each with what is really sent.

pub mod v2;

use base64::Engine as _;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use protocol::problem::Code;
use serde_json::json;

/// A body with a name among the document's components.
pub trait Described: Send + Sync + 'static {
    const NAME: &'static str;

    fn schema() -> MetaSchema;

    fn register(registry: &mut Registry) {
        registry.schemas.insert(Self::NAME.to_owned(), Self::schema());
    }
}

pub fn reference<D: Described>() -> MetaSchemaRef {
    MetaSchemaRef::Reference(D::NAME.to_owned())
}

pub fn inline(schema: MetaSchema) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(schema))
}

/// A ring, bright on black. As a PNG it suits a model of any shape.
const EXAMPLE: &[u8] = include_bytes!("example.png");

fn picture() -> MetaSchema {
    let rows = |items| list("", items);
    let pixel = || MetaSchema { maximum: Some(255.0), ..integer("", 0) };
    MetaSchema {
        any_of: [
            MetaSchema {
                format: Some("byte"),
                ..text("PNG or JPEG of any size in base64, also as a `data:` URL")
            },
            list("All values in one list: rows from the top, channels last", pixel()),
            list("Rows of values, for models of one channel", rows(pixel())),
            list("Rows of pixels of values", rows(rows(pixel()))),
        ]
        .map(inline)
        .into(),
        ..described("", "A picture: numbers are whole, 0 (black) to 255, in the model's own shape")
    }
}

pub struct PredictRequest;

impl Described for PredictRequest {
    const NAME: &'static str = "PredictRequest";

    fn schema() -> MetaSchema {
        let example = base64::engine::general_purpose::STANDARD.encode(EXAMPLE);
        let schema = object("One picture", vec![("image", picture())]);
        MetaSchema { example: Some(json!({ "image": example })), ..schema }
    }
}

pub struct BatchRequest;

impl Described for BatchRequest {
    const NAME: &'static str = "BatchRequest";

    fn schema() -> MetaSchema {
        let example = base64::engine::general_purpose::STANDARD.encode(EXAMPLE);
        let images =
            MetaSchema { min_items: Some(1), ..list("In any mix of spellings", picture()) };
        let schema = object("Pictures to be classified together", vec![("images", images)]);
        MetaSchema { example: Some(json!({ "images": [example, example] })), ..schema }
    }
}

/// A form with the picture in its first file.
pub struct PredictForm;

impl Described for PredictForm {
    const NAME: &'static str = "PredictForm";

    fn schema() -> MetaSchema {
        object("A form; its first file is the picture", vec![("file", file())])
    }
}

/// Bytes of a PNG or JPEG.
pub fn file() -> MetaSchema {
    MetaSchema { format: Some("binary"), ..text("PNG or JPEG of any size") }
}

pub struct Answer;

impl Described for Answer {
    const NAME: &'static str = "Answer";

    fn schema() -> MetaSchema {
        let image = list(
            "The image as the model saw it, where that was asked for: all values in one list, as a request \
             may spell them",
            integer("", 0),
        );
        let fields = [verdict(), vec![("image", image)], provenance()].concat();
        optional(&["receipt", "image"], object("What the model sees in the picture", fields))
    }
}

pub struct BatchAnswer;

impl Described for BatchAnswer {
    const NAME: &'static str = "BatchAnswer";

    fn schema() -> MetaSchema {
        let verdict = optional(&["receipt"], object("", verdict()));
        let predictions = list("In the order of the images", verdict);
        let fields = [vec![("predictions", predictions)], provenance()].concat();
        object("What the model sees in each picture", fields)
    }
}

fn verdict() -> Vec<(&'static str, MetaSchema)> {
    vec![
        ("label", integer("Index of the likeliest class", 0)),
        ("name", text("Its name")),
        ("confidence", share("Its probability")),
        ("probabilities", list("Of every class, in the model's order", share(""))),
        ("receipt", text("To be sent back with the true label; absent where feedback is off")),
    ]
}

fn provenance() -> Vec<(&'static str, MetaSchema)> {
    vec![
        ("model_version", text("The model that said so")),
        ("request_id", text("As in the header `X-Request-Id` and in the log")),
    ]
}

pub struct FeedbackRequest;

impl Described for FeedbackRequest {
    const NAME: &'static str = "FeedbackRequest";

    fn schema() -> MetaSchema {
        let receipt = text("As it came with the answer");
        let receipt = MetaSchema { pattern: Some("^[A-Za-z0-9_-]+$".to_owned()), ..receipt };
        object(
            "What a picture really was",
            vec![("receipt", receipt), ("label", integer("Index of the true class", 0))],
        )
    }
}

pub struct Thanks;

impl Described for Thanks {
    const NAME: &'static str = "Thanks";

    fn schema() -> MetaSchema {
        object(
            "What became of the feedback",
            vec![
                ("correct", flag("Whether the prediction was right")),
                ("counted", flag("False where this receipt was counted before")),
                ("model_version", text("The model that it is about")),
                ("request_id", text("As in the header `X-Request-Id` and in the log")),
            ],
        )
    }
}

pub struct Model;

impl Described for Model {
    const NAME: &'static str = "Model";

    fn schema() -> MetaSchema {
        let shape = object(
            "The image it reads; pictures of other shapes are fitted",
            vec![
                ("height", integer("", 1)),
                ("width", integer("", 1)),
                ("channels", integer("", 1)),
            ],
        );
        object(
            "The model behind this service",
            vec![
                ("name", text("Name of its task")),
                ("title", text("The same for people")),
                ("version", text("The start of its digest")),
                ("digest", text("SHA-256 of its weights")),
                ("input", shape),
                ("classes", list("Names, in the order of labels and probabilities", text(""))),
                ("data", text("What it was trained on; `synthetic-…` where no real data was")),
                ("accuracy", share("Of the test images, read once, after training")),
                ("calibration_error", share("Expected calibration error on the test images")),
                ("parameters", integer("Trained numbers", 0)),
                ("recipe", text("How it was trained")),
                ("trained_at", text("When training ended")),
            ],
        )
    }
}

pub struct Version;

impl Described for Version {
    const NAME: &'static str = "Version";

    fn schema() -> MetaSchema {
        object(
            "What is running",
            vec![
                ("app_version", text("Version of the service")),
                ("revision", text("Git revision it was built from")),
                ("model_name", text("")),
                ("model_version", text("")),
                ("model_digest", text("")),
                ("libtorch", text("Version that trained and traced the model")),
            ],
        )
    }
}

pub struct Health;

impl Described for Health {
    const NAME: &'static str = "Health";

    fn schema() -> MetaSchema {
        let schema = object(
            "All is well; anything else is a problem with a status of its own",
            vec![
                ("status", text("`ok`")),
                ("checks", list("What was looked at, where that was asked for", text(""))),
            ],
        );
        optional(&["checks"], schema)
    }
}

pub struct Problem;

impl Described for Problem {
    const NAME: &'static str = "Problem";

    fn schema() -> MetaSchema {
        let codes = Code::ALL.iter().map(|code| code.as_str().into()).collect();
        let mistake = object(
            "",
            vec![("pointer", text("RFC 6901")), ("detail", text("What is wrong there"))],
        );
        let schema = object(
            "Why a request was refused, after RFC 9457",
            vec![
                ("type", text("Stable, one per code")),
                ("title", text("What went wrong in general")),
                ("status", integer("As in the status line", 400)),
                ("detail", text("What went wrong with this request")),
                ("instance", text("The path of this request")),
                ("code", MetaSchema { enum_items: codes, ..text("For programs to match on") }),
                ("request_id", text("As in the header `X-Request-Id` and in the log")),
                ("trace_id", text("Of the trace that this request belongs to, 32 hex digits")),
                ("error", text("The same as `detail`, for clients that look here")),
                ("errors", list("Mistakes by their place in a JSON body", mistake)),
            ],
        );
        optional(&["trace_id", "errors"], schema)
    }
}

fn object(description: &'static str, fields: Vec<(&'static str, MetaSchema)>) -> MetaSchema {
    MetaSchema {
        required: fields.iter().map(|(name, _)| *name).collect(),
        properties: fields.into_iter().map(|(name, schema)| (name, inline(schema))).collect(),
        ..described("object", description)
    }
}

/// The same object, of which these fields may be missing.
fn optional(fields: &[&str], mut schema: MetaSchema) -> MetaSchema {
    schema.required.retain(|field| !fields.contains(field));
    schema
}

fn list(description: &'static str, items: MetaSchema) -> MetaSchema {
    MetaSchema { items: Some(Box::new(inline(items))), ..described("array", description) }
}

fn text(description: &'static str) -> MetaSchema {
    described("string", description)
}

fn flag(description: &'static str) -> MetaSchema {
    described("boolean", description)
}

pub fn integer(description: &'static str, minimum: u16) -> MetaSchema {
    MetaSchema { minimum: Some(minimum.into()), ..described("integer", description) }
}

fn share(description: &'static str) -> MetaSchema {
    MetaSchema {
        minimum: Some(0.0),
        maximum: Some(1.0),
        format: Some("float"),
        ..described("number", description)
    }
}

fn described(ty: &'static str, description: &'static str) -> MetaSchema {
    MetaSchema {
        description: Some(description).filter(|text| !text.is_empty()),
        ..MetaSchema::new(ty)
    }
}
