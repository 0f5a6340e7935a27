//! Bodies of predictions as the framework sees them: how they are documented, and that an
//! [`Input`](super::intake::Input) comes of them.

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchemaRef, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use protocol::v2::metadata::Listing;
use protocol::v2::request::Asked;

use super::feedback::Taken;
use super::intake::{Input, Wanted};
use super::refused::Thrown;
use super::schema::{self, Described, inline, reference};
use super::v2::served;
use crate::envelope::Arrival;
use crate::service::Service;

/// One picture in any of its forms.
pub struct OneImage(pub Input);

/// Pictures as JSON.
pub struct Batch(pub Input);

/// A tensor of pictures, and how the answer is to look. The model in the path is one that is served.
pub struct Tensors(pub Input, pub Asked);

/// What the repository's index shall list.
pub struct IndexRequest(pub Listing);

/// A receipt with the true label.
pub struct Report(pub Taken);

async fn input(wanted: Wanted, request: &Request, body: &mut RequestBody) -> poem::Result<Input> {
    let arrived = Arrival::of(request).at;
    let intake = &Service::of(request).intake;
    Ok(intake.read(wanted, request, body.take()?, arrived).await.map_err(Thrown)?)
}

fn content(kinds: Vec<(&'static str, MetaSchemaRef)>) -> MetaRequest {
    let media = |(content_type, schema)| MetaMediaType { content_type, schema };
    let content = kinds.into_iter().map(media).collect();
    MetaRequest { description: None, content, required: true }
}

impl<'a> ApiExtractor<'a> for OneImage {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        schema::PredictRequest::register(registry);
        schema::PredictForm::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(content(vec![
            ("application/json", reference::<schema::PredictRequest>()),
            ("image/png", inline(schema::file())),
            ("image/jpeg", inline(schema::file())),
            ("multipart/form-data", reference::<schema::PredictForm>()),
        ]))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        input(Wanted::OneImage, request, body).await.map(Self)
    }
}

impl<'a> ApiExtractor<'a> for Batch {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        schema::BatchRequest::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(content(vec![("application/json", reference::<schema::BatchRequest>())]))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        input(Wanted::Batch, request, body).await.map(Self)
    }
}

impl<'a> ApiExtractor<'a> for Tensors {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        schema::v2::InferRequest::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(content(vec![
            ("application/json", reference::<schema::v2::InferRequest>()),
            ("application/octet-stream", inline(schema::v2::binary())),
        ]))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let service = Service::of(request);
        served(service, request).map_err(Thrown)?;
        let arrived = Arrival::of(request).at;
        let read = service.intake.read_tensors(request, body.take()?, arrived).await;
        let (input, asked) = read.map_err(Thrown)?;
        Ok(Self(input, asked))
    }
}

impl<'a> ApiExtractor<'a> for IndexRequest {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        schema::v2::IndexRequest::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let kinds = vec![("application/json", reference::<schema::v2::IndexRequest>())];
        Some(MetaRequest { required: false, ..content(kinds) })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let arrived = Arrival::of(request).at;
        let intake = &Service::of(request).intake;
        let text = intake.read_text(request, body.take()?, arrived).await.map_err(Thrown)?;
        Ok(Self(Listing::read(&text).map_err(Thrown)?))
    }
}

impl<'a> ApiExtractor<'a> for Report {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        schema::FeedbackRequest::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(content(vec![("application/json", reference::<schema::FeedbackRequest>())]))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let service = Service::of(request);
        let deadline = service.intake.deadline(Arrival::of(request).at);
        let taken = service.feedback.take(request, body.take()?, deadline).await;
        Ok(Self(taken.map_err(Thrown)?))
    }
}
