//! An error told in one sentence, by every program alike.

use std::fmt::Write as _;

/// The errors from the outermost to its first cause. What ends with its own cause, as the errors of many
/// libraries do, does not say it twice.
pub fn sentence(chain: impl IntoIterator<Item = impl ToString>) -> String {
    let mut sentence = String::new();
    for error in chain {
        let error = error.to_string();
        if sentence.is_empty() {
            sentence = error;
        } else if !sentence.ends_with(&error) {
            write!(sentence, ": {error}").expect("writing to a String cannot fail");
        }
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let check = |chain: &[&str], expected: &str| assert_eq!(sentence(chain), expected);
        check(&[], "");
        check(&["a"], "a");
        check(&["a", "b", "c"], "a: b: c");
        check(&["a: b", "b"], "a: b");
        check(&["a: b: c", "b: c", "c"], "a: b: c");
    }
}
