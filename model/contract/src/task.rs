//! [`Task`]: what is classified. Read from `model/task.yaml`, recorded whole in every manifest.
//!
//! Nothing outside this value and the `model` package knows what the pictures show.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::image::Shape;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Names models, metrics and files: lower-case letters, digits and `-`.
    pub name: String,
    /// For humans: the model card, the API's title.
    pub title: String,
    pub input: Shape,
    /// One name per class; a label is an index into this list.
    pub classes: Vec<String>,
    pub normalisation: Normalisation,
    pub picture: PictureFit,
    pub data: DataSource,
}

/// `(pixel / 255 - mean) / std`, one entry per channel. It happens inside the traced model only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    pub mean: Vec<f64>,
    pub std: Vec<f64>,
}

/// How a PNG or JPEG that is not already of the input's shape becomes an image of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PictureFit {
    /// Bright strokes on black: grey, a light background inverted, the strokes' bounding box scaled
    /// into the middle 5/7 of the picture, their centre of mass centred. How MNIST was made:
    /// 20 of 28 pixels (LeCun, Cortes and Burges, "The MNIST database").
    CentredInk,
    /// The whole picture, scaled to cover the input and cropped around its middle.
    Cover,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    /// What an artifact calls the data it was trained on.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idx: Option<IdxFiles>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folders: Option<Folders>,
    /// Generator to fall back on, or to train on by choice. Such data is named `synthetic-…` instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<Generator>,
}

/// Four gzipped files in the format of <http://yann.lecun.com/exdb/mnist>, found under any mirror.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdxFiles {
    /// Base URLs, tried in order.
    pub mirrors: Vec<String>,
    pub train: IdxPair,
    pub test: IdxPair,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdxPair {
    pub images: RemoteFile,
    pub labels: RemoteFile,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteFile {
    pub file: String,
    pub bytes: u64,
    pub sha256: Sha256Hex,
}

/// A digest spelled as `sha256sum` prints it, so that a `task.yaml` can be pasted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Sha256Hex(pub Digest);

impl From<Sha256Hex> for String {
    fn from(hex: Sha256Hex) -> Self {
        hex.0.hex()
    }
}

impl TryFrom<String> for Sha256Hex {
    type Error = crate::digest::InvalidDigest;

    fn try_from(hex: String) -> Result<Self, Self::Error> {
        Digest::from_hex(&hex).map(Self)
    }
}

/// Two folders, each with one folder of PNG or JPEG files per class, named as in `classes`.
/// Paths are relative to the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folders {
    pub train: String,
    pub test: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generator {
    /// Ten handwriting-like digits, one grey channel.
    Digits,
    /// Five filled shapes in colour on a textured ground, three channels.
    Shapes,
}

impl Generator {
    /// The data name of an artifact trained on this generator's pictures.
    pub fn data_name(self) -> &'static str {
        match self {
            Self::Digits => "synthetic-digits",
            Self::Shapes => "synthetic-shapes",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum InvalidTask {
    #[error("not a task description: {0}")]
    Syntax(#[from] serde_yaml::Error),
    /// Every mistake, one per line.
    #[error("{}", .0.join("\n"))]
    Values(Vec<String>),
}

/// Larger inputs than this would not be classified by a compact network, and a typo should not
/// allocate gigabytes.
const MAX_SIDE: usize = 512;
const MAX_CLASSES: usize = 1000;

impl Task {
    pub fn from_yaml(text: &str) -> Result<Self, InvalidTask> {
        let task: Self = serde_yaml::from_str(text)?;
        let mistakes = task.mistakes();
        if mistakes.is_empty() { Ok(task) } else { Err(InvalidTask::Values(mistakes)) }
    }

    /// As the manifest of a model records it that was trained on `data`: nothing in it names any other.
    #[must_use]
    pub fn trained_on(&self, data: &str) -> Self {
        let mut task = self.clone();
        if data != task.data.name {
            let synthetic = task.data.synthetic;
            task.data = DataSource { name: data.to_owned(), idx: None, folders: None, synthetic };
        }
        task
    }

    /// What a value that parsed may still get wrong. Also asked of a manifest's task.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut demand = |holds: bool, mistake: String| {
            if !holds {
                mistakes.push(mistake);
            }
        };
        for (field, name) in [("name", &self.name), ("data.name", &self.data.name)] {
            demand(
                is_kebab(name),
                format!("{field}: `{name}` must be lower-case letters, digits and `-`"),
            );
        }
        let generated = self.data.is_generated() && self.data.has_the_name_of_its_generator();
        demand(
            generated || !self.data.name.starts_with("synthetic"),
            format!("data.name: `{}` is reserved for generated data", self.data.name),
        );
        let Shape { height, width, channels } = self.input;
        for (field, side) in [("height", height), ("width", width)] {
            demand(
                (8..=MAX_SIDE).contains(&side),
                format!("input.{field}: {side} is not between 8 and {MAX_SIDE}"),
            );
        }
        demand(
            matches!(channels, 1 | 3),
            format!("input.channels: {channels} is neither 1 (grey) nor 3 (RGB)"),
        );
        let classes = self.classes.len();
        demand(
            (2..=MAX_CLASSES).contains(&classes),
            format!("classes: {classes} is not between 2 and {MAX_CLASSES}"),
        );
        demand(
            self.classes.iter().all(|name| !name.trim().is_empty()),
            "classes: a name is empty".to_owned(),
        );
        demand(
            self.classes.iter().collect::<BTreeSet<_>>().len() == classes,
            "classes: a name occurs twice".to_owned(),
        );
        let Normalisation { mean, std } = &self.normalisation;
        for (field, values) in [("mean", mean), ("std", std)] {
            demand(
                values.len() == channels,
                format!("normalisation.{field}: {} values for {channels} channels", values.len()),
            );
        }
        demand(
            mean.iter().all(|m| (0.0..=1.0).contains(m)),
            "normalisation.mean: pixels are scaled to 0..1 first, so a mean is within 0..1"
                .to_owned(),
        );
        demand(
            std.iter().all(|s| *s > 0.0 && *s <= 1.0),
            "normalisation.std: must be above 0 and at most 1".to_owned(),
        );
        let DataSource { idx, folders, synthetic, .. } = &self.data;
        demand(
            !(idx.is_some() && folders.is_some()),
            "data: give either `idx` or `folders`".to_owned(),
        );
        demand(
            idx.is_some() || folders.is_some() || synthetic.is_some(),
            "data: give `idx`, `folders` or `synthetic`".to_owned(),
        );
        if let Some(generator) = synthetic {
            let (made, count) = match generator {
                Generator::Digits => (1, 10),
                Generator::Shapes => (3, 5),
            };
            demand(
                (channels, classes) == (made, count),
                format!(
                    "data.synthetic: `{}` makes {count} classes in {made} channels, not {classes} in {channels}",
                    generator.data_name()
                ),
            );
        }
        for file in self.data.files() {
            demand(
                !file.file.is_empty()
                    && !file.file.contains(['/', '\\'])
                    && !file.file.starts_with('.'),
                format!("data.idx: `{}` is not a plain file name", file.file),
            );
        }
        mistakes
    }
}

impl DataSource {
    /// There is nothing but what the generator draws.
    pub fn is_generated(&self) -> bool {
        self.idx.is_none() && self.folders.is_none()
    }

    fn has_the_name_of_its_generator(&self) -> bool {
        self.synthetic.is_some_and(|generator| generator.data_name() == self.name)
    }

    /// Everything to be fetched, in a stable order; empty where nothing is.
    pub fn files(&self) -> Vec<&RemoteFile> {
        self.idx
            .iter()
            .flat_map(|idx| [&idx.train, &idx.test])
            .flat_map(|p| [&p.images, &p.labels])
            .collect()
    }
}

fn is_kebab(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: &str = "
name: shapes
title: Coloured shapes
input: { height: 32, width: 32, channels: 3 }
classes: [circle, square, triangle, star, cross]
normalisation: { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] }
picture: cover
data: { name: shapes, synthetic: shapes }
";

    #[test]
    fn the_shipped_task_is_valid() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../task.yaml");
        Task::from_yaml(&fs_err::read_to_string(path).unwrap()).unwrap();
    }

    #[test]
    fn all_mistakes_are_reported_together() {
        let wrong = SHAPES
            .replace("name: shapes\n", "name: My Shapes\n")
            .replace("height: 32", "height: 0")
            .replace("circle", "square")
            .replace("mean: [0.5, 0.5, 0.5]", "mean: [127.5]");
        let error = Task::from_yaml(&wrong).unwrap_err().to_string();
        for part in
            ["`My Shapes`", "input.height: 0", "occurs twice", "1 values for 3", "within 0..1"]
        {
            assert!(error.contains(part), "`{part}` missing in:\n{error}");
        }
    }

    #[test]
    fn an_unknown_field_is_named_with_its_line() {
        let error = Task::from_yaml(&SHAPES.replace("title", "titel")).unwrap_err().to_string();
        assert!(error.contains("titel") && error.contains("line 3"), "{error}");
    }

    #[test]
    fn a_task_trained_on_generated_pictures_names_no_other_data() {
        let real = SHAPES.replace(
            "{ name: shapes, synthetic: shapes }",
            "{ name: photos, folders: { train: photos/train, test: photos/test }, synthetic: shapes }",
        );
        let task = Task::from_yaml(&real).unwrap();
        assert_eq!(task.trained_on("photos"), task);
        let generated = task.trained_on("synthetic-shapes");
        assert_eq!(generated.mistakes(), Vec::<String>::new());
        assert_eq!(generated.trained_on("synthetic-shapes"), generated);
        let json = serde_json::to_string(&generated).unwrap();
        assert!(json.contains("synthetic-shapes") && !json.contains("photos"), "{json}");
    }

    #[test]
    fn only_generated_data_may_be_called_synthetic() {
        let named = |data: &str| {
            Task::from_yaml(&SHAPES.replace("{ name: shapes, synthetic: shapes }", data))
        };
        named("{ name: synthetic-shapes, synthetic: shapes }").unwrap();
        for data in [
            "{ name: synthetic-digits, synthetic: shapes }",
            "{ name: synthetic-shapes, synthetic: shapes, folders: { train: a, test: b } }",
            "{ name: synthetic-shapes, folders: { train: a, test: b } }",
        ] {
            let error = named(data).unwrap_err().to_string();
            assert!(error.contains("is reserved for generated data"), "{error}");
        }
    }

    #[test]
    fn a_task_reads_back_from_a_manifests_json() {
        let task = Task::from_yaml(SHAPES).unwrap();
        let json = serde_json::to_string(&task).unwrap();
        assert_eq!(serde_json::from_str::<Task>(&json).unwrap(), task);
    }
}
