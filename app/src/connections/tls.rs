//! [`Tls`]: the certificate of the public port. A new one takes its place while connections go on, once it
//! parses and matches its key; one that does not leaves the old one in its place.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use prometheus::IntGauge;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::reload::{Reloaded, Source};

#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    pair: Arc<Reloaded<CertifiedKey, 2>>,
}

/// Whatever the files held when they were last good.
#[derive(Debug)]
struct Current(Arc<Reloaded<CertifiedKey, 2>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.get())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pair.fmt(f)
    }
}

impl Tls {
    pub fn open(cert: &Path, key: &Path) -> Result<Self, String> {
        let pair = Reloaded::open(Source::Certificate, [cert, key], |[cert, key]| {
            certified(cert, key, &ring::default_provider())
        })?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Current(Arc::clone(&pair))));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), pair })
    }

    pub fn follow(&self, succeeded: IntGauge) -> impl Future<Output = ()> + use<> {
        Arc::clone(&self.pair).follow(succeeded)
    }

    pub(super) async fn accept<S>(&self, socket: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.acceptor.accept(socket).await
    }
}

fn certified(cert: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("the certificate: {error}"))?;
    if chain.is_empty() {
        return Err("the certificate: there is none in it, as PEM".to_owned());
    }
    // What the error says of the key stays here.
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_error| "the key: there is none in it, as PEM".to_owned())?;
    CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| format!("the certificate and its key: {error}"))
}
