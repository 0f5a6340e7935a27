//! The service over real sockets, on a model trained on the real data.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "serving/feedback.rs"]
mod feedback;
#[path = "serving/secrets.rs"]
mod secrets;
#[path = "serving/spans.rs"]
mod spans;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use contract::artifact::Artifact;
use contract::image::Image;
use e2e::data;
use e2e::http::Http;
use e2e::model::{quick, train};
use e2e::process::{Ended, command, run, xtask};
use e2e::repo;
use e2e::server::{Server, free_port};
use serde_json::{Value, json};

fn predict(http: &Http, server: &Server, image: &Image) -> Value {
    let body = json!({ "image": image.pixels() });
    let reply = http.post_json(&server.url("/v1/predict"), &body).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply.json()
}

#[test]
fn a_thousand_real_images_score_what_the_manifest_claims() {
    let artifact = quick();
    let server = Server::start(artifact.path(), &[]);
    let http = Http::default();
    let wrong: Vec<usize> = data::test_images()
        .into_iter()
        .take(1000)
        .enumerate()
        .filter(|(_, (label, image))| predict(&http, &server, image)["label"] != *label)
        .map(|(index, _)| index)
        .collect();
    let claimed = artifact.manifest().metrics.misclassified.iter().copied();
    assert_eq!(wrong, claimed.filter(|index| *index < 1000).collect::<Vec<_>>());
}

#[test]
fn a_batch_gives_the_answers_of_its_images_one_by_one() {
    let artifact = quick();
    let server = Server::start(artifact.path(), &[]);
    let http = Http::default();
    let images: Vec<Image> =
        data::probes().0.into_iter().take(16).map(|(_, image)| image).collect();
    let body = json!({ "images": images.iter().map(Image::pixels).collect::<Vec<_>>() });
    let reply = http.post_json(&server.url("/v1/predict/batch"), &body).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.json());
    let batch = reply.json()["predictions"].as_array().unwrap().clone();
    assert_eq!(batch.len(), images.len());
    for (image, answer) in images.iter().zip(&batch) {
        assert_eq!(predict(&http, &server, image)["label"], answer["label"]);
    }
}

#[test]
fn every_answer_names_the_model_and_the_request() {
    let artifact = quick();
    let server = Server::start(artifact.path(), &[]);
    let manifest = artifact.manifest();
    for path in ["/v1/model", "/version", "/readyz", "/no-such-page", "/docs", "/metrics"] {
        let reply = server.get(path).unwrap();
        let header = |name: &str| reply.header(name).unwrap_or_default().to_owned();
        assert_eq!(header("x-model-version"), manifest.model_version.as_str(), "{path}");
        assert_eq!(header("x-model-digest"), manifest.model_digest.to_string(), "{path}");
        assert!(!header("x-request-id").is_empty(), "{path}");
    }
}

fn smoke(url: &str, expect: &Artifact, deadline: &str) -> Ended {
    smoke_with(url, expect, deadline, &[])
}

fn smoke_with(url: &str, expect: &Artifact, deadline: &str, variables: &[(&str, &str)]) -> Ended {
    let mut smoke = command(repo::release_binary("mnist-api"), &repo::root());
    smoke.args(["smoke", url, "--deadline", deadline, "--expect-model-digest"]);
    smoke.arg(expect.manifest().model_digest.to_string());
    run(smoke.envs(variables.iter().copied()).arg("--probes").arg(data::probes().1))
}

#[test]
fn smoke_passes_a_good_model_and_refuses_a_stale_one() {
    let artifact = quick();
    let server = Server::start(artifact.path(), &[]);
    let passed = smoke(&server.url(""), &artifact, "30s");
    assert_eq!(passed.code, Some(0), "{}", passed.stderr);

    // The old version still answers where another was released.
    let other = tempfile::tempdir().unwrap();
    let toy = data::toy();
    let args = ["--task", toy.to_str().unwrap(), "--recipe", "quick", "--seed", "9"];
    let released = Artifact::open(&train(&other.path().join("other"), &args)).unwrap();
    let stale = smoke(&server.url(""), &released, "5s");
    assert_eq!(stale.code, Some(42), "{}", stale.stderr);
}

#[test]
fn once_keys_are_on_smoke_and_callers_need_one_and_the_start_says_what_is_off() {
    let (artifact, folder) = (quick(), tempfile::tempdir().unwrap());
    let mut program = command(repo::release_binary("mnist-api"), &repo::root());
    let made = run(program.args(["key", "smoke", "--scopes", "predict"])).success().stdout;
    let (key, line) = made.trim_end().split_once('\n').unwrap();
    let [keys, own] = [("keys", line), ("key", key)].map(|(name, text)| {
        let path = folder.path().join(name);
        fs_err::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let server = Server::start(artifact.path(), &["--api-keys-file", &keys]);
    let off = "\"on\":\"API keys\",\"off\":\"tokens, rate limit, TLS, CORS, admin port\"";
    server.logs(off);
    assert_eq!(server.get("/v1/model").unwrap().status, 401);
    let refused = smoke(&server.url(""), &artifact, "2s");
    assert_eq!(refused.code, Some(42), "{}", refused.stderr);
    let passed = smoke_with(&server.url(""), &artifact, "30s", &[("SMOKE_API_KEY_FILE", &own)]);
    assert_eq!(passed.code, Some(0), "{}", passed.stderr);
}

#[test]
fn smoke_cannot_decide_where_nothing_answers() {
    let undecided = smoke(&format!("http://127.0.0.1:{}", free_port()), &quick(), "2s");
    assert_eq!(undecided.code, Some(75), "{}", undecided.stderr);
}

/// Trains on the task's own pictures with labels that `relabel` made wrong, and returns what smoke says.
fn smoke_of_a_model_taught(relabel: fn(u8, u8) -> u8) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let task = wrongly_labelled_task(folder.path(), relabel);
    let mirror = folder.path().join("mirror");
    let [task, mirror] = [&task, &mirror].map(|path| path.to_str().unwrap());
    let args = ["--recipe", "quick", "--task", task, "--mirror", mirror];
    let artifact = Artifact::open(&train(&folder.path().join("artifact"), &args)).unwrap();
    let server = Server::start(artifact.path(), &[]);
    smoke(&server.url(""), &artifact, "30s")
}

/// A task file and a mirror like the shipped ones, but for the labels: `relabel` is given each, and the
/// number of classes.
fn wrongly_labelled_task(folder: &Path, relabel: fn(u8, u8) -> u8) -> std::path::PathBuf {
    use std::io::Write;

    let mut task = data::task();
    let mirror = folder.join("mirror");
    fs_err::create_dir_all(&mirror).unwrap();
    for file in task.data.files() {
        fs_err::copy(data::folder(&task).join(&file.file), mirror.join(&file.file)).unwrap();
    }
    "wrong".clone_into(&mut task.data.name);
    let classes = u8::try_from(task.classes.len()).unwrap();
    let idx = task.data.idx.as_mut().unwrap();
    for pair in [&mut idx.train, &mut idx.test] {
        let path = mirror.join(&pair.labels.file);
        let mut labels = data::gunzip(&path);
        labels[8..].iter_mut().for_each(|label| *label = relabel(*label, classes));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&labels).unwrap();
        let gzip = gzip.finish().unwrap();
        pair.labels.bytes = gzip.len() as u64;
        pair.labels.sha256.0 = contract::digest::Digest::of(&gzip);
        fs_err::write(&path, gzip).unwrap();
    }
    let file = folder.join("task.yaml");
    fs_err::write(&file, serde_yaml::to_string(&task).unwrap()).unwrap();
    file
}

#[test]
fn smoke_refuses_a_model_taught_shuffled_labels() {
    let refused = smoke_of_a_model_taught(|label, classes| (label + 1) % classes);
    assert_eq!(refused.code, Some(43), "{}", refused.stderr);
}

#[test]
fn smoke_refuses_a_model_that_always_says_the_same() {
    let refused = smoke_of_a_model_taught(|_, classes| classes - 1);
    assert_eq!(refused.code, Some(43), "{}", refused.stderr);
}

#[test]
fn what_was_trained_last_is_served_though_it_never_saw_a_real_picture() {
    let home = tempfile::tempdir().unwrap();
    let task = data::toy_without_a_mirror(home.path());
    let task = ["--task", task.to_str().unwrap()];
    let mut training = xtask(home.path());
    training.args(["train", "--recipe", "quick", "--data", "synthetic"]).args(task);
    let trained = run(&mut training).success().stdout;
    let trained = Artifact::open(Path::new(trained.trim_end())).unwrap();
    assert!(trained.path().starts_with(home.path()), "{}", trained.path().display());
    let records = home.path().join("records.jsonl");
    let flags = ["--", "--records", records.to_str().unwrap()];
    let server = Server::by_xtask(home.path(), &[&task[..], &flags].concat());
    assert!(records.is_file(), "what stands behind `--` is told to the service");
    let model = server.get("/v1/model").unwrap().json();
    assert_eq!(model["version"], trained.manifest().model_version.as_str(), "{}", server.log());
    assert_eq!(model["data"], trained.manifest().data.name);
}

#[test]
fn a_changed_artifact_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let artifact = quick();
    for entry in fs_err::read_dir(artifact.path()).unwrap() {
        let path = entry.unwrap().path();
        fs_err::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let model = folder.path().join("model.pt");
    let mut bytes = fs_err::read(&model).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&model, bytes).unwrap();
    let mut server = Server::launch(folder.path(), &[]);
    assert!(!server.ended().success());
    assert!(server.log().contains("model.pt"), "{}", server.log());
}

/// Of the process, at its highest so far.
fn peak_memory(server: &Server) -> u64 {
    let status = fs_err::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() << 10
}

#[test]
fn ten_times_more_than_it_can_hold_is_answered_or_refused_at_once_in_bounded_memory() {
    let artifact = quick();
    let args = ["--workers", "1", "--max-batch", "64", "--queue-depth", "64"];
    let server = Server::start(artifact.path(), &args);
    let (_, image) = data::probes().0.swap_remove(0);
    let body = json!({ "images": vec![image.pixels(); 64] }).to_string();
    let before = peak_memory(&server);
    let (answered, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // One is computed and one waits.
        for _ in 0..20 {
            scope.spawn(|| {
                let http = Http::default();
                for _ in 0..25 {
                    let url = server.url("/v1/predict/batch");
                    let reply = http.post(&url, "application/json", body.as_bytes()).unwrap();
                    let counter = match (reply.status, reply.header("retry-after")) {
                        (200, _) => &answered,
                        (429, Some("1")) => &refused,
                        _ => panic!("{}: {}", reply.status, reply.json()),
                    };
                    counter.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let (answered, refused) = (answered.into_inner(), refused.into_inner());
    assert_eq!(answered + refused, 500);
    assert!(answered > 0 && refused > 0, "{answered} answered, {refused} refused");
    let grown = peak_memory(&server) - before;
    assert!(grown < 128 << 20, "{grown} bytes for twenty callers");
}

#[test]
fn out_of_file_descriptors_it_waits_instead_of_trying_without_a_pause() {
    let server = Server::start(quick().path(), &[]);
    let mut limit = command("prlimit", &repo::root());
    limit.args(["--pid", &server.pid().to_string(), "--nofile=48"]);
    run(&mut limit).success();
    let begun = std::time::Instant::now();
    let address = server.url("").replace("http://", "");
    let kept: Vec<_> = (0..64).map(|_| std::net::TcpStream::connect(&address).unwrap()).collect();
    let failures = || server.log().matches("could not be accepted").count();
    while failures() < 5 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let seen = failures();
    let tenths = begun.elapsed().as_millis() / 100;
    assert!(seen as u128 <= tenths + 1, "{seen} failures in {tenths} tenths of a second");
    drop(kept);
    assert_eq!(server.get("/livez").unwrap().status, 200);
}

#[test]
fn sigterm_under_load_answers_every_request_it_took() {
    let artifact = quick();
    let mut server = Server::start(artifact.path(), &["--drain-pause", "500ms"]);
    let (_, image) = data::probes().0.swap_remove(0);
    let body = json!({ "image": image.pixels() }).to_string();
    let (answered, stopping) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    // A connection of its own, so a refusal is a refusal and not a closed keep-alive.
                    let reply = Http::default().post(
                        &server.url("/v1/predict"),
                        "application/json",
                        body.as_bytes(),
                    );
                    match reply {
                        Ok(reply) if reply.status == 200 => {
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        // Once it stops accepting, connections are refused: none was taken and lost.
                        Err(ureq::Error::Io(error))
                            if error.kind() == std::io::ErrorKind::ConnectionRefused
                                && stopping.load(Ordering::SeqCst) =>
                        {
                            return;
                        }
                        Ok(reply) => panic!("{}: {}", reply.status, reply.json()),
                        Err(error) => panic!("a request was lost: {error}"),
                    }
                }
            });
        }
        while answered.load(Ordering::SeqCst) < 100 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        stopping.store(true, Ordering::SeqCst);
        server.signal("TERM");
    });
    assert!(server.ended().success(), "{}", server.log());
    // Pixels and bodies stay out of the log; requests are in it.
    let log = server.log();
    assert!(log.contains("/v1/predict") && !log.contains("\"image\""), "{log}");
}
