use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::harness::{Running, file, until};

/// A certificate of this machine and its key, in PEM.
fn certificate() -> (String, String) {
    let names = vec!["127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

fn serving(folder: &TempDir, (cert, key): &(String, String)) -> Running {
    let (cert, key) = (file(folder, "tls.crt", cert), file(folder, "tls.key", key));
    Running::of(&["--tls-cert-file", &cert, "--tls-key-file", &key])
}

/// Trusts these certificates and no other.
fn agent(trusted: &[&str]) -> Agent {
    let certs: Vec<_> =
        trusted.iter().map(|pem| Certificate::from_pem(pem.as_bytes()).unwrap()).collect();
    let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certs)).build();
    Agent::config_builder().tls_config(tls).build().into()
}

/// Over a connection of its own.
fn is_answered(running: &Running, trusted: &str) -> bool {
    let url = format!("https://{}/version", running.address);
    agent(&[trusted]).get(&url).call().is_ok()
}

#[test]
fn the_public_port_speaks_tls_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let ours = certificate();
    let running = serving(&folder, &ours);
    assert!(is_answered(&running, &ours.0));
    assert!(!is_answered(&running, &certificate().0));
    let mut plain = TcpStream::connect(running.address).unwrap();
    plain.write_all(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // An alert or a reset, and no answer.
    plain.read_to_end(&mut answer).unwrap_or_default();
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    // A handshake that is never begun holds up no end.
    let silent = TcpStream::connect(running.address).unwrap();
    running.signal();
    running.ended();
    drop(silent);
}

#[test]
fn a_new_certificate_takes_over_and_no_request_is_lost_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (certificate(), certificate());
    let running = serving(&folder, &old);
    let url = format!("https://{}/version", running.address);
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for keeps_its_connection in [true, false] {
            let (stop, answered, url, old, new) = (&stop, &answered, &url, &old, &new);
            scope.spawn(move || {
                let mut caller = agent(&[&old.0, &new.0]);
                while !stop.load(Ordering::Acquire) {
                    if !keeps_its_connection {
                        caller = agent(&[&old.0, &new.0]);
                    }
                    caller.get(url).call().unwrap();
                    answered.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
        let stopping = Stopping(&stop);
        // First one that does not belong to the key, then none at all, then the right pair.
        file(&folder, "tls.crt", &new.0);
        let before = answered.load(Ordering::Acquire);
        std::thread::sleep(std::time::Duration::from_millis(2500));
        assert!(is_answered(&running, &old.0), "the old one stays beside a key of another");
        file(&folder, "tls.key", "no key");
        file(&folder, "tls.key", &new.1);
        until(&(true, false), || (is_answered(&running, &new.0), is_answered(&running, &old.0)));
        until(&true, || answered.load(Ordering::Acquire) > before + 10);
        drop(stopping);
    });
}

/// Ends the callers when the test ends, however it does.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
