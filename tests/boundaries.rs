//! The boundaries that ARCHITECTURE.md draws, each as a check.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use e2e::process::{command, run};
use e2e::repo;
use serde::Deserialize;
use serde_json::Value;

/// Packages that must build on a machine without libtorch.
const WITHOUT_LIBTORCH: [&str; 9] =
    ["chart", "contract", "gitops", "listen", "mlops", "protocol", "xtask", "fuzz", "e2e"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Budgets {
    xtask_crates: usize,
    file_lines: usize,
    readme_lines: usize,
    architecture_lines: usize,
}

fn budgets() -> Budgets {
    let text = fs_err::read_to_string(repo::root().join("tests/budgets.yaml")).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

/// The resolved dependency graph, development dependencies left out.
struct Graph {
    names: BTreeMap<String, String>,
    edges: BTreeMap<String, Vec<String>>,
    members: BTreeSet<String>,
}

impl Graph {
    fn read() -> Self {
        let mut cargo = command("cargo", &repo::root());
        cargo.args(["metadata", "--locked", "--format-version", "1"]);
        cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
        let metadata: Value = serde_json::from_str(&run(&mut cargo).success().stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let list = |value: &Value| value.as_array().unwrap().clone();
        let is_used = |dep: &Value| {
            list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].as_str() != Some("dev"))
        };
        Self {
            names: list(&metadata["packages"])
                .iter()
                .map(|package| (text(&package["id"]), text(&package["name"])))
                .collect(),
            edges: list(&metadata["resolve"]["nodes"])
                .iter()
                .map(|node| {
                    let deps = list(&node["deps"]);
                    let used = deps.iter().filter(|dep| is_used(dep)).map(|dep| text(&dep["pkg"]));
                    (text(&node["id"]), used.collect())
                })
                .collect(),
            members: list(&metadata["workspace_members"]).iter().map(text).collect(),
        }
    }

    fn id(&self, name: &str) -> &str {
        let member = self.members.iter().find(|id| self.names[*id] == name);
        member.unwrap_or_else(|| panic!("no package {name}"))
    }

    /// Names of everything that `package` is built from, itself included.
    fn reaches(&self, package: &str) -> BTreeSet<(&str, &str)> {
        let mut seen = BTreeSet::new();
        let mut open = vec![self.id(package)];
        while let Some(id) = open.pop() {
            if seen.insert((self.names[id].as_str(), id)) {
                open.extend(self.edges[id].iter().map(String::as_str));
            }
        }
        seen
    }
}

#[test]
fn packages_for_everyone_do_not_reach_libtorch() {
    let graph = Graph::read();
    for package in WITHOUT_LIBTORCH {
        for (name, _) in graph.reaches(package) {
            assert!(!["tch", "torch-sys"].contains(&name), "{package} reaches {name}");
        }
    }
    // The check itself would be worthless if it could not see libtorch.
    assert!(graph.reaches("app").iter().any(|(name, _)| *name == "torch-sys"));
}

#[test]
fn only_the_model_names_tch() {
    let graph = Graph::read();
    for id in &graph.members {
        let names_tch = graph.edges[id].iter().any(|dep| graph.names[dep] == "tch");
        assert_eq!(names_tch, graph.names[id] == "model", "{}", graph.names[id]);
    }
}

/// What takes requests from a network decides nothing, so it needs nothing that does.
#[test]
fn the_receiver_of_reports_depends_on_nothing_of_ours() {
    let graph = Graph::read();
    let ours = |id: &&str| graph.members.contains(*id);
    let reached: Vec<&str> = graph.reaches("listen").into_iter().map(|(_, id)| id).collect();
    assert_eq!(reached.into_iter().filter(ours).collect::<Vec<_>>(), [graph.id("listen")]);
}

#[test]
fn xtask_stays_small() {
    // Not the graph: it holds every feature that any package of the workspace asks for.
    let mut tree = command("cargo", &repo::root());
    tree.args(["tree", "--locked", "--package", "xtask", "--edges", "normal,build"]);
    tree.args(["--prefix", "none", "--no-dedupe"]);
    let listed = run(&mut tree).success().stdout;
    let crates = listed.lines().collect::<BTreeSet<_>>().len();
    assert!(crates <= budgets().xtask_crates, "xtask is built from {crates} crates");
}

#[test]
fn every_package_inherits_the_lints() {
    for manifest in files(|path| path.file_name().is_some_and(|name| name == "Cargo.toml")) {
        let text = fs_err::read_to_string(&manifest).unwrap();
        let holds = text.contains("[workspace]") || text.contains("[lints]\nworkspace = true");
        assert!(holds, "{}", manifest.display());
    }
}

#[test]
fn only_named_modules_of_xtask_start_programs() {
    for (folder, only) in [
        ("xtask/src", &["src/process.rs"][..]),
        ("xtask/listen/src", &["src/command.rs"]),
        ("xtask/mlops/src", &["data/git.rs", "tune/trainer.rs"]),
    ] {
        for file in rust_files_under(folder) {
            let text = fs_err::read_to_string(&file).unwrap();
            let starts = text.contains("duct::") || text.contains("process::Command");
            let is_named = only.iter().any(|only| file.ends_with(only));
            assert_eq!(starts, is_named, "{}", file.display());
        }
    }
}

#[test]
fn nothing_outside_the_model_knows_what_is_classified() {
    let words = ["mnist", "digit", "784", "28x28", "28×28"];
    // The words themselves, and names of what is deployed.
    let excepted = ["tests/boundaries.rs", "tests/delivery", "tests/argocd.rs", "tests/cluster"]
        .map(|path| repo::root().join(path));
    let is_excepted = |file: &PathBuf| excepted.iter().any(|path| file.starts_with(path));
    for folder in ["app/src", "app/protocol/src", "xtask/src", "xtask/listen/src", "tests"] {
        for file in rust_files_under(folder).into_iter().filter(|file| !is_excepted(file)) {
            let text = fs_err::read_to_string(&file).unwrap().to_lowercase();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            // The name of the service's binary is a name, and a hex digit is not handwriting.
            let code =
                code.replace("mnist-api", "").replace("mnist_api", "").replace("hex digit", "");
            for line in code.lines().filter(|line| !line.contains("`mnist_mirror`")) {
                let word = words.iter().find(|word| line.contains(*word));
                assert!(word.is_none(), "{}: `{}`", file.display(), line.trim());
            }
        }
    }
}

#[test]
fn files_stay_short_enough_to_read() {
    let budgets = budgets();
    let check = |path: &Path, most: usize| {
        let lines = fs_err::read_to_string(path).unwrap().lines().count();
        assert!(lines <= most, "{} has {lines} lines, {most} are allowed", path.display());
    };
    for file in files(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        check(&file, budgets.file_lines);
    }
    check(&repo::root().join("README.md"), budgets.readme_lines);
    check(&repo::root().join("ARCHITECTURE.md"), budgets.architecture_lines);
}

#[test]
fn the_documents_name_only_commands_that_exist() {
    let help = run(command(repo::xtask(), &repo::root()).arg("--help")).success().stdout;
    let commands: BTreeSet<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for file in files(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let text = fs_err::read_to_string(&file).unwrap();
        for after in text.split("cargo xtask ").skip(1) {
            let name: String =
                after.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            let known = name.is_empty() || name == "-" || commands.contains(name.as_str());
            assert!(known || name.starts_with("--"), "{}: cargo xtask {name}", file.display());
        }
    }
}

fn rust_files_under(folder: &str) -> Vec<PathBuf> {
    let folder = repo::root().join(folder);
    let found = files(|path| {
        path.starts_with(&folder) && path.extension().is_some_and(|extension| extension == "rs")
    });
    assert!(!found.is_empty(), "no Rust files under {}", folder.display());
    found
}

/// Files that Git tracks or would track.
fn files(wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let root = repo::root();
    let mut git = command("git", &root);
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = run(&mut git).success().stdout;
    listed
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(|name| root.join(name))
        .filter(|path| path.is_file() && wanted(path))
        .collect()
}
