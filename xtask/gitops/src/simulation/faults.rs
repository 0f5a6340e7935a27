//! What goes wrong while a handler runs: it is killed, somebody pushes in between, a commit is not what
//! its plan said.

use std::sync::Arc;

use crate::mainline::{Built, Mainline, Push, Update};
use crate::plan::Plan;
use crate::snapshot::Snapshot;

/// Two handlers whose steps interleave in any way end as if one ran whole within a gap of the other: only
/// pushes change anything. So a second actor needs only a moment to act in.
pub enum Mishap<'a, M> {
    None,
    /// The process dies at this call, before or after its effect.
    Kill {
        call: usize,
        after: bool,
    },
    /// Somebody acts right before this call.
    Intrude {
        call: usize,
        act: &'a mut dyn FnMut(&mut M),
    },
    /// Somebody is always faster.
    Crowd {
        act: &'a mut dyn FnMut(&mut M),
    },
    /// The commit touches more than its plan says.
    TouchMore,
    /// The commit renders something else than its plan promises.
    RenderOther,
}

#[derive(Debug)]
pub enum Fault<E> {
    Killed,
    Mainline(E),
}

pub struct Faulty<'m, 'a, M> {
    pub main: &'m mut M,
    pub mishap: Mishap<'a, M>,
    pub calls: usize,
}

impl<M: Mainline> Faulty<'_, '_, M> {
    fn call<T>(
        &mut self,
        call: impl FnOnce(&mut M) -> Result<T, M::Error>,
    ) -> Result<T, Fault<M::Error>> {
        self.calls += 1;
        let now = self.calls;
        match &mut self.mishap {
            Mishap::Kill { call, after: false } if *call == now => return Err(Fault::Killed),
            Mishap::Intrude { call, act } if *call == now => act(self.main),
            _ => {}
        }
        let result = call(self.main).map_err(Fault::Mainline)?;
        match self.mishap {
            Mishap::Kill { call, after: true } if call == now => Err(Fault::Killed),
            _ => Ok(result),
        }
    }
}

impl<M: Mainline> Mainline for Faulty<'_, '_, M> {
    type Error = Fault<M::Error>;

    fn load(&mut self) -> Result<Arc<Snapshot>, Self::Error> {
        self.call(M::load)
    }

    fn build(&mut self, plan: &Plan) -> Result<Built, Self::Error> {
        let mut built = self.call(|main| main.build(plan))?;
        match self.mishap {
            Mishap::TouchMore => built.touched.push("kustomize/base/deployment.yaml".to_owned()),
            Mishap::RenderOther => {
                built.promised = built.promised.map(|mut other| {
                    other.base = None;
                    other
                });
            }
            _ => {}
        }
        Ok(built)
    }

    fn push(&mut self, updates: &[Update]) -> Result<Push, Self::Error> {
        if let Mishap::Crowd { act } = &mut self.mishap {
            act(self.main);
        }
        self.call(|main| main.push(updates))
    }

    fn back_off(&mut self, lost: u32) {
        self.main.back_off(lost);
    }
}
