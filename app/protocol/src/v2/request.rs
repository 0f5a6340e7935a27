//! [`Inference`]: what the body of an inference request asks for.

use contract::image::{Image, Shape};

use super::binary::{self, Wrong};
use super::body::{self, Body, Only, Parameters, Tensor, Wanted};
use super::data::{self, Values};
use super::elements::Elements;
use super::layout::Layout;
use super::{INPUT, Output, of_input};
use crate::content::Content;
use crate::problem::{Code, Refusal, shown};

#[derive(Debug, PartialEq, Eq)]
pub struct Inference {
    /// In the tensor's order, at least one.
    pub images: Vec<Content>,
    pub asked: Asked,
    /// Where elements have no JSON pointers of their own.
    is_binary: bool,
}

/// How the answer is to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The caller's own name for the request, given back as it came.
    pub id: Option<String>,
    /// Each at most once, in the order of the answer.
    pub outputs: Vec<(Output, Form)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    Binary,
}

impl Inference {
    /// Reads a body of which the first `header` bytes are JSON, or all of them. It must hold images of
    /// `shape`, at least one and at most `limit`.
    pub fn read(
        body: &[u8],
        header: Option<usize>,
        shape: Shape,
        limit: usize,
    ) -> Result<Self, Refusal> {
        let (json, raw) = binary::split(body, header)?;
        let Body { id, parameters, inputs: Only(tensor), outputs } = body::parse(json)?;
        let is_binary = tensor.is_binary();
        if !is_binary && !raw.is_empty() {
            let detail = format!(
                "{} bytes follow the JSON, and no tensor has the parameter `binary_data_size`",
                raw.len()
            );
            return Err(Refusal::new(Code::InvalidTensor, detail));
        }
        let images = tensor.images(raw, shape, limit)?;
        let asked = Asked { id, outputs: asked(&parameters.unwrap_or_default(), outputs)? };
        Ok(Self { images, asked, is_binary })
    }

    /// JSON pointer of an image's element.
    pub fn pointer(&self, image: usize) -> String {
        if self.is_binary { "/inputs/0".to_owned() } else { format!("/inputs/0/data/{image}") }
    }
}

impl Tensor<'_> {
    fn images(&self, raw: &[u8], shape: Shape, limit: usize) -> Result<Vec<Content>, Refusal> {
        let wrong = |field: &str, detail: &str| {
            of_input(Code::InvalidTensor, format!("/inputs/0{field}"), detail)
        };
        if self.name != INPUT {
            let found = shown(&self.name);
            let detail = format!("there is no input `{found}`; the only one is `{INPUT}`");
            return Err(Refusal::at(Code::InvalidTensor, "/inputs/0/name".to_owned(), detail));
        }
        let elements = Elements::of(&self.datatype).ok_or_else(|| {
            let found = shown(&self.datatype);
            let detail =
                format!("`{found}` is not read; expected {}", Elements::datatypes().join(", "));
            wrong("/datatype", &detail)
        })?;
        let (images, layout) = self.batch(elements, shape)?;
        if images > limit {
            let detail = format!("{images} images, expected at most {limit}");
            return Err(of_input(Code::TooManyImages, "/inputs/0/shape".to_owned(), &detail));
        }
        let dimensions = self.lengths();
        let values = match (self.is_binary(), self.data) {
            (false, Some(data)) => data::read(data, elements, &dimensions, "/inputs/0/data")?,
            (true, None) => self.binary(raw, elements, dimensions.iter().product())?,
            (true, Some(_)) => {
                return Err(wrong("", "both `data` and `binary_data_size`, expected one of them"));
            }
            (false, None) => {
                let detail = "neither `data` nor `binary_data_size`; shared memory is not read";
                return Err(wrong("", detail));
            }
        };
        Ok(if elements == Elements::Pictures {
            values.pictures
        } else {
            let image = |tensor| {
                Image::new(shape, layout.pixels(tensor, shape)).expect("as many pixels as it has")
            };
            values.pixels.chunks_exact(shape.len()).map(image).map(Content::Image).collect()
        })
    }

    /// Number and layout of the images.
    fn batch(&self, elements: Elements, shape: Shape) -> Result<(usize, Layout), Refusal> {
        let lengths = self.lengths();
        let batch = lengths.split_first().and_then(|(images, image)| {
            Some((*images, Layout::of(image, elements, shape)?)).filter(|_| *images > 0)
        });
        batch.ok_or_else(|| {
            // A shape of a thousand lengths is not worth an answer of as many.
            let shown = &lengths[..lengths.len().min(8)];
            let shapes = Layout::shapes(elements, shape);
            let datatype = &self.datatype;
            let detail = format!(
                "{datatype} of shape {shown:?} holds no {shape} images; expected {shapes}, N at least 1"
            );
            of_input(Code::InvalidTensor, "/inputs/0/shape".to_owned(), &detail)
        })
    }

    fn binary(&self, raw: &[u8], elements: Elements, total: usize) -> Result<Values, Refusal> {
        let told = self.parameters.as_ref().and_then(|parameters| parameters.binary_data_size);
        let read = if told != Some(raw.len()) {
            let found = raw.len();
            let detail =
                format!("{found} bytes follow the JSON, `binary_data_size` says otherwise");
            Err(Wrong::Tensor(detail))
        } else if elements == Elements::Pictures {
            binary::pictures(raw, total).map(|pictures| Values { pictures, ..Values::default() })
        } else {
            binary::pixels(raw, elements, total)
                .map(|pixels| Values { pixels, ..Values::default() })
        };
        read.map_err(|wrong| {
            let (code, detail) = match wrong {
                Wrong::Tensor(detail) => (Code::InvalidTensor, detail),
                Wrong::Value(detail) => (Code::InvalidImage, detail),
            };
            of_input(code, "/inputs/0".to_owned(), &detail)
        })
    }
}

/// Without a word of outputs all are wanted.
fn asked(
    request: &Parameters,
    outputs: Option<Vec<Wanted>>,
) -> Result<Vec<(Output, Form)>, Refusal> {
    let form = |binary| if binary { Form::Binary } else { Form::Json };
    let general = request.binary_data_output.unwrap_or(false);
    let wanted = outputs.unwrap_or_default();
    if wanted.is_empty() {
        return Ok(Output::ALL.map(|output| (output, form(general))).into());
    }
    let mut asked: Vec<(Output, Form)> = Vec::with_capacity(Output::ALL.len());
    for (index, Wanted { name, parameters }) in wanted.into_iter().enumerate() {
        let wrong = |detail: &str| {
            Refusal::at(Code::InvalidTensor, format!("/outputs/{index}"), detail.to_owned())
        };
        let parameters = parameters.unwrap_or_default();
        if parameters.classification.is_some() {
            return Err(wrong("`classification` is not served; `probabilities` has every class"));
        }
        if parameters.shared_memory_region.is_some() {
            return Err(wrong("shared memory is not written; leave `shared_memory_region` out"));
        }
        if asked.iter().any(|(output, _)| *output == name) {
            return Err(wrong("this output is asked for twice"));
        }
        asked.push((name, form(parameters.binary_data.unwrap_or(general))));
    }
    Ok(asked)
}
