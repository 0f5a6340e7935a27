//! [`Webhook`]: tells Argo CD of every new commit, as a Git host does. Argo CD's own endpoint for that knows the
//! formats of hosts; the annotation has the same effect.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::company::Company;
use crate::operate::rehearsal::live::StopWhenDone;
use crate::operate::rehearsal::script::{PRODUCTION, STAGING};
use crate::operate::rehearsal::stage::Stage;

pub(super) struct Webhook<'a> {
    stage: &'a Stage,
    company: &'a Company,
}

const INTERVAL: Duration = Duration::from_millis(300);

impl<'a> Webhook<'a> {
    pub(super) fn of(stage: &'a Stage, company: &'a Company) -> Self {
        Self { stage, company }
    }

    pub(super) fn during<T>(&self, act: impl FnOnce() -> T) -> T {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| self.run(&stop));
            let _stop = StopWhenDone(&stop);
            act()
        })
    }

    fn run(&self, stop: &AtomicBool) {
        let mut known = None;
        while !stop.load(Ordering::SeqCst) {
            // A Git server that does not answer tells nothing new.
            if let Ok(tip) = self.stage.tip()
                && known.as_ref() != Some(&tip)
            {
                for environment in [STAGING, PRODUCTION] {
                    self.company.refresh(environment);
                }
                known = Some(tip);
            }
            std::thread::sleep(INTERVAL);
        }
    }
}
