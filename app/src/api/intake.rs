//! [`Input`]: what a prediction request asks for, built once from its body and carried as it is.
//!
//! Pictures, and what is too long to be read in passing, are decoded off the runtime.

use std::sync::Arc;
use std::time::Duration;

use contract::image::Image;
use contract::task::Task;
use poem::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use poem::{Body, Request};
use protocol::content::{Content, MediaType};
use protocol::problem::{Code, Refusal};
use protocol::v2::request::{Asked, Inference};
use protocol::{json, multipart, v2};
use tokio::time::Instant;

use super::body::Bodies;
use super::decoders::{Decoders, late};

#[derive(Debug)]
pub struct Input {
    pub images: Vec<Image>,
    pub deadline: Instant,
    /// What it took to get from the head to the whole body.
    pub read: Duration,
    /// What it took to get from body to images.
    pub decode: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    OneImage,
    Batch,
}

#[derive(Debug)]
pub struct Intake {
    task: Arc<Task>,
    bodies: Bodies,
    max_images: usize,
    timeout: Duration,
    decoders: Decoders,
}

/// JSON and forms up to this length are read within half a millisecond.
const IN_PASSING: usize = 64 << 10;

impl Intake {
    /// So many pictures may wait to be decoded, but for large ones.
    pub fn new(
        task: Task,
        body_limit: usize,
        max_images: usize,
        waiting: usize,
        timeout: Duration,
    ) -> Self {
        Self {
            task: Arc::new(task),
            bodies: Bodies::new(body_limit),
            max_images,
            timeout,
            decoders: Decoders::new(waiting),
        }
    }

    /// Of a request whose head was read then.
    pub fn deadline(&self, arrived: Instant) -> Instant {
        arrived + self.timeout
    }

    /// What few requests need is boxed: this future is moved as often as layers lie around it.
    pub async fn read(
        &self,
        wanted: Wanted,
        request: &Request,
        body: Body,
        arrived: Instant,
    ) -> Result<Input, Refusal> {
        let kind = media_type(wanted, request)?;
        let deadline = self.deadline(arrived);
        let (bytes, _held) = self.bodies.read(request, body, deadline).await?;
        let started = Instant::now();
        let contents = match kind {
            MediaType::Json => {
                let parse =
                    move |body: Vec<u8>, task: &Task, limit| parse_json(wanted, &body, task, limit);
                self.parse(deadline, bytes, parse).await?
            }
            MediaType::Picture => vec![Placed::alone(Content::Picture(bytes))],
            MediaType::Multipart => {
                let kind = header(request, CONTENT_TYPE).unwrap_or_default().to_owned();
                let parse = move |body, _: &Task, _| {
                    Ok(vec![Placed::alone(multipart::picture(&kind, body)?)])
                };
                self.parse(deadline, bytes, parse).await?
            }
        };
        let images = self.decode(deadline, contents).await?;
        Ok(Input { images, deadline, read: started - arrived, decode: started.elapsed() })
    }

    /// The same of tensors, and how the answer is to look.
    pub async fn read_tensors(
        &self,
        request: &Request,
        body: Body,
        arrived: Instant,
    ) -> Result<(Input, Asked), Refusal> {
        let header = tensors_header(request)?;
        let deadline = self.deadline(arrived);
        let (bytes, _held) = self.bodies.read(request, body, deadline).await?;
        let started = Instant::now();
        let parse =
            move |body: Vec<u8>, task: &Task, limit| parse_tensors(&body, header, task, limit);
        let (contents, asked) = self.parse(deadline, bytes, parse).await?;
        let images = self.decode(deadline, contents).await?;
        let (read, decode) = (started - arrived, started.elapsed());
        Ok((Input { images, deadline, read, decode }, asked))
    }

    /// A body that is no picture, whole.
    pub async fn read_text(
        &self,
        request: &Request,
        body: Body,
        arrived: Instant,
    ) -> Result<Vec<u8>, Refusal> {
        let (bytes, _held) = self.bodies.read(request, body, self.deadline(arrived)).await?;
        Ok(bytes)
    }

    async fn parse<T: Send + 'static>(
        &self,
        deadline: Instant,
        bytes: Vec<u8>,
        parse: impl FnOnce(Vec<u8>, &Task, usize) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let limit = self.max_images;
        if bytes.len() <= IN_PASSING {
            return parse(bytes, &self.task, limit);
        }
        let task = Arc::clone(&self.task);
        Box::pin(self.decoders.run(0, deadline, move || parse(bytes, &task, limit))).await
    }

    async fn decode(
        &self,
        deadline: Instant,
        contents: Vec<Placed>,
    ) -> Result<Vec<Image>, Refusal> {
        let task = Arc::clone(&self.task);
        let is_decoded = contents.iter().all(|placed| placed.content.is_decoded());
        let works = contents.iter().map(|placed| placed.content.work());
        let work = works.fold(0, u64::saturating_add);
        let decode = move || decode_all(contents, &task, deadline);
        if is_decoded {
            decode()
        } else {
            Box::pin(self.decoders.run(work, deadline, decode)).await
        }
    }
}

/// Stops when nobody waits for the images any more, so that the next has its turn.
fn decode_all(
    contents: Vec<Placed>,
    task: &Task,
    deadline: Instant,
) -> Result<Vec<Image>, Refusal> {
    let decode = |placed: Placed| {
        if Instant::now() >= deadline { Err(late()) } else { placed.decode(task) }
    };
    contents.into_iter().map(decode).collect()
}

/// A content and the JSON pointer to it; none where it is the whole body.
struct Placed {
    content: Content,
    pointer: Option<String>,
}

impl Placed {
    fn alone(content: Content) -> Self {
        Self { content, pointer: None }
    }

    fn decode(self, task: &Task) -> Result<Image, Refusal> {
        self.content.decode(task).map_err(|refusal| match &self.pointer {
            Some(pointer) => refusal.located(pointer),
            None => refusal,
        })
    }
}

fn parse_json(
    wanted: Wanted,
    body: &[u8],
    task: &Task,
    limit: usize,
) -> Result<Vec<Placed>, Refusal> {
    let placed = |content, pointer| Placed { content, pointer: Some(pointer) };
    match wanted {
        Wanted::OneImage => Ok(vec![placed(json::image(body, task.input)?, "/image".to_owned())]),
        Wanted::Batch => Ok(json::images(body, task.input, limit)?
            .into_iter()
            .enumerate()
            .map(|(index, content)| placed(content, format!("/images/{index}")))
            .collect()),
    }
}

fn parse_tensors(
    body: &[u8],
    header: Option<usize>,
    task: &Task,
    limit: usize,
) -> Result<(Vec<Placed>, Asked), Refusal> {
    let mut inference = Inference::read(body, header, task.input, limit)?;
    let images = std::mem::take(&mut inference.images);
    let placed = |(index, content): (usize, Content)| {
        let pointer = (!content.is_decoded()).then(|| inference.pointer(index));
        Placed { content, pointer }
    };
    let contents = images.into_iter().enumerate().map(placed).collect();
    Ok((contents, inference.asked))
}

/// How much of the body is JSON, where not all is. Clients of the protocol often do not say what they send.
fn tensors_header(request: &Request) -> Result<Option<usize>, Refusal> {
    refuse_encoded(request)?;
    let found = header(request, CONTENT_TYPE);
    let is_binary = found.is_some_and(|found| found.starts_with("application/octet-stream"));
    if found.is_some() && !is_binary && MediaType::parse(found)? != MediaType::Json {
        return Err(MediaType::unsupported(found));
    }
    let Some(length) = request.headers().get(v2::HEADER) else { return Ok(None) };
    let length = length.to_str().ok().and_then(|length| length.parse().ok());
    length.map(Some).ok_or_else(|| {
        Refusal::new(Code::MalformedRequest, format!("{} is not a number of bytes", v2::HEADER))
    })
}

fn header(request: &Request, name: HeaderName) -> Option<&str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

fn refuse_encoded(request: &Request) -> Result<(), Refusal> {
    match header(request, CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        Some(encoding) => {
            let detail = format!("bodies encoded with `{}` are not read", encoding.escape_debug());
            Err(Refusal::new(Code::UnsupportedMediaType, detail))
        }
        None => Ok(()),
    }
}

fn media_type(wanted: Wanted, request: &Request) -> Result<MediaType, Refusal> {
    refuse_encoded(request)?;
    let found = header(request, CONTENT_TYPE);
    match (wanted, MediaType::parse(found)?) {
        (Wanted::OneImage, kind) | (Wanted::Batch, kind @ MediaType::Json) => Ok(kind),
        (Wanted::Batch, _) => Err(MediaType::unsupported(found)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_picture_is_decoded_after_the_deadline() {
        let task = serde_json::from_value(json!({
            "name": "sides",
            "title": "Which side is bright",
            "input": { "height": 8, "width": 8, "channels": 1 },
            "classes": ["left", "right"],
            "normalisation": { "mean": [0.5], "std": [0.5] },
            "picture": "centred-ink",
            "data": { "name": "sides" },
        }))
        .unwrap();
        let check = |deadline, code| {
            let contents = vec![Placed::alone(Content::Picture(b"GIF89a".to_vec()))];
            assert_eq!(decode_all(contents, &task, deadline).unwrap_err().code, code);
        };
        check(Instant::now(), Code::DeadlineExceeded);
        check(Instant::now() + Duration::from_hours(1), Code::UnreadablePicture);
    }
}
