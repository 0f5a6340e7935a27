//! [`Others`]: who else is at the study, and who is gone: on this machine whoever's process is, and everybody whose
//! beat stays the same for the lease, since a process may be dead and not buried, or another of the same number. No
//! two clocks are compared; a beat is old when we have not seen it change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use contract::atomic;

use super::state::{Claim, Seen, Trial, Worker};

pub(super) struct Others {
    pub(super) me: Worker,
    /// Who was not heard of for so long is gone.
    pub(super) lease: Duration,
    heard: Mutex<BTreeMap<String, (String, Instant)>>,
    named: Mutex<BTreeSet<String>>,
}

impl Others {
    pub(super) fn new(me: Worker, lease: Duration) -> Self {
        Self { me, lease, heard: Mutex::default(), named: Mutex::default() }
    }

    /// Whether the last worker at this trial is gone.
    pub(super) fn is_lost(&self, name: &str, trial: &Trial) -> bool {
        let Some(Claim { worker, .. }) = trial.claims.last() else { return false };
        if worker == &self.me {
            return false;
        }
        let is_here = worker.host == self.me.host && !worker.host.is_empty();
        // A process of our own number was before us.
        if is_here && (worker.pid == self.me.pid || !atomic::is_running(worker.pid)) {
            return true;
        }
        let mark = format!("{} {}", trial.claims.len(), trial.beat);
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match heard.get(name) {
            Some((known, since)) if *known == mark => since.elapsed() > self.lease,
            _ => {
                heard.insert(name.to_owned(), (mark, Instant::now()));
                false
            }
        }
    }

    /// Whom we wait for at these trials, each told once.
    pub(super) fn not_yet_named(&self, trials: &[String], seen: &Seen) -> Vec<String> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |trial: &String| {
            let Worker { host, pid, .. } = &seen.trials.get(trial)?.claims.last()?.worker;
            let host = host.split(' ').next().filter(|host| !host.is_empty());
            let told = format!("trial {trial}: process {pid} on {}", host.unwrap_or("a machine"));
            named.insert(told.clone()).then_some(told)
        };
        let is_others = |trial: &&String| {
            let claim = seen.trials.get(*trial).and_then(|trial| trial.claims.last());
            claim.is_some_and(|claim| claim.worker != self.me)
        };
        trials.iter().filter(is_others).filter_map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(host: &str, pid: u32, since: i64) -> Worker {
        Worker { host: host.to_owned(), pid, since }
    }

    fn trial(worker: Worker, beat: &str) -> Trial {
        let claim = Claim { worker, at: 0, params: BTreeMap::new(), seed: 0 };
        Trial { claims: vec![claim], beat: beat.to_owned(), ..Trial::default() }
    }

    #[test]
    fn a_worker_is_gone_with_its_process_or_when_its_beat_stays_the_same_on_its_own_machine_too() {
        let (own, parent) = (std::process::id(), std::os::unix::process::parent_id());
        let others = Others::new(worker("here", own, 1), Duration::ZERO);
        let is_lost = |worker: &Worker, beat| others.is_lost("0000", &trial(worker.clone(), beat));
        assert!(is_lost(&worker("here", own, 0), "1"), "a process of our number before us");
        assert!(is_lost(&worker("here", u32::MAX, 0), "1"), "no process");
        for worker in [worker("here", parent, 0), worker("elsewhere", parent, 0)] {
            assert!(!is_lost(&worker, "1") && !is_lost(&worker, "2"), "it is heard of: {worker:?}");
            assert!(is_lost(&worker, "2"), "it is not heard of any more: {worker:?}");
        }
        assert!(!is_lost(&others.me, "1") && !is_lost(&others.me, "1"), "we know that we live");
    }

    #[test]
    fn whom_we_wait_for_is_told_once() {
        let others = Others::new(worker("here boot", 1, 0), Duration::ZERO);
        let mut seen = Seen::default();
        seen.trials.insert("0001".to_owned(), trial(worker("there boot", 7, 0), ""));
        seen.trials.insert("0002".to_owned(), trial(others.me.clone(), ""));
        let trials = ["0001".to_owned(), "0002".to_owned()];
        assert_eq!(others.not_yet_named(&trials, &seen), ["trial 0001: process 7 on there"]);
        assert!(others.not_yet_named(&trials, &seen).is_empty());
    }
}
