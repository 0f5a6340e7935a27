//! `demo --cluster`: the acts on a real cluster with a real Argo CD. Everything that is made has the demo's own
//! name, is told apart by it, and is gone afterwards: namespaces, two projects and three Applications, and keys
//! of ours in Argo CD's notification settings.

mod acts;
mod company;
mod faults;
mod notifications;
mod performance;
mod webhook;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use contract::digest::Digest;
use contract::probes::Probes;
use gitops::image_reference::ImageReference;

use self::company::Company;
use self::faults::Faults;
use self::performance::Performance;
use self::webhook::Webhook;
use crate::deliver::tools_image;
use crate::develop::doctor::{self, finding};
use crate::identity::Identity;
use crate::libtorch;
use crate::operate::rehearsal::models::Workshop;
use crate::operate::rehearsal::script::{PRODUCTION, STAGING, Script};
use crate::operate::rehearsal::stage::Stage;
use crate::operate::rehearsal::transcript::Transcript;
use crate::repo::{Repo, read_task};
use crate::report::{causes, data};
use crate::tools::kubectl::Kubectl;
use crate::tools::{engine, kustomize};

#[derive(clap::Args)]
#[group(id = "on-a-cluster")]
pub(super) struct Args {
    /// Play on a cluster with Argo CD instead: in namespaces of its own, gone afterwards
    #[arg(long, requires = "image")]
    pub(super) cluster: bool,
    /// The kubeconfig's context [default: the current one]
    #[arg(long, requires = "cluster", value_name = "NAME")]
    context: Option<String>,
    /// Where the demo's images are pushed to, and nodes pull from
    #[arg(long, requires = "cluster", value_name = "REPOSITORY")]
    image: Option<String>,
    /// Questions per second that visitors ask each environment
    #[arg(long, requires = "cluster", default_value_t = 40, value_name = "N")]
    rate: u32,
    /// After the first release, break what this file names instead of playing the other acts
    #[arg(long, requires = "cluster", value_name = "FILE")]
    faults: Option<PathBuf>,
}

/// A rollout without progress is given up after this long.
pub(super) const PROGRESS_DEADLINE: Duration = Duration::from_secs(40);

pub(super) fn run(repo: &Repo, args: &Args, keep: bool) -> anyhow::Result<()> {
    let transcript = Transcript::begin();
    let faults = args.faults.as_deref().map(|file| Faults::read(file, repo.root())).transpose()?;
    libtorch::ensure(repo)?;
    kustomize::provide()?;
    let kubectl = Kubectl::of(repo, args.context.as_deref())?;
    let repository = args.image.clone().context("--image is not given")?;
    transcript.say(format_args!("the cluster of the context `{}`", kubectl.context()));
    demand(repo, &kubectl)?;
    let handler = tools_image::Image::Gitops.push(repo, &format!("{repository}-gitops"))?;

    let company = Company::gather(&kubectl, &name(), &handler)?;
    let played = play(repo, args, transcript, &company, &repository, faults.as_ref());
    if keep {
        data(format_args!("\nkept: everything named {}", company.name()));
        let name = company.name();
        data(format_args!(
            "  kubectl -n argocd delete application {name}-root {name}-staging {name}-production"
        ));
        data(format_args!("  kubectl -n argocd delete appproject {name} {name}-root"));
        data(format_args!("  kubectl delete namespace {name} {name}-staging {name}-production"));
        return played;
    }
    transcript.say("everything that was made is taken away");
    let dissolved = company.dissolve();
    played.and(dissolved)
}

/// What has to be there before anything is made.
fn demand(repo: &Repo, kubectl: &Kubectl) -> anyhow::Result<()> {
    let state = |found: anyhow::Result<String>| found.map_err(|error| causes(&error));
    let version = kubectl.run(&["version", "--output", "json"]).map(|text| server_version(&text));
    let argo_cd = kubectl.argo_cd().map(|()| "Argo CD is installed".to_owned());
    let engine = engine::demand().map(|()| "images can be built".to_owned());
    doctor::demand(&[
        finding("cluster", state(version), "kubectl config use-context NAME"),
        finding("engine", state(engine), "start Docker"),
        finding("Argo CD", state(argo_cd), "cargo xtask cluster bootstrap"),
        doctor::cluster::setting(repo, kubectl, "argocd-cm", "resource.customizations")?,
        doctor::cluster::setting(repo, kubectl, "argocd-cmd-params-cm", "")?,
        doctor::cluster::metrics(kubectl),
    ])
}

fn server_version(json: &str) -> String {
    let versions: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let version = &versions["serverVersion"]["gitVersion"];
    format!("Kubernetes {}", version.as_str().unwrap_or("of an unknown version"))
}

/// Another one for each run, so that nothing is left of an earlier one.
fn name() -> String {
    let seed = format!("{} {:?}", std::process::id(), jiff::Timestamp::now());
    format!("demo-{}", &Digest::of(seed.as_bytes()).hex()[..6])
}

fn play(
    repo: &Repo,
    args: &Args,
    transcript: Transcript,
    company: &Company,
    repository: &str,
    faults: Option<&Faults>,
) -> anyhow::Result<()> {
    let tunnel = company.git()?;
    let stage = Stage::away(repo, &format!("git://127.0.0.1:{}/main.git", tunnel.port()))?;
    let workshop = Workshop::open(repo, &stage.path().join("workshop"))?;
    let task = read_task(&repo.task_file())?;
    let generator = task.data.synthetic.filter(|_| workshop.is_synthetic());
    let clone = Repo::at(&stage.clone());
    stage.begin()?;
    let known = stage.publication().remote.snapshot(repo)?;
    let addresses = company.hands_out_addresses();
    if !addresses {
        transcript.say("no addresses are handed out here: Services stay inside the cluster");
    }
    for name in [STAGING, PRODUCTION] {
        let environment = known.environments().parse(name)?;
        stage.prepare(&environment, PROGRESS_DEADLINE)?;
        if !addresses {
            stage.keep_inside(&environment)?;
        }
    }
    stage.adapt_policy(generator)?;
    let identity = Identity {
        repository: company.repository()?,
        image: repository.to_owned(),
        prefix: company.name().to_owned(),
    };
    Identity::read(&clone)?.apply(&identity, &clone, known.environments())?;
    notifications::subscribe(&clone, company.name())?;
    stage.commit("The demo's names and pace, and what may ship in it")?;

    let probes = fs_err::read_to_string(repo.probes())?;
    Probes::from_json(probes.as_bytes())?;
    company.listen(&clone, repository)?;
    let webhook = Webhook::of(&stage, company);
    let script =
        Script { repo, stage: &stage, workshop, transcript, repository: repository.to_owned() };
    let performance = Performance::of(script, company, &clone, probes, args.rate);
    webhook.during(|| match faults {
        Some(faults) => performance.play_faults(faults),
        None => performance.play(),
    })
}

impl Company {
    /// As it is in the cluster's network, for Argo CD and for pods.
    fn repository(&self) -> anyhow::Result<String> {
        Ok(format!("git://{}/main.git", self.address("git")?))
    }
}

/// The image of the program that handles reports.
pub(super) type Handler = ImageReference;
