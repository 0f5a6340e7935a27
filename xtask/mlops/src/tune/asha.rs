//! Asynchronous successive halving, Li et al., "A system for massively parallel hyperparameter tuning", 2020, as a
//! rule that stops: who comes to a rung goes on where it is among the best of those that came there before it. Nobody
//! waits for anybody. Schedules stay those of the whole length, so a rung compares trainings that are not annealed.

/// Where trainings are compared, and how many go on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asha {
    /// One of so many goes on.
    pub(super) reduction: u32,
    /// Epochs, ascending.
    pub(super) rungs: Vec<u32>,
}

impl Asha {
    /// 1, `reduction`, `reduction`², … below the length of a training.
    pub(super) fn rungs_of(reduction: u32, epochs: u32) -> Vec<u32> {
        std::iter::successors(Some(1_u32), |rung| rung.checked_mul(reduction))
            .take_while(|rung| *rung < epochs)
            .collect()
    }

    /// Of costs, lower is better. While fewer than one can go on, all do.
    pub(super) fn goes_on(&self, own: f64, others: &[f64]) -> bool {
        let all = others.len() + 1;
        let places = all / self.reduction as usize;
        let better = others.iter().filter(|other| **other < own).count();
        places == 0 || better < places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_third_goes_on_and_the_first_two_always_do() {
        let asha = Asha { reduction: 3, rungs: vec![1] };
        for (own, others, goes_on) in [
            (9.0, &[][..], true),
            (9.0, &[1.0], true),
            (9.0, &[1.0, 2.0], false),
            (1.0, &[1.0, 2.0], true),
            (0.5, &[1.0, 2.0], true),
            (1.5, &[1.0, 2.0, 3.0, 4.0, 5.0], true),
            (2.5, &[1.0, 2.0, 3.0, 4.0, 5.0], false),
        ] {
            assert_eq!(asha.goes_on(own, others), goes_on, "{own} among {others:?}");
        }
    }

    #[test]
    fn rungs_are_powers_below_the_whole_length() {
        assert_eq!(Asha::rungs_of(3, 40), [1, 3, 9, 27]);
        assert_eq!(Asha::rungs_of(3, 2), [1]);
        assert!(Asha::rungs_of(2, 1).is_empty());
    }
}
