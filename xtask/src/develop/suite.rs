//! What is checked and tested, as data: tiers, cheapest first, each with the commands it runs and what
//! it needs that a machine may lack.

use crate::develop::requirement::Requirement;
use crate::process::Cmd;
use crate::repo::Repo;
use crate::tools::cargo::{self, LIBTORCH_PACKAGES};
use crate::tools::{cargo_deny, cargo_fuzz, collector, cosign};

/// Packages that build without libtorch.
const LIGHT_PACKAGES: [&str; 9] =
    ["chart", "contract", "gitops", "listen", "mlops", "protocol", "xtask", "fuzz", "e2e"];

pub(crate) struct Tier {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [Requirement],
    pub(crate) commands: Vec<Cmd>,
}

/// Seconds to few minutes, no libtorch.
pub(crate) fn checks(repo: &Repo) -> Vec<Tier> {
    let cargo = || cargo::cargo(repo);
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
            commands: vec![cargo_deny::licences(repo)],
        },
        Tier { name: "boundaries", needs: &[], commands: vec![e2e(repo, "boundaries")] },
        Tier {
            name: "manifests",
            needs: &[Requirement::Kubernetes],
            commands: vec![
                e2e(repo, "delivery").args(["--", "manifests::", "adoption::", "doctor::"]),
                e2e(repo, "components"),
                e2e(repo, "tune").args(["--", "job::"]),
            ],
        },
        Tier { name: "argocd", needs: &[Requirement::ArgoCd], commands: vec![e2e(repo, "argocd")] },
        Tier {
            name: "monitoring",
            needs: &[Requirement::Promtool],
            commands: vec![e2e(repo, "monitoring").args(["--", "--skip", "served::"])],
        },
        Tier {
            name: "workflows",
            needs: &[Requirement::Workflows],
            commands: vec![
                Requirement::actionlint(repo),
                e2e(repo, "workflows").args([
                    "--",
                    "--skip",
                    "release_trains",
                    "--skip",
                    "private_data::",
                ]),
            ],
        },
    ]
}

/// Unit tests of everything that needs no libtorch, the loop on real repositories, and the documents' commands.
pub(crate) fn light(repo: &Repo) -> [Tier; 4] {
    let packages = packages(&LIGHT_PACKAGES[..8]);
    [
        Tier {
            name: "light",
            needs: &[],
            commands: vec![cargo::cargo(repo).args(["test", "--quiet", "--locked"]).args(packages)],
        },
        Tier { name: "loop", needs: &[], commands: vec![e2e(repo, "loop")] },
        Tier {
            name: "listen",
            needs: &[],
            commands: vec![
                cargo::cargo(repo).args(["build", "--quiet", "--locked", "--package", "listen"]),
                e2e(repo, "listen"),
            ],
        },
        Tier {
            name: "documents",
            needs: &[Requirement::Kubernetes, Requirement::Kubectl, Requirement::Cosign],
            commands: vec![e2e(repo, "docs")],
        },
    ]
}

/// Checks that need libtorch: lints of the packages that do, and what only the built service can print.
pub(crate) fn libtorch_checks(repo: &Repo) -> [Tier; 2] {
    let cargo = || cargo::cargo(repo);
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
                cargo().args(["build", "--quiet", "--release", "--locked", "--package", "app"]),
                e2e(repo, "generated"),
            ],
        },
    ]
}

/// Everything that trains, serves, or drives another program that does.
pub(crate) fn full(repo: &Repo) -> Vec<Tier> {
    use Requirement::{
        Alertmanager, Browser, Collector, Cosign, Data, Dvc, Feast, InferenceClients, Kubernetes,
        Libtorch, Mlflow, PythonTorch, Registry,
    };
    vec![
        Tier {
            name: "libtorch",
            needs: &[Libtorch],
            commands: vec![
                cargo::cargo(repo)
                    .args(["test", "--quiet", "--release", "--locked"])
                    .args(packages(&LIBTORCH_PACKAGES)),
            ],
        },
        Tier { name: "training", needs: &[Libtorch, Data], commands: vec![e2e(repo, "training")] },
        Tier { name: "serving", needs: &[Libtorch, Data], commands: vec![e2e(repo, "serving")] },
        Tier {
            name: "alerts",
            needs: &[Libtorch, Data, Alertmanager],
            commands: vec![e2e(repo, "monitoring").args(["--", "served::"])],
        },
        Tier {
            name: "signing",
            needs: &[Registry, Cosign],
            commands: vec![e2e(repo, "delivery").args(["--", "signing::"])],
        },
        Tier {
            name: "bill",
            needs: &[Requirement::Syft, Requirement::CargoDeny, Registry],
            commands: vec![e2e(repo, "delivery").args(["--", "scan::"])],
        },
        Tier {
            name: "release",
            needs: &[Libtorch, Data],
            commands: vec![
                e2e(repo, "release"),
                e2e(repo, "workflows").args(["--", "release_trains"]),
            ],
        },
        Tier {
            name: "demo",
            needs: &[Libtorch, Data, Kubernetes],
            commands: vec![e2e(repo, "demo"), e2e(repo, "drill")],
        },
        Tier { name: "drift", needs: &[Libtorch, Data], commands: vec![e2e(repo, "drift")] },
        Tier {
            name: "retrain",
            needs: &[Libtorch, Data],
            commands: vec![e2e(repo, "retrain").args(["--", "--skip", "pod::"])],
        },
        Tier { name: "replay", needs: &[Libtorch, Data], commands: vec![e2e(repo, "replay")] },
        Tier {
            name: "versioned",
            needs: &[Dvc],
            commands: vec![
                mlops(repo),
                e2e(repo, "versioned"),
                e2e(repo, "workflows").args(["--", "private_data::"]),
            ],
        },
        Tier {
            name: "tune",
            needs: &[Libtorch, Dvc],
            commands: vec![mlops(repo), e2e(repo, "tune").args(["--", "--skip", "job::"])],
        },
        Tier {
            name: "features",
            needs: &[Feast],
            commands: vec![mlops(repo), e2e(repo, "features")],
        },
        Tier {
            name: "tracking",
            needs: &[Libtorch, Mlflow],
            commands: vec![mlops(repo), e2e(repo, "tracking")],
        },
        Tier { name: "second task", needs: &[Libtorch], commands: vec![e2e(repo, "second_task")] },
        Tier {
            name: "browser",
            needs: &[Libtorch, Data, Browser],
            commands: vec![e2e(repo, "browser")],
        },
        Tier {
            name: "python",
            needs: &[Libtorch, Data, PythonTorch],
            commands: vec![e2e(repo, "python")],
        },
        Tier {
            name: "clients",
            needs: &[Libtorch, Data, InferenceClients],
            commands: vec![e2e(repo, "clients"), e2e(repo, "conformance")],
        },
        Tier {
            name: "traces",
            needs: &[Libtorch, Data, Collector],
            commands: vec![e2e(repo, "traces")],
        },
        images(repo),
    ]
}

/// What our images do, run by a container engine.
fn images(repo: &Repo) -> Tier {
    use Requirement::{Cosign, Data, Engine, Libtorch, Registry};
    Tier {
        name: "image",
        needs: &[Libtorch, Data, Engine, Registry, Cosign],
        commands: vec![
            e2e(repo, "delivery").args(["--", "image::"]),
            e2e(repo, "retrain").args(["--", "pod::"]),
        ],
    }
}

/// Each target for so many seconds.
pub(crate) fn fuzz(repo: &Repo, seconds: u32) -> anyhow::Result<Tier> {
    let commands = cargo_fuzz::campaign(repo, seconds)?;
    Ok(Tier { name: "fuzz", needs: &[Requirement::CargoFuzz], commands })
}

/// On a real cluster, with images in `repository`.
pub(crate) fn cluster(repo: &Repo, repository: &str) -> Tier {
    use Requirement::{Cluster, Data, Dvc, Engine, Kubernetes, Libtorch};
    Tier {
        name: "cluster",
        needs: &[Libtorch, Data, Dvc, Kubernetes, Engine, Cluster],
        commands: vec![e2e(repo, "cluster").env("E2E_CLUSTER_IMAGE", repository)],
    }
}

/// Where tests start it themselves.
fn mlops(repo: &Repo) -> Cmd {
    cargo::cargo(repo).args(["build", "--quiet", "--release", "--locked", "--package", "mlops"])
}

fn e2e(repo: &Repo, test: &str) -> Cmd {
    cargo::cargo(repo)
        .args(["test", "--quiet", "--locked", "--package", "e2e", "--test", test])
        .env("E2E_PYTHON", Requirement::torch_python())
        .env("E2E_CLIENTS_PYTHON", Requirement::clients_python())
        .env("E2E_COLLECTOR", collector::program())
        .env("E2E_DVC_PYTHON", Requirement::dvc_python())
        .env("E2E_FEAST_PYTHON", Requirement::feast_python())
        .env("E2E_MLFLOW_PYTHON", Requirement::mlflow_python())
        .env("E2E_COSIGN", cosign::program())
        .env("XTASK_HOME", repo.home())
}

fn packages(names: &[&'static str]) -> Vec<&'static str> {
    names.iter().flat_map(|name| ["--package", name]).collect()
}
