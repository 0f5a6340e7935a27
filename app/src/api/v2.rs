//! The Open Inference Protocol: what existing clients speak. It asks the same service for the same answer as
//! `/v1` does, and tells it in tensors.

use poem::Request;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use protocol::problem::{Code, Refusal};
use protocol::v2::metadata::{EXTENSIONS, Entry, Health, Model, Models, Readiness, Server};
use protocol::v2::response::Answer;

use super::refused::{Inferring, Listing, Naming, Probing, ProbingModel, Refused};
use super::reply::{self, Reply};
use super::requests::{IndexRequest, Tensors};
use super::schema::v2 as schema;
use super::{Tag, live, ready};
use crate::envelope::Arrival;
use crate::service::Service;

/// As the binary is called.
const SERVER: &str = "mnist-api";

/// The operations. One that names a version does the same as the one that does not, but of no other version.
pub struct V2;

#[OpenApi]
#[expect(clippy::unused_async, reason = "the framework awaits every operation")]
impl V2 {
    /// Classify pictures: one tensor in, tensors out
    ///
    /// `image` holds N pictures: UINT8 or a wider integer, 0 to 255; FP32, FP16 or FP64, 0 to 1; or BYTES,
    /// each a PNG or JPEG of any size in base64. Its shape is the model's, N first, channels first or last,
    /// or flat; its data is nested like that, or flat.
    ///
    /// The extension `binary_tensor_data` is served, too: elements after the JSON, little-endian.
    ///
    /// Where feedback is taken, the answer's parameter `receipts` has a receipt for each picture, in their order
    /// and separated by spaces.
    #[oai(
        path = "/v2/models/:model/infer",
        method = "post",
        operation_id = "v2_infer",
        tag = "Tag::OpenInference"
    )]
    async fn infer(
        &self,
        request: &Request,
        /// Name of the model
        #[oai(name = "model")]
        _model: Path<String>,
        tensors: Tensors,
    ) -> Result<reply::Tensors, Refused<Inferring>> {
        infer(request, tensors).await
    }

    /// Classify pictures with this version of the model
    #[oai(
        path = "/v2/models/:model/versions/:version/infer",
        method = "post",
        operation_id = "v2_infer_version",
        tag = "Tag::OpenInference"
    )]
    async fn infer_version(
        &self,
        request: &Request,
        /// Name of the model
        #[oai(name = "model")]
        _model: Path<String>,
        /// Version of the model
        #[oai(name = "version")]
        _version: Path<String>,
        tensors: Tensors,
    ) -> Result<reply::Tensors, Refused<Inferring>> {
        infer(request, tensors).await
    }

    /// Name and version of the server
    #[oai(path = "/v2", method = "get", operation_id = "v2_server", tag = "Tag::OpenInference")]
    async fn server(&self, request: &Request) -> Reply<schema::Server> {
        let version = &Service::of(request).identity.app_version;
        Reply::json(&Server { name: SERVER, version, extensions: &EXTENSIONS })
    }

    /// Whether the process is of any use
    #[oai(
        path = "/v2/health/live",
        method = "get",
        operation_id = "v2_live",
        tag = "Tag::OpenInference"
    )]
    async fn live(&self, request: &Request) -> Result<Reply<schema::Live>, Refused<Probing>> {
        live(Service::of(request))?;
        Ok(Reply::json(&Health { live: true, ready: None }))
    }

    /// Whether to send requests here
    #[oai(
        path = "/v2/health/ready",
        method = "get",
        operation_id = "v2_ready",
        tag = "Tag::OpenInference"
    )]
    async fn ready(&self, request: &Request) -> Result<Reply<schema::Ready>, Refused<Probing>> {
        ready(Service::of(request))?;
        Ok(Reply::json(&Health { live: true, ready: Some(true) }))
    }

    /// The models that are served: one
    #[oai(
        path = "/v2/models",
        method = "get",
        operation_id = "v2_models",
        tag = "Tag::OpenInference"
    )]
    async fn models(&self, request: &Request) -> Reply<schema::Models> {
        let task = &Service::of(request).identity.manifest.task;
        Reply::json(&Models { models: [&task.name] })
    }

    /// The models that are served, with version and state
    #[oai(
        path = "/v2/repository/index",
        method = "post",
        operation_id = "v2_index",
        tag = "Tag::OpenInference"
    )]
    async fn index(
        &self,
        request: &Request,
        asked: IndexRequest,
    ) -> Result<Reply<schema::Index>, Refused<Listing>> {
        let service = Service::of(request);
        let unready = service.unready();
        let entry = Entry {
            name: &service.identity.manifest.task.name,
            version: service.identity.model_version(),
            state: if unready.is_none() { "READY" } else { "UNAVAILABLE" },
            reason: unready.unwrap_or(""),
        };
        let is_listed = unready.is_none() || !asked.0.ready;
        Ok(Reply::json(&Some(entry).filter(|_| is_listed).as_slice()))
    }

    /// The model: its versions and tensors
    #[oai(
        path = "/v2/models/:model",
        method = "get",
        operation_id = "v2_model",
        tag = "Tag::OpenInference"
    )]
    async fn model(
        &self,
        request: &Request,
        /// Name of the model
        #[oai(name = "model")]
        _model: Path<String>,
    ) -> Result<Reply<schema::Model>, Refused<Naming>> {
        Ok(model(request)?)
    }

    /// This version of the model: its tensors
    #[oai(
        path = "/v2/models/:model/versions/:version",
        method = "get",
        operation_id = "v2_model_version",
        tag = "Tag::OpenInference"
    )]
    async fn model_version(
        &self,
        request: &Request,
        /// Name of the model
        #[oai(name = "model")]
        _model: Path<String>,
        /// Version of the model
        #[oai(name = "version")]
        _version: Path<String>,
    ) -> Result<Reply<schema::Model>, Refused<Naming>> {
        Ok(model(request)?)
    }

    /// Whether the model answers
    #[oai(
        path = "/v2/models/:model/ready",
        method = "get",
        operation_id = "v2_model_ready",
        tag = "Tag::OpenInference"
    )]
    async fn model_ready(
        &self,
        request: &Request,
        /// Name of the model
        #[oai(name = "model")]
        _model: Path<String>,
    ) -> Result<Reply<schema::ModelReady>, Refused<ProbingModel>> {
        Ok(model_ready(request)?)
    }

    /// Whether this version of the model answers
    #[oai(
        path = "/v2/models/:model/versions/:version/ready",
        method = "get",
        operation_id = "v2_model_version_ready",
        tag = "Tag::OpenInference"
    )]
    async fn model_version_ready(
        &self,
        request: &Request,
        /// Name of the model
        #[oai(name = "model")]
        _model: Path<String>,
        /// Version of the model
        #[oai(name = "version")]
        _version: Path<String>,
    ) -> Result<Reply<schema::ModelReady>, Refused<ProbingModel>> {
        Ok(model_ready(request)?)
    }
}

async fn infer(
    request: &Request,
    Tensors(input, asked): Tensors,
) -> Result<reply::Tensors, Refused<Inferring>> {
    let service = Service::of(request);
    let answer = service.answer(input).await?;
    let id = &Arrival::of(request).id;
    let receipts = service.feedback.receipts(id, &answer.predictions);
    let written = Answer {
        model_name: &service.identity.manifest.task.name,
        model_version: service.identity.model_version(),
        asked: &asked,
        predictions: &answer.predictions,
        receipts: receipts.as_deref(),
    }
    .write();
    Ok(reply::Tensors::showing(written, answer))
}

fn model(request: &Request) -> Result<Reply<schema::Model>, Refusal> {
    let service = Service::of(request);
    served(service, request)?;
    let identity = &service.identity;
    Ok(Reply::json(&Model::of(&identity.manifest.task, identity.model_version())))
}

fn model_ready(request: &Request) -> Result<Reply<schema::ModelReady>, Refusal> {
    let service = Service::of(request);
    served(service, request)?;
    ready(service)?;
    let name = &service.identity.manifest.task.name;
    Ok(Reply::json(&Readiness { name, ready: true }))
}

/// Whether the model that the path names, and its version if it names one, is the one that is served.
pub(super) fn served(service: &Service, request: &Request) -> Result<(), Refusal> {
    let (name, version) = (&service.identity.manifest.task.name, service.identity.model_version());
    let is = |parameter, expected: &str| {
        request.raw_path_param(parameter).is_none_or(|found| found == expected)
    };
    if is("model", name) && is("version", version) {
        return Ok(());
    }
    let detail = format!("version `{version}` of the model `{name}` is all that is served here");
    Err(Refusal::new(Code::ModelNotFound, detail))
}
