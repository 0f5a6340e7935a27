//! Signatures, by real cosign in a real registry: what is not signed as main demands is pinned by no machine.

use contract::digest::Digest;
use e2e::process::{Ended, command, run};
use e2e::registry::Registry;
use e2e::repo;
use gitops::pin::Pin;

use crate::scratch::{PASSED, Scratch, WRONG_MODEL, environment, event, says};

struct Signed {
    scratch: Scratch,
    registry: Registry,
}

impl Signed {
    /// A fork whose main demands signatures by the key that it made.
    fn new() -> Self {
        let signed = Self { scratch: Scratch::new(), registry: Registry::start() };
        make_key(&signed.scratch, "cosign");
        demand(&signed.scratch, "cosign");
        signed
    }

    /// An image of that version, and what would pin it.
    fn push(&self, version: &str) -> Pin {
        let digest = self.registry.push("o/api", version);
        let repository = self.registry.repository("o/api");
        Pin {
            image: format!("{repository}:{version}@{digest}").parse().unwrap(),
            app_version: version.parse().unwrap(),
            model_digest: Digest::of(version.as_bytes()),
        }
    }

    fn sign(&self, pin: &Pin, key: &str) {
        let image = format!("{}@{}", pin.image.repository(), pin.image.digest());
        let key = format!("{key}.key");
        let args = [
            "sign",
            "--yes",
            "--key",
            &key,
            "--tlog-upload=false",
            "--use-signing-config=false",
            &image,
        ];
        cosign(&self.scratch, &args).success();
    }

    fn promote(&self) -> Ended {
        self.scratch.xtask(&["promote", "--from", "staging", "--to", "production"])
    }
}

pub(crate) const PASSWORD: &str = "a password";

fn cosign(scratch: &Scratch, args: &[&str]) -> Ended {
    let mut cosign = command(program(), &scratch.path(""));
    run(cosign.env("COSIGN_PASSWORD", PASSWORD).args(args))
}

pub(crate) fn make_key(scratch: &Scratch, name: &str) {
    cosign(scratch, &["generate-key-pair", "--output-key-prefix", name]).success();
}

pub(crate) fn demand(scratch: &Scratch, key: &str) {
    let public = fs_err::read_to_string(scratch.path(&format!("{key}.pub"))).unwrap();
    let public = public.trim_end().replace('\n', "\n  ");
    let text = format!("mode: key\npublic_key: |\n  {public}\n");
    scratch.commit("demand signatures", "kustomize/signing.yaml", &text);
}

/// The one that `cargo xtask test` has provided.
fn program() -> std::ffi::OsString {
    std::env::var_os("E2E_COSIGN").expect("run by `cargo xtask test`")
}

#[test]
fn only_what_is_signed_by_the_right_key_is_promoted() {
    let signed = Signed::new();
    make_key(&signed.scratch, "other");
    let pin = signed.push("1.0.0");
    signed.scratch.verified("staging", &pin);
    let before = signed.scratch.refs();
    says(&signed.promote(), 3, &["the signature of the image to run is missing or not valid"]);
    signed.sign(&pin, "other");
    says(&signed.promote(), 3, &["the signature of the image to run is missing or not valid"]);
    assert_eq!(signed.scratch.refs(), before);
    signed.sign(&pin, "cosign");
    says(&signed.promote(), 0, &["promote(production): unreleased -> "]);
}

#[test]
fn a_rollback_to_what_is_not_signed_is_refused_and_a_human_told() {
    let signed = Signed::new();
    let (good, bad) = (signed.push("1.0.0"), signed.push("1.1.0"));
    signed.scratch.verified("staging", &good);
    let change = signed.scratch.release("staging", &bad);
    let report = event("staging", &change, WRONG_MODEL);
    let ended = signed.scratch.report(&report);
    says(&ended, 4, &["the signature of the image to run is missing or not valid"]);
    let pinned = || signed.scratch.on_main(&environment("staging").pin_file());
    assert_eq!(pinned(), bad.to_yaml());
    signed.sign(&good, "cosign");
    says(&signed.scratch.report(&report), 0, &["published"]);
    assert_eq!(pinned(), good.to_yaml());
    // To mark what runs as good changes no pin, and asks for no signature.
    let head = signed.scratch.git("remote", &["rev-parse", "main"]);
    says(&signed.scratch.report(&event("staging", &head, PASSED)), 0, &["verified(staging)"]);
}

#[test]
fn an_image_that_was_tampered_with_is_another_one_and_not_signed() {
    let signed = Signed::new();
    let pin = signed.push("1.0.0");
    signed.sign(&pin, "cosign");
    // Somebody moves the tag to an image of his own, and pins that.
    let mut tampered = signed.push("6.6.6");
    tampered.app_version = pin.app_version.clone();
    signed.scratch.verified("staging", &tampered);
    says(&signed.promote(), 3, &["the signature of the image to run is missing or not valid"]);
}

#[test]
fn a_demand_that_cannot_be_read_lets_nothing_pass() {
    let signed = Signed::new();
    let pin = signed.push("1.0.0");
    signed.sign(&pin, "cosign");
    signed.scratch.verified("staging", &pin);
    signed.scratch.commit("a slip", "kustomize/signing.yaml", "mode: keys\n");
    says(&signed.promote(), 3, &["kustomize/signing.yaml cannot be read"]);
    signed.scratch.commit("off", "kustomize/signing.yaml", "mode: none\n");
    says(&signed.promote(), 0, &["promote(production)"]);
}

/// What a release would need minutes for; here there is nothing to release, and it is not asked for.
fn release(scratch: &Scratch, args: &[&str]) -> Ended {
    let release = ["release", "--model", "nowhere", "--env", "staging"];
    scratch.xtask(&[&release, args].concat())
}

#[test]
fn what_cannot_be_signed_is_refused_before_anything_is_built() {
    let signed = Signed::new();
    let image = signed.registry.repository("o/api");
    says(&release(&signed.scratch, &["--image", &image]), 1, &["signed by a key", "--signing-key"]);
    let folder = ["--layout", "images", "--signing-key", "cosign.key"];
    says(&release(&signed.scratch, &folder), 1, &["images in a folder cannot be signed", "hint: "]);
    signed.scratch.commit("a slip", "kustomize/signing.yaml", "mode: keys\n");
    for place in [["--layout", "images"], ["--image", &image]] {
        let told = ["kustomize/signing.yaml cannot be read", "hint: "];
        says(&release(&signed.scratch, &place), 1, &told);
    }
    // Where nothing is demanded, the model is what is missing.
    signed.scratch.commit("off", "kustomize/signing.yaml", "mode: none\n");
    says(&release(&signed.scratch, &["--image", &image]), 1, &["nowhere"]);
}

#[test]
fn another_cosign_on_the_path_is_not_asked() {
    let signed = Signed::new();
    signed.scratch.verified("staging", &signed.push("1.0.0"));
    let folder = signed.scratch.path("bin");
    fs_err::create_dir(&folder).unwrap();
    // One that calls everything signed.
    fs_err::write(folder.join("cosign"), "#!/bin/sh\nexit 0\n").unwrap();
    run(command("chmod", &folder).args(["+x", "cosign"])).success();
    let inherited = std::env::var_os("PATH").unwrap();
    let mut promote = command(repo::xtask(), &signed.scratch.path("clone"));
    promote.env("PATH", [folder.as_os_str(), inherited.as_os_str()].join(":".as_ref()));
    let promoted = run(promote.args(["promote", "--from", "staging", "--to", "production"]));
    says(&promoted, 3, &["the signature of the image to run is missing or not valid"]);
}
