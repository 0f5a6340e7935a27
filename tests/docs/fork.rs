//! [`Fork`]: somebody's clone with a bare remote, in which a document's commands are typed into a shell. `cargo` is
//! the built `xtask`, and `gh` is stood in for: what it is asked for is held against the workflows.

use std::collections::BTreeMap;
use std::path::PathBuf;

use e2e::artifact::Claims;
use e2e::process::{self, Ended, run};
use e2e::repo;
use gitops::pin::Pin;
use serde_json::Value;

use crate::commands::Command;
use crate::runner::{Runner, workflow};
use crate::scratch::{PASSED, Scratch, WRONG_MODEL, environment, event, pin};
use crate::table::{Executed, Table};

/// `xtask` is there, and `mlops` is built, which it hands some commands to.
const CARGO: &str = "#!/bin/sh\ncase \"$*\" in\n  xtask*) shift; exec \"$XTASK\" \"$@\" ;;\n  build*mlops) cd \"$CHECKOUT\" && exec \"$CARGO\" \"$@\" ;;\n  *) exit 99 ;;\nesac\n";
const GH: &str = "#!/bin/sh\ncase \"$1 $2\" in\n  'secret set') cat > /dev/null ;;\n  'variable set' | 'workflow run') ;;\n  *) exit 99 ;;\nesac\n";
/// What answers to a `--help` that comes last, after it has read what stands before.
const TALKATIVE: [&str; 5] = ["argocd", "cargo xtask", "docker", "gh", "kubectl"];

pub(crate) struct Fork {
    scratch: Scratch,
    placeholders: BTreeMap<String, String>,
    released: u32,
}

impl Fork {
    pub(crate) fn new(table: &Table) -> Self {
        let scratch = Scratch::new();
        for (folder, name, text) in [("programs", "cargo", CARGO), ("github", "gh", GH)] {
            let folder = scratch.path(folder);
            fs_err::create_dir(&folder).unwrap();
            fs_err::write(folder.join(name), text).unwrap();
            run(process::command("chmod", &folder).args(["+x", name])).success();
        }
        if let Some(cosign) = std::env::var_os("E2E_COSIGN") {
            std::os::unix::fs::symlink(cosign, scratch.path("programs/cosign")).unwrap();
        }
        let mut copy = process::command("cp", &repo::root());
        copy.args(["-R", "--parents", "argocd", "monitoring", ".github", "tests/golden"]);
        run(copy
            .arg("model/gate.yaml")
            .arg("model/task.yaml")
            .arg("model/studies")
            .arg(scratch.path("human")))
        .success();
        scratch.git("human", &["add", "."]);
        scratch.git("human", &["commit", "--quiet", "-m", "all that names the repository"]);
        scratch.git("human", &["push", "--quiet", "origin", "main"]);
        scratch.git("clone", &["pull", "--quiet", "--ff-only"]);
        Self { scratch, placeholders: table.placeholders.clone(), released: 0 }
    }

    pub(crate) fn execute(&mut self, Command { place, text }: &Command, entry: &Executed) {
        if let Some(given) = &entry.given {
            self.provide(given);
        }
        let mut typed = self.filled(text);
        for (from, to) in &entry.but {
            assert!(typed.contains(from), "{place}: `{from}` is not in `{typed}`");
            typed = typed.replace(from, to);
        }
        let ended = run(&mut self.shell(&["github", "programs"], &typed));
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let code = ended.code.unwrap_or(-1);
        assert!(entry.ends.contains(&code), "{place}: `{typed}` ended with {code}:\n{said}");
        for words in &entry.says {
            let words = self.filled(words);
            assert!(said.contains(&words), "{place}: `{typed}` does not say `{words}`:\n{said}");
        }
        self.ask_github(place, &typed);
    }

    /// Fails unless the program reads all of it. Whether there was one to be asked.
    pub(crate) fn understands(&self, text: &str) -> bool {
        let root = repo::root();
        for path in text.split(' ').filter(|word| word.starts_with("argocd/")) {
            assert!(root.join(path).exists(), "`{text}`: {path} is not there");
        }
        let Some(ended) = self.help(text) else { return false };
        assert_eq!(ended.code, Some(0), "`{text}`: {}", ended.stderr);
        true
    }

    /// None where the program cannot be asked here.
    pub(crate) fn help(&self, text: &str) -> Option<Ended> {
        let program = TALKATIVE.iter().find(|program| text.starts_with(**program))?;
        let program = program.split(' ').next().unwrap_or_default();
        let there = run(&mut self.shell(&["programs"], &format!("command -v {program}")));
        if there.code != Some(0) {
            return None;
        }
        // What stands behind `--` is another program's.
        let own = text.split(" -- ").next().unwrap_or(text);
        Some(run(&mut self.shell(&["programs"], &format!("{} --help", self.filled(own)))))
    }

    fn shell(&self, first: &[&str], text: &str) -> std::process::Command {
        let mut bash = process::command("bash", &self.scratch.path("clone"));
        bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", text]);
        let folders = first.iter().map(|name| self.scratch.path(name).into_os_string());
        let mut path: Vec<_> = folders.collect();
        path.extend(std::env::var_os("PATH"));
        bash.env("PATH", path.join(":".as_ref())).env("XTASK", repo::xtask());
        bash.env("CHECKOUT", repo::root());
        bash.env("COSIGN_PASSWORD", "a password").env("DOCKER_CONFIG", self.scratch.path(""));
        // No cluster is asked, whatever this machine knows of one.
        bash.env("KUBECONFIG", self.scratch.path("no-cluster"));
        for own in ["XTASK_HOME", "XTASK_CLONE", "XTASK_REMOTE", "http_proxy", "HTTP_PROXY"] {
            bash.env_remove(own);
        }
        bash
    }

    /// With the placeholders' values, where they are whole words.
    fn filled(&self, text: &str) -> String {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let mut filled = String::new();
        for piece in text.split_inclusive(|letter: char| !is_part(letter)) {
            let word = piece.trim_end_matches(|letter: char| !is_part(letter));
            let value = self.placeholders.get(word).map_or(word, String::as_str);
            filled.push_str(value);
            filled.push_str(&piece[word.len()..]);
        }
        filled
    }

    /// What a document takes for granted before one of its commands.
    fn provide(&mut self, given: &str) {
        match given.split(' ').collect::<Vec<_>>()[..] {
            ["verified", environment] => {
                if Pin::from_yaml(&self.scratch.on_main(&pin_file(environment))).is_err() {
                    let pin = self.next();
                    self.scratch.release(environment, &pin);
                }
                let head = self.scratch.git("remote", &["rev-parse", "main"]);
                self.scratch.report(&event(environment, &head, PASSED)).success();
            }
            ["two", environment] => {
                let pins = [self.next(), self.next()];
                for pin in &pins {
                    self.scratch.verified(environment, pin);
                }
                let first = pins[0].app_version.as_str().to_owned();
                self.placeholders.insert("VERSION".to_owned(), first);
            }
            ["quarantined", environment] => {
                self.provide(&format!("two {environment}"));
                let bad = self.next();
                let change = self.scratch.release(environment, &bad);
                self.scratch.report(&event(environment, &change, WRONG_MODEL)).success();
                self.placeholders.insert("DIGEST".to_owned(), bad.image.digest().to_string());
            }
            ["frozen", environment] => {
                self.scratch.xtask(&["freeze", environment, "--reason", "because"]).success();
                self.scratch.git("clone", &["pull", "--quiet", "--ff-only"]);
            }
            ["artifact"] => {
                let artifacts = self.scratch.path("clone/artifacts");
                let folder = Claims::good("candidate").write(&artifacts);
                std::os::unix::fs::symlink(folder, artifacts.join("latest")).unwrap();
            }
            ["file", name] => fs_err::write(self.clone_path(name), "a secret").unwrap(),
            ["object", kind, name] => {
                let kind = if kind == "secret" { "secret generic" } else { kind };
                let create = format!("kubectl create {kind} {name} --dry-run=client -o yaml");
                let object = run(&mut self.shell(&[], &create));
                fs_err::write(self.scratch.path("object.yaml"), object.success().stdout).unwrap();
            }
            _ => panic!("nobody knows how to provide `{given}`"),
        }
    }

    fn next(&mut self) -> Pin {
        self.released += 1;
        pin(&format!("1.{}.0", self.released))
    }

    fn clone_path(&self, name: &str) -> PathBuf {
        self.scratch.path("clone").join(name)
    }

    /// What a workflow, a variable or a secret must be for GitHub to do as told; and what a workflow does that
    /// neither trains nor builds.
    fn ask_github(&self, place: &str, typed: &str) {
        match typed.split(' ').collect::<Vec<_>>()[..] {
            ["gh", kind @ ("variable" | "secret"), "set", name, ..] => {
                let wanted =
                    format!("{}.{name} ", if kind == "secret" { "secrets" } else { "vars" });
                let release = workflow("release").to_string();
                assert!(release.contains(&wanted), "{place}: no workflow reads {name}");
            }
            ["gh", "workflow", "run", file, ref fields @ ..] => {
                let name = file.strip_suffix(".yml").unwrap_or(file);
                let inputs = inputs(place, &workflow(name), fields);
                let inputs: Vec<_> =
                    inputs.iter().map(|(name, value)| (&**name, &**value)).collect();
                if name != "release" {
                    Runner::new(&self.scratch).run(name, &inputs).succeeds();
                }
            }
            _ => {}
        }
    }
}

/// What the workflow gets, its own defaults included.
fn inputs(place: &str, workflow: &Value, fields: &[&str]) -> BTreeMap<String, String> {
    let declared = workflow["on"]["workflow_dispatch"]["inputs"].as_object().unwrap();
    let default = |input: &Value| input["default"].as_str().map(str::to_owned);
    let mut inputs: BTreeMap<_, _> =
        declared.iter().filter_map(|(name, input)| Some((name.clone(), default(input)?))).collect();
    for pair in fields.chunks(2) {
        let ["--field", field] = pair else { panic!("{place}: {pair:?}") };
        let (name, value) = field.split_once('=').unwrap();
        let input = declared.get(name).unwrap_or_else(|| panic!("{place}: no input `{name}`"));
        let options = input["options"].as_array();
        assert!(options.is_none_or(|all| all.iter().any(|one| one == value)), "{place}: {field}");
        inputs.insert(name.to_owned(), value.to_owned());
    }
    for (name, input) in declared {
        assert!(
            input["required"] != true || inputs.contains_key(name),
            "{place}: {name} is missing"
        );
    }
    inputs
}

fn pin_file(name: &str) -> String {
    environment(name).pin_file()
}
