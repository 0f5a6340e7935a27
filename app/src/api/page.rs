//! The page at `/`, where one draws. Its files are in the binary, go out as they are written, and ask for
//! nothing but this service; what it classifies the page asks `/v1/model`.
//!
//! Files keep their names from version to version, so a browser asks before it uses one again: a 304 is
//! all it gets while the file is the same.

use contract::digest::Digest;
use poem::error::NotFoundError;
use poem::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
};
use poem::http::{HeaderMap, StatusCode};
use poem::{Endpoint, Request, Response};

/// Nothing inline, nothing from elsewhere, nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// By the last part of their address.
const FILES: [(&str, &str, &str); 9] = [
    ("", HTML, include_str!("page/index.html")),
    ("style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ("page.js", SCRIPT, include_str!("page/page.js")),
    ("service.js", SCRIPT, include_str!("page/service.js")),
    ("key.js", SCRIPT, include_str!("page/key.js")),
    ("board.js", SCRIPT, include_str!("page/board.js")),
    ("answer.js", SCRIPT, include_str!("page/answer.js")),
    ("feedback.js", SCRIPT, include_str!("page/feedback.js")),
];

struct File {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
    tag: String,
}

pub struct Page([File; FILES.len()]);

impl Default for Page {
    fn default() -> Self {
        Self(FILES.map(|(name, content_type, text)| {
            let tag = format!("\"{}\"", &Digest::of(text.as_bytes()).hex()[..32]);
            File { name, content_type, text, tag }
        }))
    }
}

impl Endpoint for Page {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let name = request.uri().path().rsplit('/').next();
        let file = self.0.iter().find(|file| Some(file.name) == name).ok_or(NotFoundError)?;
        let response = Response::builder()
            .header(ETAG, &file.tag)
            .header(CACHE_CONTROL, "no-cache")
            .header(CONTENT_SECURITY_POLICY, POLICY)
            .header(REFERRER_POLICY, "no-referrer");
        Ok(if is_known(&file.tag, request.headers()) {
            response.status(StatusCode::NOT_MODIFIED).finish()
        } else {
            response.content_type(file.content_type).body(file.text)
        })
    }
}

/// RFC 9110, 13.1.2: any of the tags, weak or not.
fn is_known(tag: &str, headers: &HeaderMap) -> bool {
    let given = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = given.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|given| given == "*" || given.trim_start_matches("W/") == tag)
}
