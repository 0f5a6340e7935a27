//! [`TestSet`]: the images that a model is judged by, sealed until there is one.

use std::collections::HashSet;
use std::fmt;

use contract::digest::Digest;

use crate::dataset::Split;
use crate::training::Trained;

/// Opened once, since opening consumes it, and after training, since only that makes a [`Trained`]:
///
/// ```no_run
/// # use model::{test_set::TestSet, training::Trained};
/// fn judge(test: TestSet, trained: &Trained) -> usize {
///     test.open(trained).len()
/// }
/// ```
///
/// ```compile_fail,E0382
/// # use model::{test_set::TestSet, training::Trained};
/// fn judge_twice(test: TestSet, trained: &Trained) -> usize {
///     test.open(trained).len() + test.open(trained).len()
/// }
/// ```
///
/// ```compile_fail,E0599
/// # use model::{test_set::TestSet, training::Trained};
/// fn keep_another(test: TestSet, trained: &Trained) -> usize {
///     test.clone().open(trained).len()
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use model::{test_set::TestSet, training::Trainer};
/// fn peek_while_training(test: TestSet, trainer: &Trainer) -> usize {
///     test.open(trainer).len()
/// }
/// ```
pub struct TestSet(Split, HashSet<Digest>);

impl TestSet {
    pub fn new(images: Split) -> Self {
        let known = images.each().map(Digest::of).collect();
        Self(images, known)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this very picture is among them, so that nothing is trained on it.
    pub(crate) fn has(&self, pixels: &[u8]) -> bool {
        self.1.contains(&Digest::of(pixels))
    }

    pub fn open(self, _model: &Trained) -> Split {
        self.0
    }
}

/// How many images, and not which.
impl fmt::Debug for TestSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestSet").field(&self.len()).finish()
    }
}
