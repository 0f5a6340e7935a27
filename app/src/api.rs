//! The HTTP interface: operations, and the router that serves them with their documentation.

pub mod body;
mod decoders;
pub mod document;
pub mod feedback;
pub mod intake;
pub mod page;
pub mod refused;
pub mod reply;
pub mod requests;
pub mod routes;
pub mod schema;
pub mod v2;

use std::sync::Arc;

use contract::image::Image;
use contract::prediction::Prediction;
use hyper::body::Bytes;
use poem::endpoint::make_sync;
use poem::{Endpoint, EndpointExt, IntoEndpoint, Request, Response, get};
use poem_openapi::param::Query;
use poem_openapi::{OpenApi, Tags};
use protocol::answer::{Answer, BatchAnswer, Verdict};
use protocol::feedback::Thanks;
use protocol::problem::{Code, Refusal};
use serde_json::json;

use self::page::Page;
use self::refused::{Predicting, Probing, Refused, Reporting};
use self::reply::Reply;
use self::requests::{Batch, OneImage, Report};
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
        /// Answer with the image as the model saw it, too
        image: Query<Option<bool>>,
        input: OneImage,
    ) -> Result<Reply<schema::Answer>, Refused<Predicting>> {
        let service = Service::of(request);
        let request_id = &Arrival::of(request).id;
        let seen = image.0.unwrap_or(false).then(|| input.0.images[0].clone());
        let answer = service.answer(input.0).await?;
        let reply = Reply::json(&Answer {
            verdict: verdict(service, request_id, 0, &answer.predictions[0]),
            image: seen.as_ref().map(Image::pixels),
            model_version: service.identity.model_version(),
            request_id,
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
        let request_id = &Arrival::of(request).id;
        let answer = service.answer(input.0).await?;
        let predictions = answer.predictions.iter().enumerate();
        let reply = Reply::json(&BatchAnswer {
            predictions: predictions.map(|(at, p)| verdict(service, request_id, at, p)).collect(),
            model_version: service.identity.model_version(),
            request_id,
        });
        Ok(reply.showing(answer))
    }

    /// Say what a picture really was
    ///
    /// With the receipt that came with its answer, to any replica, within a week. A replica counts a receipt
    /// once, as long as it remembers it. Without receipts in the answers this is switched off.
    #[oai(
        path = "/v1/feedback",
        method = "post",
        operation_id = "feedback",
        tag = "Tag::Prediction"
    )]
    async fn feedback(
        &self,
        request: &Request,
        report: Report,
    ) -> Result<Reply<schema::Thanks>, Refused<Reporting>> {
        let taken = report.0;
        let reply = Reply::json(&Thanks {
            correct: taken.feedback.is_correct(),
            counted: taken.counted,
            model_version: &Service::of(request).identity.manifest.model_version,
            request_id: &Arrival::of(request).id,
        });
        Ok(reply.thanking(taken))
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

/// What is said of the image at that place of the request.
fn verdict<'a>(
    service: &'a Service,
    request_id: &str,
    place: usize,
    prediction: &'a Prediction,
) -> Verdict<'a> {
    let receipt = service.feedback.receipt(request_id, place, prediction.label);
    Verdict::of(prediction, &service.identity.manifest.task.classes, receipt)
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
    let page = Arc::new(Page::default());
    let spec = document.spec();
    let operations = Arc::new(document.into_endpoint());
    let endpoint = |route| match route {
        Route::Metrics => get(make_sync(|request| metrics(&request))).boxed(),
        Route::Docs => get(fixed("text/html; charset=utf-8", docs.clone())).boxed(),
        Route::OpenApi => get(fixed("application/json", spec.clone())).boxed(),
        Route::Root | Route::Asset => get(Arc::clone(&page)).boxed(),
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
fn fixed(content_type: &'static str, text: String) -> impl Endpoint<Output = Response> + 'static {
    let body = Bytes::from(text);
    make_sync(move |_| Response::builder().content_type(content_type).body(body.clone()))
}
