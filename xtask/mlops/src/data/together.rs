//! Many small things at once: most of the time of each is waiting until the disk has it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// A disk that is waited for by many writes once for all of them; more than these bring little.
const AT_ONCE: usize = 16;

/// What `work` makes of each, in their order. After the first error nothing more is begun.
pub(super) fn together<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let worker = || {
        while let Some((at, item)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, items.get(at)?)))
        {
            let result = work(item);
            if result.is_err() {
                next.store(items.len(), Ordering::Relaxed);
            }
            done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(items.len()) {
            scope.spawn(worker);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items_and_the_first_error_ends_it() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(together(&items, |item| Ok(item * 2)).unwrap()[999], 1998);
        assert!(together(&items[..0], |item| Ok(*item)).unwrap().is_empty());
        let begun = AtomicUsize::new(0);
        let fails = |item: &usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            anyhow::ensure!(*item != 3, "the third");
            std::thread::sleep(std::time::Duration::from_millis(1));
            Ok(())
        };
        assert_eq!(together(&items, fails).unwrap_err().to_string(), "the third");
        assert!(begun.into_inner() < 500);
    }
}
