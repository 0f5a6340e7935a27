//! What is in an image, by real syft and real cargo-deny: over layouts written here as any tool may write them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use contract::digest::Digest;
use e2e::process::{Ended, command, run, xtask};
use e2e::registry::Registry;
use gitops::image_reference::ImageReference;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::scratch::says;

/// A package that an image's base has, as Debian writes it down.
const BASE: &str = "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\nArchitecture: amd64\n\
    Maintainer: Somebody <somebody@example.org>\nDescription: a library\n";
const MODEL: &str = "3f2a00000000";

struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        fs_err::create_dir_all(world.path("images/blobs/sha256")).unwrap();
        fs_err::write(world.path("images/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
            .unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        self.path("images/blobs/sha256").join(digest.hex())
    }

    fn add_blob(&self, kind: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs_err::write(self.blob(digest), bytes).unwrap();
        let media_type = format!("application/vnd.oci.image.{kind}");
        json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() })
    }

    fn layer(&self) -> Vec<u8> {
        let status = self.path("root/var/lib/dpkg/status");
        fs_err::create_dir_all(status.parent().unwrap()).unwrap();
        fs_err::write(&status, BASE).unwrap();
        let release = self.path("root/etc/os-release");
        fs_err::create_dir_all(release.parent().unwrap()).unwrap();
        fs_err::write(release, "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian\"\n").unwrap();
        let tar =
            ["--create", "--mtime=@0", "--sort=name", "--file", "layer.tar", "-C", "root", "."];
        run(command("tar", self.folder.path()).args(tar)).success();
        fs_err::read(self.path("layer.tar")).unwrap()
    }

    /// An image of the program at a commit, beside another one in the same folder.
    fn add(&self, revision: &str, version: &str) -> ImageReference {
        let layer = self.add_blob("layer.v1.tar", &self.layer());
        let labels = labels(revision, version);
        let config = json!({ "architecture": "amd64", "os": "linux", "config": { "Labels": labels },
            "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] } });
        let config = self.add_blob("config.v1+json", config.to_string().as_bytes());
        self.add_manifest(&json!({ "schemaVersion": 2, "config": config, "layers": [layer] }))
    }

    fn add_manifest(&self, manifest: &Value) -> ImageReference {
        let manifest = self.add_blob("manifest.v1+json", manifest.to_string().as_bytes());
        let index = json!({ "schemaVersion": 2, "manifests": [manifest, manifest] });
        fs_err::write(self.path("images/index.json"), index.to_string()).unwrap();
        format!("mnist-api:1@{}", manifest["digest"].as_str().unwrap()).parse().unwrap()
    }

    /// Of the program that this checkout builds.
    fn ours(&self) -> ImageReference {
        let (revision, version) = self.checkout();
        self.add(&revision, &version)
    }

    /// Revision and version of what this checkout builds, which a refusal tells.
    fn checkout(&self) -> (String, String) {
        let strange = self.scan(&self.add("unknown", "0.0.0"), &["--offline"]);
        says(&strange, 3, &["the image holds 0.0.0, and the checkout 0.1.0-", "hint: git switch"]);
        assert!(!self.path("sbom.json").exists());
        let (_, version) = strange.stderr.split_once("and the checkout ").unwrap();
        let version = version.split_whitespace().next().unwrap();
        let commit = version.split('-').nth(1).unwrap();
        let mut git = command("git", &e2e::repo::root());
        let revision = run(git.args(["rev-parse", commit])).success().stdout;
        (revision.trim_end().to_owned(), version.to_owned())
    }

    fn scan(&self, image: &ImageReference, args: &[&str]) -> Ended {
        let images = self.path("images").display().to_string();
        self.scan_in_registry(image, &[&["--layout", &images], args].concat())
    }

    fn scan_in_registry(&self, image: &ImageReference, args: &[&str]) -> Ended {
        let mut scan = xtask(&self.path("home"));
        scan.args(["image", "scan", &image.to_string()]).args(args);
        // Port 9 of this machine is `discard`, where nothing listens.
        scan.env("HTTPS_PROXY", "http://127.0.0.1:9").env("https_proxy", "http://127.0.0.1:9");
        scan.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        scan.env("CI", "false").env("DOCKER_CONFIG", self.path(""));
        run(scan.arg("--output").arg(self.path("sbom.json")))
    }
}

fn labels(revision: &str, version: &str) -> Value {
    json!({ "org.opencontainers.image.revision": revision,
        "org.opencontainers.image.version": version, "mnist-api.model.version": MODEL,
        "mnist-api.model.digest": Digest::of(b"model").to_string() })
}

#[test]
fn the_bill_has_what_syft_finds_and_what_it_cannot_see() {
    let world = World::new();
    let image = world.ours();
    let ended = world.scan(&image, &["--offline"]);
    says(&ended, 0, &["it has ", "licences: nothing found", "advisories: not looked for"]);
    assert_eq!(ended.stdout.trim_end(), world.path("sbom.json").display().to_string());

    let json = fs_err::read(world.path("sbom.json")).unwrap();
    assert!(!String::from_utf8_lossy(&json).contains(env!("CARGO_MANIFEST_DIR")));
    let bill: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(bill["spdxVersion"], "SPDX-2.3");
    let packages = bill["packages"].as_array().unwrap();
    let find = |name: &str| {
        let found = packages.iter().find(|package| package["name"] == name);
        found.unwrap_or_else(|| panic!("{name} is not in it"))
    };
    assert_eq!(find("libc6")["versionInfo"], "2.36-9");
    let poem = find("poem");
    assert_eq!(poem["externalRefs"][0]["referenceLocator"], "pkg:cargo/poem@3.1.12");
    assert!(poem["licenseDeclared"].as_str().unwrap().contains("Apache-2.0"), "{poem}");
    assert_eq!(find("torch")["externalRefs"][0]["referenceLocator"], "pkg:pypi/torch@2.13.0");
    let model = find("mnist-api-model");
    assert_eq!(model["versionInfo"], MODEL);
    assert_eq!(model["checksums"][0]["checksumValue"], Digest::of(b"model").hex());
    // Of the task runner, and no part of the service.
    assert!(packages.iter().all(|package| package["name"] != "duct"));

    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let ids: BTreeSet<String> = packages.iter().map(|package| text(&package["SPDXID"])).collect();
    assert_eq!(ids.len(), packages.len(), "two packages have one name");
    let relations = bill["relationships"].as_array().unwrap();
    let within: BTreeSet<String> = relations
        .iter()
        .filter(|one| {
            one["relationshipType"] == "CONTAINS" || one["relationshipType"] == "DESCRIBES"
        })
        .map(|one| text(&one["relatedSpdxElement"]))
        .collect();
    assert!(ids.is_subset(&within), "{:?}", ids.difference(&within).collect::<Vec<_>>());
}

#[test]
fn an_image_in_a_registry_is_read_by_its_digest_wherever_its_tag_went() {
    let (world, registry) = (World::new(), Registry::start());
    let (revision, version) = world.checkout();
    let digest = registry.push_image("o/api", "1", &labels(&revision, &version), &[world.layer()]);
    registry.push("o/api", "1");
    let image = ImageReference::new(&registry.repository("o/api"), "1", digest).unwrap();
    says(&world.scan_in_registry(&image, &["--offline"]), 0, &["it has ", " deb"]);
    let bill = fs_err::read_to_string(world.path("sbom.json")).unwrap();
    assert!(bill.contains("pkg:cargo/poem@") && bill.contains("libc6"));

    let gone = ImageReference::new(image.repository(), "1", Digest::of(b"another")).unwrap();
    says(&world.scan_in_registry(&gone, &["--offline"]), 3, &["is not there"]);
    drop(registry);
    says(&world.scan_in_registry(&image, &["--offline"]), 75, &["cannot be looked at", "hint: "]);
}

#[test]
fn advisories_that_cannot_be_fetched_are_no_pass() {
    let world = World::new();
    let ended = world.scan(&world.ours(), &[]);
    says(&ended, 75, &["advisories cannot be looked for", "hint: ", "--offline"]);
    assert!(world.path("sbom.json").is_file(), "what was found is not thrown away");
}

#[test]
fn what_is_not_whole_or_not_there_is_refused_before_syft_reads_it() {
    let refused = |world: &World, image: &ImageReference, words: &[&str]| {
        let ended = world.scan(image, &["--offline"]);
        says(&ended, 3, words);
        assert_eq!((ended.stdout.as_str(), world.path("sbom.json").exists()), ("", false));
    };
    let world = World::new();
    let image = world.add("unknown", "0.0.0");
    let other = ImageReference::new("mnist-api", "1", Digest::of(b"another")).unwrap();
    refused(&world, &other, &["is not there, or not whole", "hint: "]);

    let layer = Digest::of(&world.layer());
    let mut bytes = fs_err::read(world.blob(layer)).unwrap();
    bytes[600] ^= 1;
    fs_err::write(world.blob(layer), &bytes).unwrap();
    refused(&world, &image, &[&layer.to_string(), "not whole"]);
    fs_err::remove_file(world.blob(layer)).unwrap();
    refused(&world, &image, &["not whole"]);

    // A path where a digest belongs.
    let secret = json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "size": 1,
        "digest": "sha256:../../../../../../etc/passwd" });
    let manifest = json!({ "schemaVersion": 2, "config": secret, "layers": [secret] });
    refused(&world, &world.add_manifest(&manifest), &["is no image manifest"]);

    fs_err::remove_file(world.path("images/oci-layout")).unwrap();
    let ended = world.scan(&image, &["--offline"]);
    says(&ended, 75, &["is no image layout", "hint: "]);
    for wrong in ["mnist-api:1", "mnist-api", "sha256:0"] {
        let mut scan = xtask(&world.path("home"));
        says(&run(scan.args(["image", "scan", wrong])), 2, &["is not an image reference"]);
    }
}
