//! A container registry, asked by its HTTP API (OCI distribution specification 1.1) whether it has an
//! image, and what is in it. No container engine is needed. Whatever it does not clearly answer is
//! [`ImageCheck::Unchecked`], never a yes.

use std::io::Read;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use contract::digest::Digest;
use gitops::admit::{ImageCheck, Signature};
use gitops::image_reference::ImageReference;
use serde_json::Value;
use ureq::http::{Method, Request, Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};

use crate::process::Cmd;
use crate::report::{WithHint, step};
use crate::tools::oci::{Descriptor, Source};

/// A registry answers "not there" for what the caller does not accept.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";
/// Where an image without a registry in its name comes from.
const DEFAULT: &str = "registry-1.docker.io";
/// Its name in files of credentials.
const DEFAULT_CREDENTIALS: &str = "https://index.docker.io/v1/";

/// Registries that this machine reaches under another address than nodes do, as `HOST=URL` with commas
/// between: a pod cannot reach what its node calls `localhost:5000`. What KEP-1755 calls
/// `hostFromClusterNetwork`.
pub(crate) const MIRRORS: &str = "XTASK_REGISTRY_MIRRORS";

/// One repository of a registry.
pub(crate) struct Repository {
    /// As the image's name has it.
    host: String,
    /// Scheme and address that are asked.
    origin: String,
    path: String,
    agent: ureq::Agent,
}

impl Repository {
    /// Asks nothing yet.
    pub(crate) fn open(name: &str) -> Self {
        let (host, path) = place(name);
        let mirrors = std::env::var_os(MIRRORS).unwrap_or_default();
        let origin = mirror(&mirrors.to_string_lossy(), &host)
            .unwrap_or_else(|| format!("{}://{host}", scheme(&host)));
        Self { host, origin, path, agent: agent() }
    }

    /// Asks for the digest and not for the tag, which may have moved. Signatures are looked at elsewhere.
    pub(crate) fn check(&self, image: &ImageReference) -> ImageCheck {
        match self.digest_of(&image.digest().to_string()) {
            Ok(Some(digest)) if digest == image.digest() => {
                ImageCheck::Present(Signature::NotRequired)
            }
            Ok(None) => ImageCheck::Missing,
            Ok(Some(other)) => {
                step(format_args!("`{}` answers with another image, {other}", self.host));
                ImageCheck::Unchecked
            }
            Err(reason) => {
                step(format_args!("{image} cannot be checked: {reason:#}"));
                ImageCheck::Unchecked
            }
        }
    }

    /// What a tag stands for now; none where there is no such tag.
    pub(crate) fn resolve(&self, tag: &str) -> anyhow::Result<Option<Digest>> {
        self.digest_of(tag)
    }

    fn digest_of(&self, reference: &str) -> anyhow::Result<Option<Digest>> {
        let answer = self.ask(&Method::HEAD, &format!("manifests/{reference}"))?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.demand_ok(&answer)?;
        let digest = answer.headers().get("docker-content-digest");
        match digest.map(|value| anyhow::Ok(value.to_str()?.parse::<Digest>()?)).transpose()? {
            Some(digest) => Ok(Some(digest)),
            // It need not say; what was asked for by digest is that, and a tag's is computed.
            None => match reference.parse() {
                Ok(digest) => Ok(Some(digest)),
                Err(_tag) => {
                    let mut answer = self.ask(&Method::GET, &format!("manifests/{reference}"))?;
                    self.demand_ok(&answer)?;
                    Ok(Some(Digest::of_reader(answer.body_mut().as_reader())?))
                }
            },
        }
    }

    fn get(&self, what: &str) -> anyhow::Result<Box<dyn Read>> {
        let answer = self.ask(&Method::GET, what)?;
        self.demand_ok(&answer)?;
        Ok(Box::new(answer.into_body().into_reader()))
    }

    /// Asks without credentials first, then with what the registry wants to see.
    fn ask(&self, method: &Method, what: &str) -> anyhow::Result<Response<ureq::Body>> {
        let url = format!("{}/v2/{}/{what}", self.origin, self.path);
        let ask = |authorization: Option<&str>| -> anyhow::Result<_> {
            let mut request =
                Request::builder().method(method).uri(&url).header("accept", MANIFESTS);
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            Ok(self.agent.run(request.body(())?)?)
        };
        let answer = ask(None)?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let basic = credentials(&self.host).map(|secret| format!("Basic {secret}"));
        match Challenge::of(&answer) {
            Some(challenge) => ask(Some(&challenge.token(&self.agent, basic.as_deref())?)),
            None => ask(basic.as_deref()),
        }
    }

    fn demand_ok(&self, answer: &Response<ureq::Body>) -> anyhow::Result<()> {
        let (host, path) = (&self.host, &self.path);
        match answer.status() {
            StatusCode::OK => Ok(()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(anyhow::anyhow!("`{host}` lets nobody in without a login: {}", answer.status()))
                    .hint(format!("docker login {host}"))
            }
            StatusCode::NOT_FOUND => anyhow::bail!("`{host}` does not have it in `{path}`"),
            status => anyhow::bail!("`{host}` answers {status}"),
        }
    }
}

impl Source for Repository {
    fn manifest(&self, digest: Digest) -> anyhow::Result<Box<dyn Read + '_>> {
        self.get(&format!("manifests/{digest}"))
    }

    fn blob(&self, descriptor: &Descriptor) -> anyhow::Result<Box<dyn Read + '_>> {
        self.get(&format!("blobs/{}", descriptor.digest))
    }
}

/// Host and path, by the rule of all engines: a first part with a dot, a port or `localhost` is a host.
fn place(repository: &str) -> (String, String) {
    match repository.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
            (host.to_owned(), path.to_owned())
        }
        Some(_) => (DEFAULT.to_owned(), repository.to_owned()),
        None => (DEFAULT.to_owned(), format!("library/{repository}")),
    }
}

/// Where a registry is reached instead, if anywhere.
fn mirror(mirrors: &str, host: &str) -> Option<String> {
    let mut pairs = mirrors.split(',').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == host).map(|(_, url)| url.trim_end_matches('/').to_owned())
}

/// Engines speak to a loopback registry without TLS, and to no other.
fn scheme(host: &str) -> &'static str {
    if is_loopback(&format!("http://{host}/")) { "http" } else { "https" }
}

/// Whether a URL leads to this machine.
fn is_loopback(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let name = rest.split(['/', ':']).next().unwrap_or_default();
    name == "localhost" || name.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
}

/// What `docker login` left where it keeps secrets in its own file: user and password, as HTTP wants them.
fn credentials(host: &str) -> Option<String> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(std::env::home_dir()?.join(".docker")))?;
    let text = fs_err::read_to_string(folder.join("config.json")).ok()?;
    let config: Value = serde_json::from_str(&text).ok()?;
    let name = if host == DEFAULT { DEFAULT_CREDENTIALS } else { host };
    let kept = config["auths"][name]["auth"].as_str().filter(|auth| !auth.is_empty());
    if let Some(auth) = kept {
        return Some(auth.to_owned());
    }
    let helper = config["credHelpers"][host].as_str().or(config["credsStore"].as_str())?;
    ask_helper(helper, name)
}

/// A program of the user's that keeps secrets elsewhere, by Docker's protocol for them.
fn ask_helper(helper: &str, name: &str) -> Option<String> {
    let program = format!("docker-credential-{helper}");
    let ended = Cmd::new(program, Path::new(".")).arg("get").input(name).end().ok()?;
    let secret: Value = serde_json::from_str(&ended.stdout).ok()?;
    let (user, secret) = (secret["Username"].as_str()?, secret["Secret"].as_str()?);
    Some(BASE64_STANDARD.encode(format!("{user}:{secret}")))
}

/// `Bearer realm="…",service="…",scope="…"`: where to get a token for what was asked.
struct Challenge {
    realm: String,
    query: Vec<(&'static str, String)>,
}

impl Challenge {
    fn of(answer: &Response<ureq::Body>) -> Option<Self> {
        Self::parse(answer.headers().get("www-authenticate")?.to_str().ok()?)
    }

    fn parse(header: &str) -> Option<Self> {
        let fields = header.strip_prefix("Bearer ")?;
        let field = |name: &str| {
            let (_, rest) = fields.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        let query = ["service", "scope"].into_iter();
        let query = query.filter_map(|name| Some((name, field(name)?))).collect();
        Some(Self { realm: field("realm")?, query })
    }

    fn token(&self, agent: &ureq::Agent, basic: Option<&str>) -> anyhow::Result<String> {
        let is_ours = self.realm.starts_with("https://") || is_loopback(&self.realm);
        let basic = basic.filter(|_| is_ours);
        let mut request = agent.get(&self.realm);
        for (name, value) in &self.query {
            request = request.query(name, value);
        }
        if let Some(basic) = basic {
            request = request.header("authorization", basic);
        }
        let mut answer = request.call()?;
        let status = answer.status();
        anyhow::ensure!(status.is_success(), "`{}` gives no token: {status}", self.realm);
        let answer: Value = answer.body_mut().read_json()?;
        let token = ["token", "access_token"].into_iter().find_map(|name| answer[name].as_str());
        let token = token.ok_or_else(|| anyhow::anyhow!("`{}` gives no token", self.realm))?;
        Ok(format!("Bearer {token}"))
    }
}

fn agent() -> ureq::Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        // An artifact's layer, over a slow line.
        .timeout_global(Some(Duration::from_mins(5)))
        .tls_config(tls)
        .build()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_where_to_ask_and_only_this_machine_is_asked_without_tls() {
        for (repository, host, path, scheme_of) in [
            ("ghcr.io/o/api", "ghcr.io", "o/api", "https"),
            ("localhost:5000/o/api", "localhost:5000", "o/api", "http"),
            ("127.0.0.1:5000/api", "127.0.0.1:5000", "api", "http"),
            ("127.example/api", "127.example", "api", "https"),
            ("localhost.example/api", "localhost.example", "api", "https"),
            ("o/api", DEFAULT, "o/api", "https"),
            ("api", DEFAULT, "library/api", "https"),
        ] {
            let (found, rest) = place(repository);
            assert_eq!((found.as_str(), rest.as_str()), (host, path), "{repository}");
            assert_eq!(scheme(&found), scheme_of, "{repository}");
        }
    }

    #[test]
    fn a_registry_may_be_reached_under_another_address() {
        let mirrors = "localhost:5000=http://registry.kube-system:5000/, ghcr.io=https://cache";
        for (host, url) in [
            ("localhost:5000", Some("http://registry.kube-system:5000")),
            ("ghcr.io", Some("https://cache")),
            ("localhost:5001", None),
        ] {
            assert_eq!(mirror(mirrors, host).as_deref(), url, "{host}");
        }
        assert_eq!(mirror("", "ghcr.io"), None);
    }

    #[test]
    fn a_challenge_is_read_and_another_scheme_is_none() {
        let header =
            r#"Bearer realm="https://a.example/token",service="r",scope="repository:o/api:pull""#;
        let challenge = Challenge::parse(header).unwrap();
        assert_eq!(challenge.realm, "https://a.example/token");
        let scope = ("scope", "repository:o/api:pull".to_owned());
        assert_eq!(challenge.query, [("service", "r".to_owned()), scope]);
        assert!(Challenge::parse("Basic realm=\"x\"").is_none());
        assert!(Challenge::parse("Bearer service=\"x\"").is_none());
    }

    #[test]
    fn a_registry_that_does_not_answer_is_not_a_yes() {
        // Port 9 of this machine is `discard`, where nothing listens.
        let image: ImageReference =
            format!("127.0.0.1:9/api:1@{}", Digest::of(b"x")).parse().unwrap();
        assert_eq!(Repository::open(image.repository()).check(&image), ImageCheck::Unchecked);
    }
}
