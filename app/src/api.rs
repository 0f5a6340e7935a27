//! The HTTP interface: operations, and the router that serves them with their documentation.

pub mod body;
pub mod document;
pub mod intake;
pub mod refused;
pub mod reply;
pub mod requests;
pub mod routes;
pub mod schema;
pub mod v2;

use std::sync::Arc;

use hyper::body::Bytes;
use poem::endpoint::make_sync;
use poem::web::Redirect;
use poem::{Endpoint, EndpointExt, IntoEndpoint, Request, Response, get};
use poem_openapi::param::Query;
use poem_openapi::{OpenApi, Tags};
use protocol::answer::{Answer, BatchAnswer, Verdict};
use protocol::problem::{Code, Refusal};
use serde_json::json;

use self::refused::{Predicting, Probing, Refused};
use self::reply::Reply;
use self::requests::{Batch, OneImage};
use self::routes::Route;
use crate::envelope::{Arrival, Envelope};
use crate::service::Service;

#[derive(Tags)]
enum Tag {
    /// Classify pictures
    Prediction,
    /// The same for clients of that protocol, version 2: Triton's, `KServe`'s and others
    OpenInference,
    /// What is running
    Service,
    /// For machines that watch
    Health,
}

/// The operations. They find the service they work for in the request.
pub struct Api;

#[OpenApi]
#[expect(clippy::unused_async, reason = "the framework awaits every operation")]
impl Api {
    /// Classify one picture
    ///
    /// As numbers in the model's own shape, or as a PNG or JPEG of any size: in JSON as base64, as the
    /// whole body, or as a file of a form. Pictures are fitted as the training data was.
    #[oai(path = "/v1/predict", method = "post", operation_id = "predict", tag = "Tag::Prediction")]
    async fn predict(
        &self,
        request: &Request,
        input: OneImage,
    ) -> Result<Reply<schema::Answer>, Refused<Predicting>> {
        let service = Service::of(request);
        let answer = service.answer(input.0).await?;
        let classes = &service.identity.manifest.task.classes;
        let reply = Reply::json(&Answer {
            verdict: Verdict::of(&answer.predictions[0], classes),
            model_version: service.identity.model_version(),
            request_id: &Arrival::of(request).id,
        });
        Ok(reply.showing(answer))
    }

    /// Classify several pictures together
    #[oai(
        path = "/v1/predict/batch",
        method = "post",
        operation_id = "predict_batch",
        tag = "Tag::Prediction"
    )]
    async fn predict_batch(
        &self,
        request: &Request,
        input: Batch,
    ) -> Result<Reply<schema::BatchAnswer>, Refused<Predicting>> {
        let service = Service::of(request);
        let answer = service.answer(input.0).await?;
        let classes = &service.identity.manifest.task.classes;
        let reply = Reply::json(&BatchAnswer {
            predictions: answer.predictions.iter().map(|p| Verdict::of(p, classes)).collect(),
            model_version: service.identity.model_version(),
            request_id: &Arrival::of(request).id,
        });
        Ok(reply.showing(answer))
    }

    /// The model: its input, its classes and how good it is
    #[oai(path = "/v1/model", method = "get", operation_id = "model", tag = "Tag::Service")]
    async fn model(&self, request: &Request) -> Reply<schema::Model> {
        Reply::json(&Service::of(request).identity.model())
    }

    /// Versions of service and model
    #[oai(path = "/version", method = "get", operation_id = "version", tag = "Tag::Service")]
    async fn version(&self, request: &Request) -> Reply<schema::Version> {
        Reply::json(&Service::of(request).identity.version())
    }

    /// Whether the process is of any use; if not, restart it
    #[oai(path = "/livez", method = "get", operation_id = "livez", tag = "Tag::Health")]
    async fn livez(&self, request: &Request) -> Result<Reply<schema::Health>, Refused<Probing>> {
        live(Service::of(request))?;
        Ok(Reply::json(&json!({ "status": "ok" })))
    }

    /// Whether to send requests here
    ///
    /// Not before the model has warmed up, and not after SIGTERM.
    #[oai(path = "/readyz", method = "get", operation_id = "readyz", tag = "Tag::Health")]
    async fn readyz(
        &self,
        request: &Request,
        /// List what is checked
        verbose: Query<Option<String>>,
    ) -> Result<Reply<schema::Health>, Refused<Probing>> {
        let service = Service::of(request);
        ready(service)?;
        Ok(match verbose.0 {
            None => Reply::json(&json!({ "status": "ok" })),
            Some(_) => Reply::json(&json!({ "status": "ok", "checks": Service::CHECKS })),
        })
    }
}

fn live(service: &Service) -> Result<(), Refusal> {
    if service.engine.is_alive() {
        Ok(())
    } else {
        Err(Refusal::new(Code::Unavailable, "the engine has ended"))
    }
}

fn ready(service: &Service) -> Result<(), Refusal> {
    match service.unready() {
        Some(reason) => Err(Refusal::new(Code::Unavailable, reason)),
        None => Ok(()),
    }
}

/// Every address of the service, each request in its envelope.
pub fn router(service: Arc<Service>) -> impl Endpoint<Output = Response> {
    router_of(service, |_| true)
}

/// What is for those who run the service, where that has a port of its own.
pub fn admin_router(service: Arc<Service>) -> impl Endpoint<Output = Response> {
    router_of(service, Route::is_administrative).open_to_all()
}

/// Those addresses that are wanted.
pub fn router_of(service: Arc<Service>, wanted: fn(Route) -> bool) -> Envelope<poem::Route> {
    let document = document::service(&service.identity.manifest.title());
    let docs = document::page(&document);
    let spec = document.spec();
    let operations = Arc::new(document.into_endpoint());
    let endpoint = |route| match route {
        Route::Metrics => get(make_sync(|request| metrics(&request))).boxed(),
        Route::Docs => get(page("text/html; charset=utf-8", docs.clone())).boxed(),
        Route::OpenApi => get(page("application/json", spec.clone())).boxed(),
        Route::Root => get(make_sync(|_| Redirect::temporary(Route::Docs.path()))).boxed(),
        _ => Arc::clone(&operations).boxed(),
    };
    let router = Route::ALL
        .into_iter()
        .filter(|route| wanted(*route))
        .fold(poem::Route::new(), |router, route| router.at(route.pattern(), endpoint(route)));
    Envelope::around(router, service)
}

fn metrics(request: &Request) -> Response {
    let service = Service::of(request);
    service.metrics.page(&service.engine)
}

/// The same bytes for everyone.
fn page(content_type: &'static str, text: String) -> impl Endpoint<Output = Response> + 'static {
    let body = Bytes::from(text);
    make_sync(move |_| Response::builder().content_type(content_type).body(body.clone()))
}
