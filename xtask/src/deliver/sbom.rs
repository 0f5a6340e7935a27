//! [`Sbom`]: what syft found in an image, and what it cannot find: the crates that are compiled into the program,
//! the wheels that libtorch comes from, and the model. These are said by the commit that the image was built from,
//! so the checkout must be at that commit.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde_json::{Value, json};

use crate::deliver::assembly::{MODEL_DIGEST_LABEL, MODEL_VERSION_LABEL};
use crate::repo::Repo;
use crate::report::WithHint;
use crate::tools::cargo;

/// The wheels of libtorch, as pip reads them.
const WHEELS: &str = "xtask/src/libtorch/x86_64-linux.txt";
const UNKNOWN: &str = "NOASSERTION";

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    licence: String,
    /// How the world calls it, where it does: a package URL.
    purl: Option<String>,
    sha256: Option<String>,
}

pub(crate) struct Sbom(Value);

impl Sbom {
    /// `found` is what syft printed of an image with these labels.
    pub(crate) fn complete(
        mut found: Value,
        repo: &Repo,
        repository: &str,
        labels: &BTreeMap<String, String>,
    ) -> anyhow::Result<Self> {
        let root = root(&found).context("syft's document does not say what it describes")?;
        let mut packages = crates(repo)?;
        packages.extend(wheels(&fs_err::read_to_string(repo.path(WHEELS))?));
        packages.extend(model(repository, labels));
        for package in packages {
            let id = package.id();
            let list = |found: &mut Value, name: &str, item: Value| {
                let list = found[name].as_array_mut();
                list.with_context(|| format!("syft's document has no {name}"))
                    .map(|list| list.push(item))
            };
            list(&mut found, "packages", package.spdx())?;
            let relation = json!({ "spdxElementId": root, "relationshipType": "CONTAINS", "relatedSpdxElement": id });
            list(&mut found, "relationships", relation)?;
        }
        Ok(Self(found))
    }

    pub(crate) fn to_json(&self) -> anyhow::Result<Vec<u8>> {
        serde_json::to_vec_pretty(&self.0).context("writing SPDX")
    }

    /// How many packages of each kind there are.
    pub(crate) fn summary(&self) -> String {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for package in self.0["packages"].as_array().into_iter().flatten() {
            let references = package["externalRefs"].as_array().into_iter().flatten();
            let purl = references
                .filter_map(|one| one["referenceLocator"].as_str())
                .find_map(|one| one.strip_prefix("pkg:")?.split('/').next());
            *kinds.entry(purl.unwrap_or("other")).or_default() += 1;
        }
        let kinds: Vec<_> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        kinds.join(", ")
    }
}

/// What the document is about.
fn root(found: &Value) -> Option<String> {
    let mut relations = found["relationships"].as_array()?.iter();
    let describes = relations.find(|one| one["relationshipType"] == "DESCRIBES")?;
    describes["relatedSpdxElement"].as_str().map(str::to_owned)
}

impl Package {
    /// Letters, figures, `.` and `-` are all that SPDX allows.
    fn id(&self) -> String {
        let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        let name: String = format!("{}-{}", self.name, self.version).chars().map(plain).collect();
        let kind = self.purl.as_ref().and_then(|purl| purl.strip_prefix("pkg:")?.split('/').next());
        format!("SPDXRef-{}-{name}", kind.unwrap_or("own"))
    }

    fn spdx(&self) -> Value {
        let mut package = json!({
            "SPDXID": self.id(),
            "name": self.name,
            "versionInfo": self.version,
            "supplier": UNKNOWN,
            "downloadLocation": UNKNOWN,
            "filesAnalyzed": false,
            "licenseConcluded": UNKNOWN,
            "licenseDeclared": self.licence,
            "copyrightText": UNKNOWN,
        });
        if let Some(purl) = &self.purl {
            let reference = json!({ "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl });
            package["externalRefs"] = json!([reference]);
        }
        if let Some(sha256) = &self.sha256 {
            package["checksums"] = json!([{ "algorithm": "SHA256", "checksumValue": sha256 }]);
        }
        package
    }
}

/// Everything that is compiled into the service, as Cargo.lock has it.
fn crates(repo: &Repo) -> anyhow::Result<BTreeSet<Package>> {
    let tree = cargo::cargo(repo)
        .args(["tree", "--locked", "--package", "app", "--edges", "normal,no-proc-macro"])
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p}\t{l}"]);
    let listed = tree.read().hint("does `cargo build --locked` find every crate?")?;
    let crates: Option<_> = listed.lines().filter(|line| !line.is_empty()).map(of_tree).collect();
    crates.with_context(|| format!("`{tree}` printed something else"))
}

/// `NAME vVERSION (PATH)\tLICENCE`, the path of those that are ours.
fn of_tree(line: &str) -> Option<Package> {
    let (name, licence) = line.split_once('\t')?;
    let mut words = name.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    let is_ours = words.any(|word| word.starts_with("(/"));
    // Older crates separate licences by a slash, which SPDX does not know.
    let licence = licence.replace('/', " OR ");
    Some(Package {
        name: name.to_owned(),
        version: version.to_owned(),
        licence: if licence.is_empty() { UNKNOWN.to_owned() } else { licence },
        purl: (!is_ours).then(|| format!("pkg:cargo/{name}@{version}")),
        sha256: None,
    })
}

/// `NAME==VERSION --hash=…`, a line each. The hash is the wheel's, of which only some files are taken.
fn wheels(text: &str) -> impl Iterator<Item = Package> {
    text.lines().filter_map(|line| {
        let (name, version) = line.split(' ').next()?.split_once("==")?;
        Some(Package {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: UNKNOWN.to_owned(),
            purl: Some(format!("pkg:pypi/{name}@{version}")),
            sha256: None,
        })
    })
}

fn model(repository: &str, labels: &BTreeMap<String, String>) -> Option<Package> {
    let name = repository.rsplit('/').next()?;
    Some(Package {
        name: format!("{name}-model"),
        version: labels.get(MODEL_VERSION_LABEL)?.clone(),
        licence: UNKNOWN.to_owned(),
        purl: None,
        sha256: Some(labels.get(MODEL_DIGEST_LABEL)?.strip_prefix("sha256:")?.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_read_with_its_licence_and_ours_has_no_package_url() {
        let one = of_tree("serde_yaml v0.9.34+deprecated\tMIT/Apache-2.0").unwrap();
        assert_eq!(one.purl.as_deref(), Some("pkg:cargo/serde_yaml@0.9.34+deprecated"));
        assert_eq!(one.licence, "MIT OR Apache-2.0");
        assert_eq!(one.id(), "SPDXRef-cargo-serde-yaml-0-9-34-deprecated");
        let ours = of_tree("contract v0.1.0 (/home/a/model/contract)\tMIT OR Apache-2.0").unwrap();
        assert_eq!((ours.purl, ours.version.as_str()), (None, "0.1.0"));
        assert_eq!(of_tree("error: no such package"), None);
    }
}
