//! What a tier needs that a machine may lack: how to tell, how to provide it, what to say otherwise.

use std::path::PathBuf;

use anyhow::bail;

use crate::libtorch;
use crate::process::Cmd;
use crate::repo::{Repo, read_task};
use crate::report::{WithHint, step};
use crate::tools::kubectl::Kubectl;
use crate::tools::pinned::GoTool;
use crate::tools::{
    cargo_deny, cargo_fuzz, collector, cosign, engine, kubeconform, kustomize, syft,
};
use crate::train::data;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requirement {
    CargoDeny,
    CargoFuzz,
    Libtorch,
    Data,
    Browser,
    PythonTorch,
    /// Clients of the Open Inference Protocol and schemathesis, in Python.
    InferenceClients,
    /// DVC itself, and a stand-in for S3.
    Dvc,
    /// MLflow's server and client, in Python.
    Mlflow,
    /// Feast, in Python.
    Feast,
    /// kustomize, kubeconform, and the schemas of Kubernetes.
    Kubernetes,
    /// Argo CD's command line: its settings are checked without a cluster.
    ArgoCd,
    /// actionlint, and shellcheck, which it hands the scripts to.
    Workflows,
    /// Docker, with the images that ours are built from.
    Engine,
    Registry,
    /// Its client alone: no cluster is asked.
    Kubectl,
    Promtool,
    /// Alertmanager, and the Prometheus that tells it.
    Alertmanager,
    Cosign,
    /// One that answers, with Argo CD in it.
    Cluster,
    Syft,
    /// OpenTelemetry's.
    Collector,
}

const BROWSER_PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];
const REGISTRY_PACKAGES: [&str; 1] = ["docker-registry"];
const ALERTING_PACKAGES: [&str; 2] = ["prometheus", "prometheus-alertmanager"];

const TORCH: Venv = Venv {
    name: "torch",
    packages: &["torch==2.13.0", "numpy"],
    proof: "import torch; assert torch.__version__.startswith('2.13.0')",
};
/// `pillow` makes the pictures that they send. What schemathesis sends depends on hypothesis.
const CLIENTS: Venv = Venv {
    name: "inference-clients",
    packages: &[
        "tritonclient[http]==2.73.0",
        "open-inference-openapi==2.0.0.1",
        "pillow",
        "schemathesis==4.32.5",
        "hypothesis==6.170.17",
    ],
    proof: "import tritonclient.http, open_inference.openapi.client, PIL, schemathesis",
};
/// Those below DVC are named because pip tries hundreds of versions otherwise.
const DVC: Venv = Venv {
    name: "dvc",
    packages: &[
        "dvc==3.67.1",
        "dvc-s3==3.3.0",
        "aiobotocore==3.10.0",
        "boto3==1.43.117",
        "moto[server]==5.2.5",
    ],
    proof: "import dvc, dvc_s3, moto.server",
};
/// As in compose.yaml.
const MLFLOW: Venv = Venv {
    name: "mlflow",
    packages: &["mlflow==3.17.2"],
    proof: "import importlib.metadata as m; assert m.version('mlflow') == '3.17.2'",
};
const FEAST: Venv = Venv {
    name: "feast",
    packages: &["feast==0.67.0"],
    proof: "import importlib.metadata as m; assert m.version('feast') == '0.67.0'",
};

const ACTIONLINT: GoTool = GoTool {
    name: "actionlint",
    package: "github.com/rhysd/actionlint/cmd/actionlint",
    version: "v1.7.12",
};

impl Requirement {
    /// Provides it if that may be done; otherwise says what is missing and how to get it.
    ///
    /// libtorch and the data are part of every setup. The rest is only installed on request.
    pub(crate) fn provide(self, repo: &Repo, install: bool) -> anyhow::Result<()> {
        match self {
            Self::Libtorch => return libtorch::ensure(repo),
            Self::Data => {
                let task = read_task(&repo.task_file())?;
                return data::provide(repo, &task, Some(&task.data.name), None).map(drop);
            }
            Self::Kubernetes => return kustomize::provide().and_then(|()| kubeconform::provide()),
            Self::Engine => return engine_with_bases(repo),
            Self::ArgoCd => return argocd(repo),
            Self::Cosign => return cosign::provide(),
            Self::Cluster => return cluster(repo),
            Self::Syft => return syft::provide(),
            Self::Collector => return collector::provide(),
            Self::Workflows => ACTIONLINT.provide().map(drop)?,
            Self::Promtool
            | Self::Alertmanager
            | Self::CargoDeny
            | Self::CargoFuzz
            | Self::Browser
            | Self::PythonTorch
            | Self::InferenceClients
            | Self::Dvc
            | Self::Mlflow
            | Self::Feast
            | Self::Kubectl
            | Self::Registry => {}
        }
        if self.is_there(repo) {
            return Ok(());
        }
        if !install {
            bail!("{} is not here; `cargo xtask test --install` installs it", self.name());
        }
        step(format_args!("installing {}", self.name()));
        self.install(repo)?;
        if self.is_there(repo) {
            return Ok(());
        }
        bail!("{} was installed but does not run", self.name())
    }

    fn name(self) -> &'static str {
        match self {
            Self::CargoDeny => cargo_deny::CARGO_DENY,
            Self::CargoFuzz => cargo_fuzz::CARGO_FUZZ,
            Self::Libtorch => "libtorch",
            Self::Data => "the training data",
            Self::Browser => "Chromium with its driver",
            Self::PythonTorch => "PyTorch in Python",
            Self::InferenceClients => {
                "tritonclient, open-inference-openapi or schemathesis in Python"
            }
            Self::Dvc => "DVC or moto in Python",
            Self::Mlflow => "MLflow in Python",
            Self::Feast => "Feast in Python",
            Self::Kubernetes => "kustomize or kubeconform",
            Self::ArgoCd => "argocd",
            Self::Workflows => "shellcheck",
            Self::Engine => "Docker",
            Self::Registry => "docker-registry",
            Self::Cosign => "cosign",
            Self::Cluster => "a cluster",
            Self::Syft => "syft",
            Self::Collector => "the collector of OpenTelemetry",
            Self::Kubectl => "kubectl",
            Self::Promtool => "promtool",
            Self::Alertmanager => "Prometheus with Alertmanager",
        }
    }

    fn is_there(self, repo: &Repo) -> bool {
        match self {
            Self::CargoDeny => cargo_deny::is_there(repo),
            Self::CargoFuzz => cargo_fuzz::is_there(repo),
            Self::Browser => {
                let runs = |program| Cmd::new(program, repo.root()).arg("--version").succeeds();
                runs("chromium") && runs("chromedriver")
            }
            Self::PythonTorch => TORCH.is_there(repo),
            Self::InferenceClients => CLIENTS.is_there(repo),
            Self::Dvc => DVC.is_there(repo),
            Self::Mlflow => MLFLOW.is_there(repo),
            Self::Feast => FEAST.is_there(repo),
            Self::Registry => Cmd::new("docker-registry", repo.root()).arg("--version").succeeds(),
            Self::Promtool => Cmd::new("promtool", repo.root()).arg("--version").succeeds(),
            Self::Kubectl => {
                Cmd::new("kubectl", repo.root()).args(["version", "--client"]).succeeds()
            }
            Self::Alertmanager => {
                let runs = |program| Cmd::new(program, repo.root()).arg("--version").succeeds();
                runs("prometheus") && runs("prometheus-alertmanager")
            }
            Self::Workflows => Cmd::new("shellcheck", repo.root()).arg("--version").succeeds(),
            Self::Libtorch
            | Self::Data
            | Self::Kubernetes
            | Self::ArgoCd
            | Self::Engine
            | Self::Cosign
            | Self::Syft
            | Self::Collector
            | Self::Cluster => true,
        }
    }

    fn install(self, repo: &Repo) -> anyhow::Result<()> {
        match self {
            Self::CargoDeny => cargo_deny::install(repo),
            Self::CargoFuzz => cargo_fuzz::install(repo),
            Self::Browser => debian(repo, &BROWSER_PACKAGES),
            Self::Registry => debian(repo, &REGISTRY_PACKAGES),
            Self::Promtool => debian(repo, &["prometheus"]),
            Self::Kubectl => debian(repo, &["kubernetes-client"]),
            Self::Alertmanager => debian(repo, &ALERTING_PACKAGES),
            Self::Workflows => debian(repo, &["shellcheck"]),
            Self::PythonTorch => TORCH.install(repo),
            Self::InferenceClients => CLIENTS.install(repo),
            Self::Dvc => DVC.install(repo),
            Self::Mlflow => MLFLOW.install(repo),
            Self::Feast => FEAST.install(repo),
            Self::Libtorch
            | Self::Data
            | Self::Kubernetes
            | Self::ArgoCd
            | Self::Engine
            | Self::Cosign
            | Self::Syft
            | Self::Collector
            | Self::Cluster => Ok(()),
        }
    }

    pub(crate) fn actionlint(repo: &Repo) -> Cmd {
        Cmd::new(ACTIONLINT.program(), repo.root())
    }

    /// The Python that has PyTorch.
    pub(crate) fn torch_python() -> PathBuf {
        TORCH.python()
    }

    /// The Python that has the clients.
    pub(crate) fn clients_python() -> PathBuf {
        CLIENTS.python()
    }

    /// The Python that has DVC.
    pub(crate) fn dvc_python() -> PathBuf {
        DVC.python()
    }

    /// The Python that has MLflow.
    pub(crate) fn mlflow_python() -> PathBuf {
        MLFLOW.python()
    }

    /// The Python that has Feast.
    pub(crate) fn feast_python() -> PathBuf {
        FEAST.python()
    }
}

/// Python packages in a folder of their own.
struct Venv {
    name: &'static str,
    packages: &'static [&'static str],
    /// Fails where a package is missing.
    proof: &'static str,
}

impl Venv {
    fn folder(&self) -> PathBuf {
        cache("venv").join(self.name)
    }

    fn python(&self) -> PathBuf {
        self.folder().join("bin/python")
    }

    fn is_there(&self, repo: &Repo) -> bool {
        Cmd::new(self.python(), repo.root()).args(["-c", self.proof]).succeeds()
    }

    fn install(&self, repo: &Repo) -> anyhow::Result<()> {
        Cmd::new("python3", repo.root()).args(["-m", "venv"]).arg(self.folder()).run()?;
        Cmd::new(self.python(), repo.root())
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(self.packages)
            .run()
    }
}

/// The checks were made for this one's behaviour, and `argocd/install` installs it.
const ARGO_CD: &str = "v3.5.3";

fn argocd(repo: &Repo) -> anyhow::Result<()> {
    let ended = Cmd::new("argocd", repo.root()).args(["version", "--client", "--short"]).end();
    match ended {
        Ok(ended) if ended.stdout.contains(ARGO_CD) => Ok(()),
        Ok(ended) => bail!("argocd {ARGO_CD} is wanted; PATH has {}", ended.stdout.trim()),
        Err(_missing) => bail!(
            "argocd {ARGO_CD} is not here; put it on PATH, from the releases of argoproj/argo-cd"
        ),
    }
}

fn cluster(repo: &Repo) -> anyhow::Result<()> {
    let kubectl = Kubectl::of(repo, None)?;
    kubectl.argo_cd().hint("cargo xtask cluster bootstrap")
}

fn debian(repo: &Repo, packages: &[&str]) -> anyhow::Result<()> {
    let apt = || Cmd::new("apt-get", repo.root()).env("DEBIAN_FRONTEND", "noninteractive");
    apt().args(["update", "--quiet=2"]).run()?;
    apt().args(["install", "--quiet=2", "--yes", "--no-install-recommends"]).args(packages).run()
}

fn engine_with_bases(repo: &Repo) -> anyhow::Result<()> {
    engine::demand()?;
    let dockerfile = fs_err::read_to_string(repo.path("Dockerfile"))?;
    for base in engine::bases(&dockerfile) {
        if !engine::provide(base) {
            bail!("the image `{base}` is not here and cannot be pulled");
        }
    }
    Ok(())
}

/// Where no cache folder is known, nothing is found there and the installation says why.
fn cache(name: &str) -> PathBuf {
    libtorch::cache_folder().unwrap_or_default().join(name)
}
