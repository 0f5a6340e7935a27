//! [`TestSet`]: the images that a model is judged by, sealed until there is one.

use std::fmt;

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
pub struct TestSet(Split);

impl TestSet {
    pub fn new(images: Split) -> Self {
        Self(images)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
