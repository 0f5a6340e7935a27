//! `demo`: the whole loop without cluster, cloud or network. Real Git, real kustomize, real models and
//! the real service; what stands in for Argo CD and Kubernetes is [`crate::reconciler`], and the
//! transcript says so.
//!
//! Every act checks what it shows: an act that does not end as told is an error.

mod cluster;
mod models;
mod performance;
mod script;
mod stage;
mod transcript;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context;
use contract::probes::Probes;
use contract::task::Generator;
use gitops::environment::Environment;

use self::models::Workshop;
use self::performance::{Company, Performance};
use self::script::{PRODUCTION, STAGING, Script};
use self::stage::Stage;
use self::transcript::Transcript;
use crate::deliver::image::REPOSITORY;
use crate::libtorch;
use crate::operate::visitor::{Connections, Visitor};
use crate::reconciler::{Application, Node, Notice, Source};
use crate::repo::{Repo, read_task};
use crate::report::data;
use crate::tools::kustomize;
use crate::tools::oci::Layout;

/// Play a release, a crash, a wrong model and a fix-forward, from training to revert, on this machine
///
/// No cluster, no cloud, no network: a repository, models and services of its own in a temporary
/// folder. A release is verified and promoted; one that crashes and one that answers wrongly are taken
/// back by a revert on main; one that is overtaken by its fix is left alone.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave repository, images and models for a look afterwards
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    cluster: cluster::Args,
}

const PROGRESS_DEADLINE: Duration = Duration::from_secs(12);
/// Between two questions of a visitor.
const PAUSE: Duration = Duration::from_millis(50);

/// Set by Ctrl-C: whatever waits ends, and so everything is put away.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::SeqCst))
            .context("watching for Ctrl-C")?;
        if self.cluster.cluster {
            return cluster::run(repo, &self.cluster, self.keep);
        }
        let transcript = Transcript::begin();
        libtorch::ensure(repo)?;
        kustomize::provide()?;
        let stage = Stage::at_home(repo)?;
        let played = play(repo, &stage, transcript);
        if self.keep {
            let folder = stage.keep()?;
            data(format_args!("\nkept: {}", folder.display()));
            data(format_args!("  git -C {0}/main.git log main", folder.display()));
            data(format_args!("  cd {0}/clone && cargo xtask history staging", folder.display()));
        }
        played
    }
}

fn play(repo: &Repo, stage: &Stage, transcript: Transcript) -> anyhow::Result<()> {
    let workshop = Workshop::open(repo, &stage.path().join("workshop"))?;
    let task = read_task(&repo.task_file())?;
    let generator = task.data.synthetic.filter(|_| workshop.is_synthetic());
    if generator.is_some() {
        let name = &task.data.name;
        transcript
            .say(format_args!("`{name}` is not here: the models learn from generated pictures"));
    }
    let [staging, production] = environments(repo, stage, generator)?;
    let probes = fs_err::read(repo.probes())?;
    let (_, pictures) = Probes::from_json(&probes)?;

    let images = Layout::create(&stage.path().join("images"))?;
    let node = Node::new(images, &stage.path().join("node"))?;
    let source = Source::new(Path::new(stage.remote()));
    let (send, events) = mpsc::channel();
    let stop = AtomicBool::new(false);
    let follow = |environment: &Environment| {
        let send = send.clone();
        Application::new(environment.clone(), &source, &node, &stop, move |notice| match notice {
            Notice::Progress(line) => transcript.say(line),
            // Nobody listens any more only when the play is over.
            Notice::Event(json) => drop(send.send(json)),
        })
    };
    let applications = [follow(&staging)?, follow(&production)?];
    let [at_staging, at_production] =
        applications.each_ref().map(|application| Visitor::new(&application.url(), &pictures));
    let processes = applications.each_ref().map(Application::process);
    drop(send);
    std::thread::scope(|scope| {
        let _stop = StopWhenDone(&stop);
        for application in applications {
            scope.spawn(|| application.run());
        }
        for visitor in [&at_staging, &at_production] {
            scope.spawn(|| visitor.run(Connections::Fresh, PAUSE, &stop));
        }
        let company = Company {
            staging: &at_staging,
            production: &at_production,
            staging_process: &processes[0],
        };
        let repository = REPOSITORY.to_owned();
        let script = Script { repo, stage, workshop, transcript, repository };
        Performance { script, events, company }.play()
    })
}

/// The two that the acts are played in.
fn environments(
    repo: &Repo,
    stage: &Stage,
    generator: Option<Generator>,
) -> anyhow::Result<[Environment; 2]> {
    stage.commit("A fork begins")?;
    let known = stage.publication().remote.snapshot(repo)?;
    let named = |name| Ok::<_, anyhow::Error>(known.environments().parse(name)?);
    let environments = [named(STAGING)?, named(PRODUCTION)?];
    for environment in &environments {
        stage.prepare(environment, PROGRESS_DEADLINE)?;
    }
    stage.adapt_policy(generator)?;
    stage.commit("The demo's pace, and what may ship in it")?;
    Ok(environments)
}

struct StopWhenDone<'a>(&'a AtomicBool);

impl Drop for StopWhenDone<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
