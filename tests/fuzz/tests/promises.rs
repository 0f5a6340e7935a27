//! What was found once is not found again. Memory is counted for the whole process, so this is one test.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use fuzz::mutation::mutate;
use fuzz::{TARGETS, Target};

const MUTATIONS: usize = 2000;

#[test]
fn no_seed_no_finding_and_no_mutation_of_either_breaks_a_promise() {
    for target in TARGETS {
        let mut inputs = (target.seeds)();
        assert!(!inputs.is_empty());
        inputs.extend(findings(&target));
        for input in &inputs {
            target.judge(input);
        }
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..MUTATIONS {
            let input = &inputs[random.usize(..inputs.len())];
            target.judge(&mutate(input, &mut random));
        }
    }
}

fn findings(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("findings").join(target.name);
    let Ok(files) = fs_err::read_dir(folder) else { return Vec::new() };
    files.map(|file| fs_err::read(file.unwrap().path()).unwrap()).collect()
}
