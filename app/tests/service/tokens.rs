use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use crate::harness::{Running, file, until};

/// A key of an issuer, by its id.
struct Signer {
    id: &'static str,
    pair: Pair,
}

enum Pair {
    Edwards(Ed25519KeyPair),
    Elliptic(EcdsaKeyPair),
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    fn edwards(id: &'static str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        Self { id, pair: Pair::Edwards(pair) }
    }

    fn elliptic(id: &'static str) -> Self {
        let (kind, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(kind, document.as_ref(), &random).unwrap();
        Self { id, pair: Pair::Elliptic(pair) }
    }

    fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Edwards(_) => "EdDSA",
            Pair::Elliptic(_) => "ES256",
        }
    }

    fn public(&self) -> Value {
        let (id, algorithm) = (self.id, self.algorithm());
        match &self.pair {
            Pair::Edwards(pair) => {
                let x = base64(pair.public_key());
                json!({ "kid": id, "alg": algorithm, "kty": "OKP", "crv": "Ed25519", "x": x })
            }
            Pair::Elliptic(pair) => {
                // One byte says that both coordinates follow.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                let (x, y) = (base64(x), base64(y));
                json!({ "kid": id, "use": "sig", "kty": "EC", "crv": "P-256", "x": x, "y": y })
            }
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
        let signature = match &self.pair {
            Pair::Edwards(pair) => base64(pair.sign(message.as_bytes())),
            Pair::Elliptic(pair) => {
                base64(pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap())
            }
        };
        format!("{message}.{signature}")
    }

    fn token(&self) -> String {
        self.sign(&self.header(), &claims())
    }

    fn header(&self) -> Value {
        json!({ "typ": "JWT", "alg": self.algorithm(), "kid": self.id })
    }
}

fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now).unwrap() + seconds
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": "pictures", "sub": "shop", "exp": in_seconds(600),
        "scope": "openid predict",
    })
}

/// `value` with some fields others, or gone where null.
fn but(mut value: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    let fields = value.as_object_mut().unwrap();
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(&name)
        } else {
            fields.insert(name, change)
        };
    }
    value
}

fn set(signers: &[&Signer]) -> String {
    // What we have no use for is among them in practice.
    let others = [json!({ "kty": "oct", "kid": "shared", "k": base64("secret"), "alg": "HS256" })];
    let ours = signers.iter().map(|signer| signer.public());
    json!({ "keys": ours.chain(others).collect::<Vec<_>>() }).to_string()
}

/// A server of key sets.
struct Issuer {
    address: SocketAddr,
    set: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    fn start(set: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (set, asked) = (Arc::new(Mutex::new(set)), Arc::new(AtomicUsize::new(0)));
        let (answers, counts) = (Arc::clone(&set), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    head.push(byte[0]);
                }
                counts.fetch_add(1, Ordering::AcqRel);
                let body = answers.lock().unwrap().clone();
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                )
                .unwrap();
            }
        });
        Self { address, set, asked }
    }

    fn url(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Acquire)
    }
}

fn serving(keys: &str) -> Running {
    let issuer = ["--jwt-issuer", "https://issuer.example", "--jwt-audience", "pictures"];
    Running::of(&[&["--jwt-keys", keys], &issuer[..]].concat())
}

/// Status and what the problem says, if it is one.
fn ask(running: &Running, token: &str) -> (u16, String) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = agent.get(format!("http://{}/v1/model", running.address));
    let mut answer = request.header("Authorization", format!("Bearer {token}")).call().unwrap();
    let body: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    (answer.status().as_u16(), body["detail"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_token_passes_that_the_issuer_signed_for_us_and_for_now_and_no_other() {
    let (edwards, elliptic) = (Signer::edwards("ed"), Signer::elliptic("ec"));
    let stranger = Signer::edwards("ed");
    let issuer = Issuer::start(set(&[&edwards, &elliptic]));
    let running = serving(&issuer.url());
    // The first answer comes once the keys are here.
    until(&200, || ask(&running, &edwards.token()).0);
    let check = |token: &str, status: u16, told: &str| {
        let (found, detail) = ask(&running, token);
        assert_eq!((found, detail.contains(told)), (status, true), "{told}: {found} {detail}");
    };
    let with = |changes: Value| edwards.sign(&edwards.header(), &but(claims(), changes));
    check(&elliptic.token(), 200, "");
    check(&with(json!({ "scope": null, "scp": ["predict"] })), 200, "");
    check(&with(json!({ "aud": ["other", "pictures"] })), 200, "");
    check(&with(json!({ "exp": in_seconds(-10) })), 200, "");
    check(&with(json!({ "nbf": in_seconds(10) })), 200, "");
    check(&with(json!({ "exp": in_seconds(-60) })), 401, "expired");
    check(&with(json!({ "nbf": in_seconds(60) })), 401, "not valid yet");
    check(&with(json!({ "aud": "other" })), 401, "for somebody else");
    check(&with(json!({ "iss": "https://other.example" })), 401, "another issuer");
    for claim in ["exp", "iss", "aud"] {
        check(&with(json!({ claim: null })), 401, "lacks one of");
    }
    check(&with(json!({ "sub": null })), 401, "");
    check(&with(json!({ "sub": "" })), 401, "names nobody");
    check(&with(json!({ "exp": "tomorrow" })), 401, "");
    check(&with(json!({ "scope": "openid" })), 403, "`predict` is needed");
    let headed = |changes: Value| edwards.sign(&but(edwards.header(), changes), &claims());
    check(&headed(json!({ "crit": ["b64"] })), 401, "critical");
    check(&headed(json!({ "kid": null })), 401, "key");
    check(&headed(json!({ "kid": "shared", "alg": "HS256" })), 401, "key");
    check(&headed(json!({ "alg": "HS256" })), 401, "not valid here");
    check(&headed(json!({ "alg": "ES256" })), 401, "not valid here");
    check(&headed(json!({ "kid": "ec" })), 401, "not valid here");
    check(&headed(json!({ "alg": "none" })), 401, "no token of a kind");
    let unsigned = json!({ "alg": "none" }).to_string();
    check(&format!("{}.{}.", base64(unsigned), base64(claims().to_string())), 401, "no token");
    check(&stranger.token(), 401, "not valid here");
    check("a.b.c", 401, "no token of a kind");
    check("..", 401, "no token of a kind");
    check("ak_unknown", 401, "not known here");
}

#[test]
fn a_key_that_nobody_has_seen_is_asked_for_and_made_up_ones_are_not_asked_for_every_time() {
    let (old, new) = (Signer::edwards("old"), Signer::elliptic("new"));
    let issuer = Issuer::start(set(&[&old]));
    let running = serving(&issuer.url());
    until(&200, || ask(&running, &old.token()).0);
    *issuer.set.lock().unwrap() = set(&[&new]);
    let before = issuer.asked();
    assert_eq!(ask(&running, &new.token()).0, 200);
    assert_eq!(ask(&running, &old.token()).0, 401);
    for _ in 0..20 {
        assert_eq!(ask(&running, &Signer::edwards("made up").token()).0, 401);
    }
    let asked = issuer.asked() - before;
    assert!((1..=3).contains(&asked), "asked {asked} times");
}

#[test]
fn what_one_caller_made_us_ask_for_is_learnt_though_that_caller_has_hung_up() {
    let (old, new) = (Signer::edwards("old"), Signer::edwards("new"));
    let issuer = Issuer::start(set(&[&old]));
    let running = serving(&issuer.url());
    until(&200, || ask(&running, &old.token()).0);
    let before = issuer.asked();
    {
        let mut held = issuer.set.lock().unwrap();
        let mut caller = std::net::TcpStream::connect(running.address).unwrap();
        let token = new.token();
        write!(
            caller,
            "GET /v1/model HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        .unwrap();
        // The issuer has been asked, and does not answer before the caller is gone.
        until(&(before + 1), || issuer.asked());
        caller.shutdown(std::net::Shutdown::Both).unwrap();
        drop(caller);
        std::thread::sleep(std::time::Duration::from_millis(200));
        *held = set(&[&new]);
    }
    // Nothing more is asked for the next one.
    until(&200, || ask(&running, &new.token()).0);
    assert_eq!(issuer.asked(), before + 1);
}

#[test]
fn without_the_keys_no_token_is_judged() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    drop(silent);
    let running = serving(&format!("http://{address}/keys"));
    let (status, told) = ask(&running, &Signer::edwards("ed").token());
    assert_eq!((status, told.as_str()), (503, "tokens cannot be judged right now"));
}

#[test]
fn keys_in_a_file_are_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Signer::edwards("old"), Signer::edwards("new"));
    let running = serving(&file(&folder, "keys.json", &set(&[&old])));
    assert_eq!(ask(&running, &old.token()).0, 200);
    file(&folder, "keys.json", &set(&[&new]));
    until(&(200, 401), || (ask(&running, &new.token()).0, ask(&running, &old.token()).0));
}
