//! What is answered over HTTP: the ways in for a report, and what is told of ourselves.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use poem::error::{MethodNotAllowedError, NotFoundError};
use poem::http::StatusCode;
use poem::web::Data;
use poem::{Body, Endpoint, EndpointExt, Request, Response, Route, get, handler, post};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::auth::Access;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::report::{Report, Unreadable};
use crate::spool::{Accepted, Spool};

#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) spool: Arc<Spool>,
    pub(crate) access: Access,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) accepted: Arc<Notify>,
    /// Worker and pager.
    pub(crate) tasks: Vec<AbortHandle>,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// What GitHub takes in a dispatch.
const BODY_LIMIT: usize = 64 << 10;
/// What is read and thrown away, so that whoever still sends reads the refusal instead of a reset connection.
const DISCARD_LIMIT: usize = 1 << 20;
const BODY_TIME: Duration = Duration::from_secs(10);
/// Those that the templates post to.
const WORKFLOWS: [&str; 2] = ["rollback.yml", "deployed.yml"];

pub(crate) fn router(receiver: Arc<Receiver>) -> impl Endpoint<Output = Response> + 'static {
    let door = |parse: Parse| post(Door { receiver: Arc::clone(&receiver), parse });
    let refusing = Arc::clone(&receiver);
    Route::new()
        .at("/events", door(Report::bare))
        .at("/alerts", door(Report::of_alerts))
        .at("/:workflow/dispatches", door(Report::of_dispatch))
        .at("/repos/:owner/:repo/actions/workflows/:workflow/dispatches", door(Report::of_dispatch))
        .at("/healthz", get(live))
        .at("/readyz", get(ready))
        .at("/metrics", get(metrics))
        .data(receiver)
        .catch_all_error(move |error: poem::Error| {
            let problem = if error.is::<NotFoundError>() {
                Problem::NotFound
            } else if error.is::<MethodNotAllowedError>() {
                Problem::MethodNotAllowed
            } else {
                Problem::Internal
            };
            refusing.metrics.refused(problem);
            std::future::ready(problem.response("`gitops-listen --help` lists every address"))
        })
}

type Parse = fn(&[u8]) -> Result<Report, Unreadable>;

struct Door {
    receiver: Arc<Receiver>,
    parse: Parse,
}

impl Endpoint for Door {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        if let Ok(workflow) = request.path_params::<Workflow>()
            && !WORKFLOWS.contains(&workflow.workflow.as_str())
        {
            return Err(NotFoundError.into());
        }
        Ok(self.receive(&mut request).await.unwrap_or_else(|(problem, detail)| {
            self.receiver.metrics.refused(problem);
            tracing::warn!(code = problem.code(), detail, "a report was refused");
            problem.response(detail)
        }))
    }
}

#[derive(serde::Deserialize)]
struct Workflow {
    workflow: String,
}

type Refused = (Problem, &'static str);

impl Door {
    async fn receive(&self, request: &mut Request) -> Result<Response, Refused> {
        let admitted = self.receiver.access.admits(request.headers());
        let keep = if matches!(admitted, Ok(true)) { BODY_LIMIT } else { 0 };
        let body = read(request.take_body(), keep).await;
        match admitted {
            Ok(true) => {}
            Ok(false) => return Err((Problem::Unauthorized, "Authorization: Bearer TOKEN")),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the token cannot be read");
                return Err((Problem::Unavailable, "nobody can be let in"));
            }
        }
        let report = (self.parse)(&body?);
        let report = report.map_err(|wrong| (Problem::MalformedReport, wrong.0))?;
        let (id, environment) = (report.id.to_string(), report.environment.clone());
        let spool = Arc::clone(&self.receiver.spool);
        let accepted = tokio::task::spawn_blocking(move || spool.accept(&report)).await;
        let accepted = accepted.map_err(|_panic| (Problem::Internal, "it was not accepted"))?;
        let accepted = accepted.map_err(|error| {
            tracing::error!(%error, "a report cannot be kept");
            (Problem::Unavailable, "the report cannot be kept")
        })?;
        match accepted {
            Accepted::New => self.receiver.metrics.received.inc(),
            Accepted::Known => self.receiver.metrics.repeated.inc(),
            Accepted::Full => return Err((Problem::QueueFull, "send it again later")),
        }
        tracing::info!(report = id, environment, accepted = ?accepted, "accepted");
        self.receiver.accepted.notify_one();
        Ok(StatusCode::NO_CONTENT.into())
    }
}

/// At most `keep` bytes; more are an error.
async fn read(body: Body, keep: usize) -> Result<Vec<u8>, Refused> {
    let mut kept = Vec::new();
    let mut length = 0;
    let mut chunks = body.into_bytes_stream();
    let all = timeout(BODY_TIME, async {
        while let Some(chunk) = chunks.next().await {
            let chunk =
                chunk.map_err(|_gone| (Problem::MalformedReport, "the body ended early"))?;
            length += chunk.len();
            if length <= keep {
                kept.extend_from_slice(&chunk);
            }
            if length > DISCARD_LIMIT {
                break;
            }
        }
        Ok(())
    });
    all.await.unwrap_or(Err((Problem::RequestTimeout, "send the body within ten seconds")))?;
    if length > keep {
        return Err((Problem::BodyTooLarge, "a report has at most 64 KiB"));
    }
    Ok(kept)
}

/// The process answers.
#[handler]
fn live() -> &'static str {
    "ok\n"
}

/// A report that is sent now would be kept and handled.
#[handler]
async fn ready(Data(receiver): Data<&Arc<Receiver>>) -> Response {
    let receiver = Arc::clone(receiver);
    let checked = tokio::task::spawn_blocking(move || receiver.trouble());
    match checked.await.unwrap_or(Some("a check failed")) {
        None => Response::builder().content_type("text/plain").body("ok\n"),
        Some(trouble) => Problem::Unavailable.response(trouble),
    }
}

#[handler]
fn metrics(Data(receiver): Data<&Arc<Receiver>>) -> Response {
    receiver.metrics.page(&receiver.spool)
}

impl Receiver {
    fn trouble(&self) -> Option<&'static str> {
        if *self.stopping.borrow() {
            return Some("it is ending");
        }
        if self.tasks.iter().any(AbortHandle::is_finished) {
            return Some("nobody handles what is accepted");
        }
        if self.access.token().is_err() {
            return Some("the token cannot be read");
        }
        (!self.spool.is_writable()).then_some("the spool cannot be written")
    }
}
