//! [`Application`]: one environment and the loop that holds it to main.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gitops::environment::Environment;
use gitops::event::{Event, Observation, Proof};
use gitops::image_reference::ImageReference;
use gitops::object_id::CommitId;
use gitops::verdict::Verdict;
use jiff::Timestamp;

use super::front::Front;
use super::node::{Node, Pod};
use super::source::Source;
use super::wanted::{Smoke, Wanted};
use crate::process::Ended;

/// What an Application tells whoever listens, as it happens.
#[derive(Debug)]
pub(crate) enum Notice {
    /// For people.
    Progress(String),
    /// For the loop, as the notification templates would send it.
    Event(String),
}

/// The process that serves an environment at the moment, for whoever wants to meddle with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Process(Arc<AtomicU32>);

impl Process {
    /// 0 where nothing serves yet.
    pub(crate) fn pid(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

pub(crate) struct Application<'a> {
    environment: Environment,
    source: &'a Source,
    node: &'a Node,
    notify: Box<dyn Fn(Notice) + Send + Sync + 'a>,
    stop: &'a AtomicBool,
    front: Front,
    /// What the newest commit looked at asks for.
    seen: Option<(CommitId, Option<Wanted>)>,
    /// What was applied last, be it that it never became ready.
    applied: Option<Wanted>,
    is_healthy: bool,
    /// A revision is synced once: auto-sync does not repeat what failed.
    attempted: Option<CommitId>,
    serving: Option<Pod>,
    process: Process,
    /// Processes that finish what they took.
    retiring: Vec<Pod>,
}

/// Between two looks at main. Argo CD with a webhook is as quick.
const PAUSE: Duration = Duration::from_millis(200);
const READINESS_PERIOD: Duration = Duration::from_millis(50);
/// A process that ended is started again after this long, then after twice as long: a crash loop.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);

impl<'a> Application<'a> {
    pub(crate) fn new(
        environment: Environment,
        source: &'a Source,
        node: &'a Node,
        stop: &'a AtomicBool,
        notify: impl Fn(Notice) + Send + Sync + 'a,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            environment,
            source,
            node,
            notify: Box::new(notify),
            stop,
            front: Front::open()?,
            seen: None,
            applied: None,
            is_healthy: false,
            attempted: None,
            serving: None,
            process: Process::default(),
            retiring: Vec::new(),
        })
    }

    /// Where the environment answers, whatever it runs.
    pub(crate) fn url(&self) -> String {
        self.front.url()
    }

    pub(crate) fn process(&self) -> Process {
        self.process.clone()
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    pub(crate) fn run(mut self) {
        while !self.is_stopped() {
            if let Err(error) = self.turn() {
                self.say(format!("{error:#}"));
                std::thread::sleep(PAUSE * 5);
            }
            self.retiring.retain(Pod::is_running);
            std::thread::sleep(PAUSE);
        }
    }

    fn say(&self, what: impl std::fmt::Display) {
        (self.notify)(Notice::Progress(format!("{}: {what}", self.environment)));
    }

    fn tell(&self, revision: Option<CommitId>, observation: Observation, evidence: Vec<String>) {
        let event = Event {
            environment: self.environment.clone(),
            revision,
            observed_at: Timestamp::now(),
            observation,
            evidence,
        };
        (self.notify)(Notice::Event(event.to_json()));
    }

    fn turn(&mut self) -> anyhow::Result<()> {
        let head = self.source.head()?;
        let is_new = self.seen.as_ref().is_none_or(|(seen, _)| *seen != head);
        if is_new {
            let wanted = match self.source.render(head, &self.environment)? {
                Ok(manifests) => match Wanted::parse(&manifests) {
                    Ok(wanted) => Some(wanted),
                    // What only a cluster can do says nothing about the release.
                    Err(error) => {
                        self.say(format_args!("this cannot be run without a cluster: {error:#}"));
                        None
                    }
                },
                // Argo CD names the branch here and not the commit.
                Err(mistake) => {
                    self.tell(None, Observation::Unrenderable, vec![mistake]);
                    None
                }
            };
            self.seen = Some((head, wanted));
        }
        let Some((_, Some(wanted))) = self.seen.clone() else { return Ok(()) };
        if wanted.is_unreleased() {
            return Ok(());
        }
        if self.is_live(&wanted) {
            return self.heal(&wanted);
        }
        if self.attempted != Some(head) {
            self.attempted = Some(head);
            self.sync(head, wanted);
        }
        Ok(())
    }

    fn is_live(&self, wanted: &Wanted) -> bool {
        self.is_healthy && self.applied.as_ref().is_some_and(|live| live.is_same_state(wanted))
    }

    /// Brings back a process that is gone, as a kubelet does whatever became of the sync. No hook runs, so
    /// nothing is proven.
    fn heal(&mut self, wanted: &Wanted) -> anyhow::Result<()> {
        if self.serving.as_ref().is_some_and(Pod::is_running) {
            return Ok(());
        }
        self.say("its process is gone and comes back, without a smoke test");
        let deadline = Instant::now() + wanted.progress_deadline;
        match self.roll_out(wanted, deadline) {
            Ok(pod) => self.serve(pod),
            Err(why) => anyhow::bail!("it does not come back: {why}"),
        }
        Ok(())
    }

    /// Apply, wait for health, then the hook; one report at the end.
    fn sync(&mut self, revision: CommitId, wanted: Wanted) {
        self.say(format!("syncing {}", revision.short()));
        let deadline = Instant::now() + wanted.progress_deadline;
        let rolled_out = self.roll_out(&wanted, deadline);
        let smoke = wanted.smoke.clone();
        let template = wanted.template.clone();
        self.applied = Some(wanted);
        self.is_healthy = rolled_out.is_ok();
        match rolled_out {
            Err(why) => {
                let evidence = format!("Deployment: exceeded its progress deadline; {why}");
                self.say(&evidence);
                let observation = Observation::Failed(Verdict::RolloutFailed);
                self.tell(Some(revision), observation, vec![evidence]);
            }
            Ok(pod) => {
                self.serve(pod);
                let (observation, evidence) = self.smoke(&smoke, &template.image);
                self.tell(Some(revision), observation, vec![evidence]);
            }
        }
    }

    /// A process that is ready; the old one goes on serving meanwhile. One that already runs from the
    /// same template is as good: so a rollback is quick.
    fn roll_out(&mut self, wanted: &Wanted, deadline: Instant) -> Result<Pod, String> {
        let is_same = |pod: &Pod| pod.template == wanted.template && pod.is_running();
        if let Some(pod) = self.serving.take_if(|pod| is_same(pod)) {
            return Ok(pod);
        }
        let mut back_off = FIRST_BACK_OFF;
        let mut why = String::new();
        while Instant::now() < deadline && !self.is_stopped() {
            match self.node.start(&wanted.template) {
                Ok(pod) => {
                    while pod.is_running() && Instant::now() < deadline && !self.is_stopped() {
                        // Whoever else got its port would be ready too.
                        if pod.is_ready() && pod.is_running() {
                            return Ok(pod);
                        }
                        std::thread::sleep(READINESS_PERIOD);
                    }
                    why = format!("never ready: {}", pod.last_words());
                }
                Err(error) => why = format!("cannot be started: {error:#}"),
            }
            let resume = (Instant::now() + back_off).min(deadline);
            while Instant::now() < resume && !self.is_stopped() {
                std::thread::sleep(READINESS_PERIOD);
            }
            back_off *= 2;
        }
        Err(why)
    }

    fn serve(&mut self, pod: Pod) {
        self.front.lead_to(pod.port);
        self.process.0.store(pod.pid(), Ordering::SeqCst);
        self.say(format!("{} is ready and serves", pod.template.image));
        if let Some(old) = self.serving.replace(pod) {
            old.terminate();
            self.retiring.push(old);
        }
    }

    fn smoke(&self, smoke: &Smoke, image: &ImageReference) -> (Observation, String) {
        let undecided = |why: String| (Observation::Failed(Verdict::Undecided), why);
        for _ in 0..smoke.tries {
            if self.is_stopped() {
                break;
            }
            let ended = self.node.mount(&smoke.probes).and_then(|probes| {
                self.node.run(image, &smoke.against(&self.front.url(), probes.path()))
            });
            let Ended { success, code, stderr, .. } = match ended {
                Ok(ended) => ended,
                Err(error) => return undecided(format!("Job: {error:#}")),
            };
            self.say(format!("smoke test: {}", stderr.trim_end()));
            if success {
                let observation = Observation::Deployed(Proof::SmokePassed);
                return (observation, "Job: Reached expected number of succeeded pods".to_owned());
            }
            let code = code.map(i64::from);
            if let Some(code) = code.filter(|code| smoke.fails_at.contains(code)) {
                let name = &smoke.container;
                let rule = "matching FailJob rule at index 0";
                let evidence = format!("Job: Container {name} failed with exit code {code} {rule}");
                return (Observation::Failed(Verdict::of_exit_code(code)), evidence);
            }
        }
        undecided("Job has reached the specified backoff limit".to_owned())
    }
}
