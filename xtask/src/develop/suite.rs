//! What is checked and tested, as data: tiers, cheapest first, each with the commands it runs and what
//! it needs that a machine may lack.
//!
//! A test is slow where it costs more than a change is likely to break it: `#[ignore = "slow: …"]` says what it takes,
//! and a faster one guards the same code.

use crate::develop::requirement::Requirement;
use crate::process::Cmd;
use crate::repo::Repo;
use crate::tools::cargo::{self, LIBTORCH_PACKAGES, packages};
use crate::tools::{cargo_deny, cargo_fuzz, collector, cosign};

/// Packages that build without libtorch.
const LIGHT_PACKAGES: [&str; 9] =
    ["chart", "contract", "gitops", "listen", "mlops", "protocol", "xtask", "fuzz", "e2e"];

pub(crate) struct Tier {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [Requirement],
    pub(crate) commands: Vec<Cmd>,
}

pub(crate) struct Suite<'a> {
    pub(crate) repo: &'a Repo,
    /// Also the tests that are.
    pub(crate) slow: bool,
}

impl Suite<'_> {
    /// Seconds to few minutes, no libtorch.
    pub(crate) fn checks(&self) -> Vec<Tier> {
        let cargo = || cargo::cargo(self.repo);
        vec![
            Tier {
                name: "format",
                needs: &[],
                commands: vec![cargo().args(["fmt", "--all", "--check"])],
            },
            Tier {
                name: "lint",
                needs: &[],
                commands: vec![
                    cargo()
                        .args(["clippy", "--quiet", "--locked", "--all-targets"])
                        .args(packages(&LIGHT_PACKAGES))
                        .args(["--", "--deny", "warnings"]),
                ],
            },
            Tier {
                name: "licences",
                needs: &[Requirement::CargoDeny],
                // Not advisories: cargo-deny fetches their database, and a test runs without the network.
                commands: vec![cargo_deny::licences(self.repo)],
            },
            Tier { name: "boundaries", needs: &[], commands: vec![self.e2e("boundaries", &[])] },
            Tier {
                name: "manifests",
                needs: &[Requirement::Kubernetes],
                commands: vec![
                    self.e2e("delivery", &["manifests::", "adoption::", "doctor::"]),
                    self.e2e("components", &[]),
                    self.e2e("tune", &["job::"]),
                ],
            },
            Tier {
                name: "argocd",
                needs: &[Requirement::ArgoCd],
                commands: vec![self.e2e("argocd", &[])],
            },
            Tier {
                name: "monitoring",
                needs: &[Requirement::Promtool],
                commands: vec![self.e2e("monitoring", &["--skip", "served::"])],
            },
            Tier {
                name: "workflows",
                needs: &[Requirement::Workflows],
                commands: vec![
                    Requirement::actionlint(self.repo),
                    self.e2e(
                        "workflows",
                        &["--skip", "release_trains", "--skip", "private_data::"],
                    ),
                ],
            },
        ]
    }

    /// Unit tests of everything that needs no libtorch, the loop on real repositories, and the documents' commands.
    pub(crate) fn light(&self) -> [Tier; 4] {
        let packages = packages(&LIGHT_PACKAGES[..8]);
        [
            Tier {
                name: "light",
                needs: &[],
                commands: vec![self.tests(
                    cargo::cargo(self.repo).args(["test", "--quiet", "--locked"]).args(packages),
                    &[],
                )],
            },
            Tier { name: "loop", needs: &[], commands: vec![self.e2e("loop", &[])] },
            Tier {
                name: "listen",
                needs: &[],
                commands: vec![
                    cargo::cargo(self.repo).args([
                        "build",
                        "--quiet",
                        "--locked",
                        "--package",
                        "listen",
                    ]),
                    self.e2e("listen", &[]),
                ],
            },
            Tier {
                name: "documents",
                needs: &[Requirement::Kubernetes, Requirement::Kubectl, Requirement::Cosign],
                commands: vec![self.e2e("docs", &[])],
            },
        ]
    }

    /// Checks that need libtorch: lints of the packages that do, and what only the built service can print.
    pub(crate) fn libtorch_checks(&self) -> [Tier; 2] {
        let cargo = || cargo::cargo(self.repo);
        [
            Tier {
                name: "lint libtorch",
                needs: &[Requirement::Libtorch],
                commands: vec![
                    cargo()
                        .args(["clippy", "--quiet", "--release", "--locked", "--all-targets"])
                        .args(packages(&LIBTORCH_PACKAGES))
                        .args(["--", "--deny", "warnings"]),
                ],
            },
            Tier {
                name: "generated",
                needs: &[Requirement::Libtorch],
                commands: vec![
                    cargo::binary_of(self.repo, "app", "mnist-api").arg("--quiet"),
                    self.e2e("generated", &[]),
                ],
            },
        ]
    }

    /// Everything that trains, serves, or drives another program that does.
    pub(crate) fn full(&self) -> Vec<Tier> {
        let mut tiers = self.training_to_delivery();
        tiers.extend(self.over_the_years());
        tiers.extend(self.with_others());
        tiers
    }

    fn training_to_delivery(&self) -> Vec<Tier> {
        use Requirement::{Alertmanager, Cosign, Data, Kubernetes, Libtorch, Registry};
        vec![
            Tier {
                name: "libtorch",
                needs: &[Libtorch],
                commands: vec![
                    self.tests(
                        cargo::cargo(self.repo)
                            .args(["test", "--quiet", "--release", "--locked"])
                            .args(packages(&LIBTORCH_PACKAGES)),
                        &[],
                    ),
                    // As they are shipped: those of the tests have what tests want of dependencies.
                    cargo::binary_of(self.repo, "app", "mnist-api").arg("--quiet"),
                    cargo::binary_of(self.repo, "model", "model").arg("--quiet"),
                ],
            },
            Tier {
                name: "training",
                needs: &[Libtorch, Data],
                commands: vec![self.e2e("training", &[])],
            },
            Tier {
                name: "serving",
                needs: &[Libtorch, Data],
                commands: vec![self.e2e("serving", &[])],
            },
            Tier {
                name: "alerts",
                needs: &[Libtorch, Data, Alertmanager],
                commands: vec![self.e2e("monitoring", &["served::"])],
            },
            Tier {
                name: "signing",
                needs: &[Registry, Cosign],
                commands: vec![self.e2e("delivery", &["signing::"])],
            },
            Tier {
                name: "bill",
                needs: &[Requirement::Syft, Requirement::CargoDeny, Registry],
                commands: vec![self.e2e("delivery", &["scan::"])],
            },
            Tier {
                name: "release",
                needs: &[Libtorch, Data],
                commands: vec![
                    self.e2e("release", &[]),
                    self.e2e("workflows", &["release_trains"]),
                ],
            },
            Tier {
                name: "demo",
                needs: &[Libtorch, Data, Kubernetes],
                commands: vec![self.e2e("demo", &[]), self.e2e("drill", &[])],
            },
        ]
    }

    /// Of `mlops`.
    fn over_the_years(&self) -> Vec<Tier> {
        use Requirement::{Data, Dvc, Feast, Libtorch, Mlflow};
        vec![
            Tier {
                name: "drift",
                needs: &[Libtorch, Data],
                commands: vec![self.e2e("drift", &[])],
            },
            Tier {
                name: "retrain",
                needs: &[Libtorch, Data],
                commands: vec![self.mlops(), self.e2e("retrain", &["--skip", "pod::"])],
            },
            Tier {
                name: "replay",
                needs: &[Libtorch, Data],
                commands: vec![self.e2e("replay", &[])],
            },
            Tier {
                name: "versioned",
                needs: &[Dvc],
                commands: vec![
                    self.mlops(),
                    self.e2e("versioned", &[]),
                    self.e2e("workflows", &["private_data::"]),
                ],
            },
            Tier {
                name: "tune",
                needs: &[Libtorch, Dvc],
                commands: vec![self.mlops(), self.e2e("tune", &["--skip", "job::"])],
            },
            Tier {
                name: "features",
                needs: &[Feast],
                commands: vec![self.mlops(), self.e2e("features", &[])],
            },
            Tier {
                name: "tracking",
                needs: &[Libtorch, Mlflow],
                commands: vec![self.mlops(), self.e2e("tracking", &[])],
            },
        ]
    }

    /// What others made, and what they may bring.
    fn with_others(&self) -> Vec<Tier> {
        use Requirement::{Browser, Collector, Data, InferenceClients, Libtorch, PythonTorch};
        vec![
            Tier {
                name: "second task",
                needs: &[Libtorch],
                commands: vec![self.e2e("second_task", &[])],
            },
            Tier {
                name: "browser",
                needs: &[Libtorch, Data, Browser],
                commands: vec![self.e2e("browser", &[])],
            },
            Tier {
                name: "python",
                needs: &[Libtorch, Data, PythonTorch],
                commands: vec![self.e2e("python", &[])],
            },
            Tier {
                name: "clients",
                needs: &[Libtorch, Data, InferenceClients],
                commands: vec![self.e2e("clients", &[]), self.e2e("conformance", &[])],
            },
            Tier {
                name: "traces",
                needs: &[Libtorch, Data, Collector],
                commands: vec![self.e2e("traces", &[])],
            },
        ]
    }

    /// Tiers of which every test is slow.
    pub(crate) fn slow(&self) -> Vec<Tier> {
        use Requirement::{Cosign, Data, Engine, Libtorch, Registry};
        vec![Tier {
            name: "image",
            needs: &[Libtorch, Data, Engine, Registry, Cosign],
            commands: vec![
                self.mlops(),
                self.e2e("delivery", &["image::"]),
                self.e2e("retrain", &["pod::"]),
            ],
        }]
    }

    /// Each target for so many seconds.
    pub(crate) fn fuzz(&self, seconds: u32) -> anyhow::Result<Tier> {
        let commands = cargo_fuzz::campaign(self.repo, seconds)?;
        Ok(Tier { name: "fuzz", needs: &[Requirement::CargoFuzz], commands })
    }

    /// On a real cluster, with images in `repository`.
    pub(crate) fn cluster(&self, repository: &str) -> Tier {
        use Requirement::{Cluster, Data, Dvc, Engine, Kubernetes, Libtorch};
        Tier {
            name: "cluster",
            needs: &[Libtorch, Data, Dvc, Kubernetes, Engine, Cluster],
            commands: vec![
                self.mlops(),
                self.e2e("cluster", &[]).env("E2E_CLUSTER_IMAGE", repository),
            ],
        }
    }

    /// Where tests start it themselves.
    fn mlops(&self) -> Cmd {
        cargo::binary_of(self.repo, "mlops", "mlops").arg("--quiet")
    }

    /// Those that a name has a part of, all where none is said. What comes last is for the tests themselves.
    fn tests(&self, cargo_test: Cmd, which: &[&str]) -> Cmd {
        let slow: &[&str] = if self.slow { &["--include-ignored"] } else { &[] };
        cargo_test.arg("--").args(which).args(slow)
    }

    /// Tests of one binary of `tests/`: by parts of their names, all where none is said. The packages are those of
    /// `light`, so that what they share is compiled once.
    fn e2e(&self, binary: &str, which: &[&str]) -> Cmd {
        let tests = cargo::cargo(self.repo)
            .args(["test", "--quiet", "--locked"])
            .args(packages(&LIGHT_PACKAGES))
            .args(["--test", binary]);
        self.tests(tests, which)
            .env("E2E_PYTHON", Requirement::torch_python())
            .env("E2E_CLIENTS_PYTHON", Requirement::clients_python())
            .env("E2E_COLLECTOR", collector::program())
            .env("E2E_DVC_PYTHON", Requirement::dvc_python())
            .env("E2E_FEAST_PYTHON", Requirement::feast_python())
            .env("E2E_MLFLOW_PYTHON", Requirement::mlflow_python())
            .env("E2E_COSIGN", cosign::program())
            .env("XTASK_HOME", self.repo.home())
    }
}
