//! The OpenAPI document and the page that shows it. Both are the same whichever model is loaded, but
//! for the title; `app/openapi.json` is the reviewed copy, and `cargo xtask check` compares.

use poem_openapi::{ExtraHeader, OpenApiService};
use protocol::problem::Code;

use super::Api;
use super::v2::V2;
use crate::identity::{APP_VERSION, MODEL_DIGEST, MODEL_NAME, MODEL_VERSION};

/// Changes with the addresses and bodies, not with the program: `/v1` is its first number.
const API_VERSION: &str = "1.0.0";

pub fn service(title: &str) -> OpenApiService<(Api, V2), ()> {
    let header = |name: &str, description: &str| ExtraHeader::new(name).description(description);
    OpenApiService::new((Api, V2), title, API_VERSION)
        .description(description())
        .extra_response_header::<String, _>(header(
            "X-Request-Id",
            "The request's own id if it had one of at most 128 visible ASCII characters, else a new one",
        ))
        .extra_response_header::<String, _>(header(APP_VERSION, "Version of the service"))
        .extra_response_header::<String, _>(header(MODEL_NAME, "Name of the model's task"))
        .extra_response_header::<String, _>(header(MODEL_VERSION, "Version of the model"))
        .extra_response_header::<String, _>(header(MODEL_DIGEST, "SHA-256 of the model's weights"))
}

/// The document as it is kept in Git.
pub fn committed() -> String {
    service("Picture classification").spec()
}

/// Swagger UI with the document inside: a browser asks for nothing else.
pub fn page(service: &OpenApiService<(Api, V2), ()>) -> String {
    let head = "<head>\n    <link rel=\"icon\" href=\"data:,\">";
    format!("<!doctype html>{}", service.swagger_ui_html().replacen("<head>", head, 1))
}

fn description() -> String {
    let mut text =
        "Classifies pictures. Errors are problems after RFC 9457; their `code` is one of:\n\n\
         | status | code | meaning |\n|---|---|---|\n"
            .to_owned();
    for code in Code::ALL {
        let (status, name, title) = (code.status(), code.as_str(), code.title());
        text = format!("{text}| {status} | `{name}` | {title} |\n");
    }
    text
}
