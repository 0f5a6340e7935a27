//! [`Input`]: what a prediction request asks for, built once from its body and carried as it is.
//!
//! Pictures, and JSON too long to be read in passing, are decoded off the runtime, as many at a time
//! as there are cores.

use std::sync::Arc;
use std::time::Duration;

use contract::image::Image;
use contract::task::Task;
use poem::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use poem::web::Multipart;
use poem::{Body, FromRequest, Request, RequestBody};
use protocol::content::{Content, MediaType};
use protocol::multipart::Part;
use protocol::problem::{Code, Refusal};
use protocol::{json, multipart};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::body::Bodies;

#[derive(Debug)]
pub struct Input {
    pub images: Vec<Image>,
    pub deadline: Instant,
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
    decoders: Arc<Semaphore>,
}

/// JSON up to this length is read within half a millisecond.
const IN_PASSING: usize = 64 << 10;

impl Intake {
    pub fn new(task: Task, body_limit: usize, max_images: usize, timeout: Duration) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            task: Arc::new(task),
            bodies: Bodies::new(body_limit),
            max_images,
            timeout,
            decoders: Arc::new(Semaphore::new(cores)),
        }
    }

    /// Of a request whose head was read then.
    pub fn deadline(&self, arrived: Instant) -> Instant {
        arrived + self.timeout
    }

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
        let images = match kind {
            MediaType::Json if bytes.len() <= IN_PASSING => {
                let contents = parse_json(wanted, &bytes, &self.task, self.max_images)?;
                self.decode(deadline, contents).await?
            }
            MediaType::Json => {
                let (task, limit) = (Arc::clone(&self.task), self.max_images);
                let parse = move || parse_json(wanted, &bytes, &task, limit);
                let contents = self.off_runtime(deadline, parse).await?;
                self.decode(deadline, contents).await?
            }
            MediaType::Picture => {
                self.decode(deadline, vec![Placed::alone(Content::Picture(bytes))]).await?
            }
            MediaType::Multipart => {
                let content = multipart::picture(first_file(request, bytes).await?)?;
                self.decode(deadline, vec![Placed::alone(content)]).await?
            }
        };
        Ok(Input { images, deadline, decode: started.elapsed() })
    }

    async fn decode(
        &self,
        deadline: Instant,
        contents: Vec<Placed>,
    ) -> Result<Vec<Image>, Refusal> {
        let task = Arc::clone(&self.task);
        let is_decoded = contents.iter().all(|placed| placed.content.is_decoded());
        let decode = move || decode_all(contents, &task, deadline);
        if is_decoded { decode() } else { self.off_runtime(deadline, decode).await }
    }

    async fn off_runtime<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let late = |_elapsed| late();
        let turn = timeout_at(deadline, Arc::clone(&self.decoders).acquire_owned());
        let turn = turn.await.map_err(late)?;
        // The turn is over when the work is, also where nobody waits for it any more.
        let working = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        match timeout_at(deadline, working).await.map_err(late)? {
            Ok(result) => result,
            Err(error) => {
                tracing::error!(%error, "decoding a body failed");
                Err(Refusal::new(Code::Internal, "the body could not be decoded"))
            }
        }
    }
}

fn late() -> Refusal {
    Refusal::new(Code::DeadlineExceeded, "there was no time left to decode the body")
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

fn media_type(wanted: Wanted, request: &Request) -> Result<MediaType, Refusal> {
    let header = |name: HeaderName| request.headers().get(name).and_then(|v| v.to_str().ok());
    if let Some(encoding) = header(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        let detail = format!("bodies encoded with `{}` are not read", encoding.escape_debug());
        return Err(Refusal::new(Code::UnsupportedMediaType, detail));
    }
    let found = header(CONTENT_TYPE);
    match (wanted, MediaType::parse(found)?) {
        (Wanted::OneImage, kind) | (Wanted::Batch, kind @ MediaType::Json) => Ok(kind),
        (Wanted::Batch, _) => Err(MediaType::unsupported(found)),
    }
}

async fn first_file(request: &Request, bytes: Vec<u8>) -> Result<Option<Vec<u8>>, Refusal> {
    let damaged = || Refusal::new(Code::MalformedRequest, "the form is damaged or cut short");
    let mut body = RequestBody::new(Body::from_vec(bytes));
    let form = Multipart::from_request(request, &mut body).await;
    let mut form = form.map_err(|_error| damaged())?;
    while let Some(field) = form.next_field().await.map_err(|_error| damaged())? {
        let part = Part { file_name: field.file_name(), content_type: field.content_type() };
        if part.is_file() {
            return Ok(Some(field.bytes().await.map_err(|_error| damaged())?));
        }
    }
    Ok(None)
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
