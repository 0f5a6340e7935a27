use clap::Parser;

use super::values::size;
use super::*;
use crate::telemetry::spans::sampler::Sampler;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    options: Options,
}

fn config(args: &[&str]) -> Result<Config, Mistakes> {
    let args = ["serve"].iter().chain(args);
    Config::try_from(Program::try_parse_from(args).unwrap().options)
}

#[test]
fn only_the_folder_of_the_model_must_be_given() {
    let config = config(&["--model-dir", "."]).unwrap();
    assert_eq!(config.listen, "127.0.0.1:8000".parse().unwrap());
    assert_eq!(config.drain_pause, Duration::from_secs(5));
    assert_eq!(config.body_limit, 4 << 20);
}

#[test]
fn by_default_every_core_that_may_be_used_is_used_once() {
    let workers = |args: &[&str]| {
        config(&[&["--model-dir", "."], args].concat()).map(|config| config.workers).unwrap()
    };
    assert_eq!(workers(&[]), cores().min(MOST_WORKERS));
    assert_eq!(workers(&["--threads", "1024"]), 1);
    assert_eq!(workers(&["--workers", "3", "--threads", "1024"]), 3);
}

#[test]
fn all_mistakes_are_told_together_with_their_variables() {
    let told = config(&[
        "--listen",
        "localhost",
        "--queue-depth",
        "0",
        "--threads",
        "100000",
        "--drain-pause",
        "5 s",
        "--body-limit",
        "1TiB",
        "--app-version",
        "a b",
        "--log",
        "info,=loud",
    ])
    .unwrap_err()
    .to_string();
    for part in [
        "--model-dir (MODEL_DIR): missing",
        "--listen (LISTEN): `localhost`",
        "--queue-depth (QUEUE_DEPTH): `0`",
        "--threads (THREADS): `100000`",
        "--drain-pause (DRAIN_PAUSE): `5 s`",
        "--body-limit (BODY_LIMIT): `1TiB`",
        "--app-version (APP_VERSION): `a b`",
        "--log (LOG): `info,=loud`",
        "hint: ",
    ] {
        assert!(told.contains(part), "`{part}` missing in:\n{told}");
    }
}

#[test]
fn values_that_contradict_each_other_are_a_mistake() {
    let check = |args: &[&str], part: &str| {
        let told = config(&[&["--model-dir", "."], args].concat()).unwrap_err().to_string();
        assert!(told.contains(part), "{told}");
    };
    check(&["--queue-depth", "8", "--max-batch", "9"], "cannot hold a batch");
    check(&["--request-timeout", "0s"], "no time");
    check(&["--write-timeout", "0"], "no time");
    check(&["--request-timeout", "1s", "--batch-delay", "1s"], "that much time");
}

#[test]
fn times_and_sizes_read_as_people_write_them() {
    assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
    assert_eq!(duration("0"), Ok(Duration::ZERO));
    assert_eq!(size("512KiB"), Ok(512 << 10));
    for wrong in ["", "s", "5", "-1s", "5h", "٥s", "99999999999s"] {
        assert!(duration(wrong).is_err(), "{wrong}");
    }
    for wrong in ["", "0", "MiB", "257MiB", "4MB", "18446744073709551615KiB"] {
        assert!(size(wrong).is_err(), "{wrong}");
    }
}

/// A folder with a key and a certificate that is none.
fn files() -> (tempfile::TempDir, impl Fn(&str) -> String) {
    let folder = tempfile::tempdir().unwrap();
    let (_, line) = crate::access::keys::mint("shop", "predict".parse().unwrap()).unwrap();
    fs_err::write(folder.path().join("keys"), line).unwrap();
    fs_err::write(folder.path().join("empty"), "").unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    (folder, move |name| format!("{path}/{name}"))
}

#[test]
fn every_switch_is_off_until_it_is_set() {
    let (_folder, file) = files();
    let told =
        |args: &[&str]| config(&[&["--model-dir", "."], args].concat()).unwrap().switches.told();
    let all = "API keys, tokens, rate limit, TLS, CORS, admin port";
    assert_eq!(told(&[]), ["", all]);
    let on = [
        "--api-keys-file",
        &file("keys"),
        "--jwt-keys",
        "https://issuer.example/keys",
        "--jwt-issuer",
        "https://issuer.example",
        "--jwt-audience",
        "pictures",
        "--rate-limit",
        "50/s",
        "--cors-origins",
        "*",
        "--admin-listen",
        "[::]:9000",
    ];
    assert_eq!(told(&on), ["API keys, tokens, rate limit, CORS, admin port", "TLS"]);
}

#[test]
fn a_switch_that_cannot_be_used_is_a_mistake_like_any_other() {
    let (_folder, file) = files();
    let check = |args: &[&str], parts: &[&str]| {
        let told = config(&[&["--model-dir", "."], args].concat()).unwrap_err().to_string();
        for part in parts {
            assert!(told.contains(part), "`{part}` missing in:\n{told}");
        }
    };
    let (missing, empty) = (file("missing"), file("empty"));
    check(
        &["--api-keys-file", &missing, "--rate-limit", "many", "--cors-origins", "example.com"],
        &[
            "--api-keys-file (API_KEYS_FILE): ",
            "--rate-limit (RATE_LIMIT): `many`",
            "--cors-origins (CORS_ORIGINS): `example.com`",
        ],
    );
    check(&["--admin-listen", "9000"], &["--admin-listen (ADMIN_LISTEN): `9000`"]);
    check(&["--tls-cert-file", &empty], &["TLS_KEY_FILE", "go together"]);
    check(&["--tls-key-file", &empty], &["TLS_CERT_FILE", "go together"]);
    let pair = ["--tls-cert-file", &empty, "--tls-key-file", &empty];
    check(&pair, &["--tls-cert-file (TLS_CERT_FILE): the certificate: there is none"]);
    check(&["--jwt-keys", "https://issuer.example/keys"], &["JWT_ISSUER", "JWT_AUDIENCE"]);
    let whose = ["--jwt-issuer", "i", "--jwt-audience", "a", "--jwt-keys"];
    check(&whose[..4], &["JWT_KEYS"]);
    for (place, told) in [
        ("http://issuer.example/keys", "over https"),
        ("ftp://issuer.example/keys", "over https"),
        (&missing, "missing"),
        (&empty, "no set of keys"),
    ] {
        check(&[&whose[..], &[place]].concat(), &["--jwt-keys (JWT_KEYS): ", told]);
    }
}

#[test]
fn a_key_that_is_missing_or_weak_is_a_mistake_and_never_told() {
    let told = |file: &str| {
        let args = ["--model-dir", ".", "--feedback-key-file", file];
        config(&args).unwrap_err().to_string()
    };
    let missing = told("no/such/file");
    assert!(missing.contains("(FEEDBACK_KEY_FILE): ") && missing.contains("no/such/file"));
    let weak = told("Cargo.toml");
    assert!(weak.contains("a key per line") && !weak.contains("[package]"), "{weak}");
    assert!(config(&["--model-dir", "."]).unwrap().feedback_keys.is_none());
}

#[test]
fn a_switch_that_is_set_to_nothing_is_not_off() {
    let flags = ["api-keys-file", "jwt-keys", "rate-limit", "cors-origins", "admin-listen"];
    for flag in flags {
        let told = config(&["--model-dir", ".", &format!("--{flag}=")]).unwrap_err().to_string();
        assert!(told.contains("set to nothing"), "{flag}: {told}");
    }
    let tls = ["--model-dir", ".", "--tls-cert-file=", "--tls-key-file="];
    assert!(config(&tls).unwrap_err().to_string().contains("TLS_CERT_FILE"));
}

#[test]
fn traces_are_off_until_a_collector_is_named_and_nothing_named_is_not_set() {
    let spans = |args: &[&str]| config(&[&["--model-dir", "."], args].concat()).unwrap().spans;
    assert!(spans(&[]).is_none());
    assert!(spans(&["--otel-exporter-otlp-endpoint=", "--otel-traces-sampler", "?"]).is_none());
    let on = [
        "--otel-exporter-otlp-endpoint",
        "http://collector:4318/",
        "--otel-exporter-otlp-headers",
        "authorization=Bearer%20token, x-tenant=a",
        "--otel-resource-attributes",
        "deployment.environment.name=staging,",
        "--otel-traces-sampler=",
    ];
    let spans = spans(&on).unwrap();
    assert_eq!(spans.collector.url(), "http://collector:4318/v1/traces");
    assert_eq!(spans.sampler, Sampler::new("parentbased_always_on", 1.0).unwrap());
    assert_eq!((spans.service.as_str(), spans.attributes.len()), ("mnist-api", 1));
    assert!(!format!("{spans:?}").contains("token"), "{spans:?}");
}

#[test]
fn the_name_of_its_own_outdoes_that_among_the_attributes() {
    let service = |more: &[&str]| {
        let on = ["--model-dir", ".", "--otel-exporter-otlp-endpoint", "http://collector:4318"];
        config(&[&on[..], more].concat()).unwrap().spans.unwrap().service
    };
    let attributes = ["--otel-resource-attributes", "service.name=leaves,a=b"];
    assert_eq!(service(&[]), "mnist-api");
    assert_eq!(service(&attributes), "leaves");
    assert_eq!(service(&[&attributes[..], &["--otel-service-name", "trees"]].concat()), "trees");
    assert_eq!(service(&[&attributes[..], &["--otel-service-name="]].concat()), "leaves");
}

#[test]
fn a_collector_that_cannot_be_told_is_a_mistake_and_no_secret_is_told() {
    let check = |flag: &str, value: &str, part: &str| {
        let on = ["--model-dir", ".", "--otel-exporter-otlp-endpoint", "http://collector:4318"];
        let wrong = format!("--{flag}={value}");
        let args = if flag.ends_with("endpoint") { &on[..2] } else { &on[..] };
        let told = config(&[args, &[&wrong]].concat()).unwrap_err().to_string();
        let variable = flag.to_uppercase().replace('-', "_");
        assert!(told.contains(&format!("({variable}): ")) && told.contains(part), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    };
    check("otel-exporter-otlp-endpoint", "collector:4318", "http://collector:4318");
    check("otel-exporter-otlp-endpoint", "ftp://collector", "http://collector:4318");
    check("otel-exporter-otlp-endpoint", "http://u:s3cret@c", "OTEL_EXPORTER_OTLP_HEADERS");
    check("otel-exporter-otlp-protocol", "grpc", "http/protobuf");
    check("otel-exporter-otlp-headers", "a=b,s3cret", "entry 2 is not like");
    check("otel-exporter-otlp-headers", "a b=s3cret", "entry 1 is no header");
    check("otel-exporter-otlp-headers", "a=s3cret%0A", "entry 1 is no header");
    check("otel-resource-attributes", "=a", "entry 1 is not like");
    check("otel-traces-sampler", "sometimes", "parentbased_");
    check("otel-traces-sampler-arg", "2", "0 to 1");
}
