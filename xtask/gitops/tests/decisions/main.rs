//! The decision table row by row, every guard once, and the runbooks that they name.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod story;

use std::collections::BTreeSet;

use gitops::admit::{ImageCheck, Signature};
use gitops::decide::Action;
use gitops::event::{Observation, Proof};
use gitops::guards::Guard;
use gitops::pin::Pin;
use gitops::plan::{Plan, Selector, Target};
use gitops::simulation::faults::Mishap;
use gitops::verdict::Verdict;
use story::{Story, pin};

const DEPLOYED: Observation = Observation::Deployed(Proof::SmokePassed);

/// One verified release, then a second one.
fn second_release() -> Story {
    let mut story = Story::new();
    story.release("1.0.0");
    story.report(DEPLOYED);
    story.release("2.0.0");
    story
}

fn plan(action: &Action) -> &Plan {
    action.plan().unwrap_or_else(|| panic!("no plan: {action}"))
}

fn title(action: &Action) -> &str {
    &plan(action).title
}

#[test]
fn only_the_pin_changed_so_it_is_restored_and_the_commit_says_so() {
    let mut story = second_release();
    let bad = story.tip();
    let good = story.commit_before(bad);
    let action = story.report(Observation::Failed(Verdict::ModelWrong));
    assert!(matches!(action, Action::Restore(_)), "{action}");
    assert!(title(&action).starts_with("rollback(staging): 2.0.0 (model "), "{}", title(&action));
    let message = plan(&action).message();
    for part in [
        format!("This reverts commit {bad}."),
        "is quarantined.".to_owned(),
        "Change-Kind: rollback\n".to_owned(),
        format!("Rollback-Of: {bad}\n"),
        format!("Restores: {good}\n"),
        format!("Failed-Revision: {bad}\n"),
        "Verdict: model-wrong\n".to_owned(),
        "Evidence: ".to_owned(),
    ] {
        assert!(message.contains(&part), "`{part}` is missing in:\n{message}");
    }
    let dry_run = action.to_string();
    assert!(dry_run.starts_with(&message), "{dry_run}");
    for part in [
        "restore kustomize/overlays/staging/release/",
        "write kustomize/holds.yaml",
        "create refs/tags/rollback/staging/",
    ] {
        assert!(dry_run.contains(part), "`{part}` is missing in:\n{dry_run}");
    }
    assert_eq!(story.version(), "1.0.0");
    let action = story.report(DEPLOYED);
    assert!(matches!(action, Action::MarkVerified(_)), "{action}");
}

#[test]
fn a_failed_rollout_restores_but_quarantines_nothing() {
    let mut story = second_release();
    let action = story.report(Observation::Failed(Verdict::RolloutFailed));
    assert!(matches!(action, Action::Restore(_)), "{action}");
    assert!(!action.to_string().contains("holds.yaml"), "{action}");
}

#[test]
fn a_manifest_that_cannot_be_built_is_restored_too() {
    let mut story = second_release();
    story.edit_pin("<<<<<<< HEAD\n");
    let action = story.report(Observation::Unrenderable);
    assert!(matches!(action, Action::Restore(_)), "{action}");
    assert_eq!(story.version(), "1.0.0");
}

#[test]
fn of_two_bad_releases_the_first_is_not_brought_back() {
    let mut story = second_release();
    story.release("3.0.0");
    let action = story.report(Observation::Failed(Verdict::AppWrong));
    assert!(matches!(action, Action::Restore(_)), "{action}");
    assert!(!action.to_string().contains("This reverts commit"), "{action}");
    assert_eq!(story.version(), "1.0.0");
}

#[test]
fn both_changed_and_the_image_is_condemned_so_the_pin_alone_goes_back() {
    let mut story = second_release();
    let config = story.edit_config("a: 1\n");
    let action = story.report(Observation::Failed(Verdict::AppWrong));
    assert!(matches!(action, Action::Restore(_)), "{action}");
    assert!(plan(&action).message().contains(&config.short()), "{action}");
    assert_eq!(plan(&action).identical_to, None);
    assert_eq!(story.version(), "1.0.0");
}

#[test]
fn an_environment_that_was_never_released_cannot_run_and_nobody_is_woken() {
    let mut story = Story::new();
    let failed = Observation::Failed(Verdict::RolloutFailed);
    let nothing = Action::Nothing(Guard::NothingReleased);
    assert_eq!(story.report(failed), nothing);
    assert_eq!(story.report(Observation::TimedOut(Verdict::Unknown)), nothing);
    // Be it frozen, or its holds unreadable: nothing is about to run.
    story.freeze();
    assert_eq!(story.report(failed), nothing);
    // A release that failed is told, and so is what nobody could have released to.
    let mut story = Story::new();
    let action = story.report(Observation::Unrenderable);
    assert!(matches!(action, Action::Page(_)), "{action}");
    story.release("1.0.0");
    let action = story.report(failed);
    assert!(matches!(action, Action::Page(_)), "{action}");
}

#[test]
fn a_pin_that_was_wiped_out_is_brought_back() {
    let mut story = Story::new();
    story.release("1.0.0");
    story.report(DEPLOYED);
    story.edit_pin(&Pin::unreleased_yaml());
    let action = story.report(Observation::Failed(Verdict::RolloutFailed));
    assert!(matches!(action, Action::Restore(_)), "{action}");
    assert_eq!(story.version(), "1.0.0");
}

#[test]
fn the_pin_is_the_last_verified_one_so_a_human_reviews_the_configuration() {
    let mut story = Story::new();
    story.release("1.0.0");
    story.report(DEPLOYED);
    story.edit_config("a: 1\n");
    let action = story.report(Observation::Failed(Verdict::AppWrong));
    assert!(matches!(action, Action::OpenPullRequest(..)), "{action}");
    assert_eq!(action.guard(), Some(Guard::ConfigAtFault));
    assert_eq!(plan(&action).target, Target::Proposal);
    assert!(action.to_string().contains("create refs/heads/proposal/staging/"), "{action}");
    let again = story.report(Observation::Failed(Verdict::AppWrong));
    assert!(matches!(again, Action::Page(_)), "proposed once, told twice: {again}");
}

#[test]
fn a_revert_to_what_is_live_is_verified_without_an_operation_and_nothing_else_is() {
    let mut story = second_release();
    let already_live = Observation::Deployed(Proof::AlreadyLive);
    assert_eq!(story.report(already_live).guard(), Some(Guard::NotSmoked));
    story.report(Observation::Failed(Verdict::RolloutFailed));
    let action = story.report(already_live);
    assert!(matches!(action, Action::MarkVerified(_)), "{action}");
}

#[test]
fn a_rollback_by_hand_is_the_same_plan() {
    let mut story = second_release();
    let plan = story.roll_back(&Selector::Newest).unwrap();
    assert!(plan.message().contains("Reason: by hand"), "{plan}");
    assert_eq!(story.version(), "1.0.0");
    story.release("3.0.0");
    story.report(DEPLOYED);
    story.roll_back(&Selector::Version("1.0.0".to_owned())).unwrap();
    assert_eq!(story.version(), "1.0.0");
}

#[test]
fn another_tag_of_what_runs_already_restarts_nothing() {
    let mut story = second_release();
    story.report(DEPLOYED);
    story.promote().unwrap();
    let edit = |story: &mut Story, from: &str, to: &str| {
        let text = pin("2.0.0").to_yaml();
        assert!(text.contains(from), "{from}");
        story.edit_pin(&text.replacen(from, to, 1));
        story.report(DEPLOYED);
    };
    edit(&mut story, "newTag: 2.0.0", "newTag: stable");
    assert_eq!(story.promote().err(), Some(Guard::NothingToDo));
    assert_eq!(story.try_release("2.0.0").err(), Some(Guard::NothingToDo));
    // A registry that moved, and a version that says something else, are changes.
    edit(&mut story, "registry.example", "registry.example.org");
    story.try_release("2.0.0").unwrap();
    story.report(DEPLOYED);
    edit(&mut story, "APP_VERSION=2.0.0", "APP_VERSION=2.0.1");
    story.try_release("2.0.0").unwrap();
}

/// Argo CD renders the same afterwards, and so sends no report that could verify it again.
#[test]
fn an_edited_page_takes_no_verdict_away() {
    let mut story = second_release();
    story.report(DEPLOYED);
    for folder in ["base", "components/gpu", "overlays/staging"] {
        story.edit(&format!("kustomize/{folder}/README.md"), "# Said better\n");
    }
    story.edit("monitoring/rules/service.yaml", "groups: []\n");
    story.promote().unwrap();
    story.edit_config("of every environment\n");
    assert_eq!(story.promote().unwrap_err(), Guard::NotVerified);
}

/// Tells a story that ends at each guard.
fn stopped_by(guard: Guard) -> Option<Guard> {
    use Observation::{Failed, TimedOut};
    use Verdict::{AppWrong, RolloutFailed, Undecided, Unknown};
    let mut story = second_release();
    match guard {
        Guard::NotOnMain => story.report_stray(Failed(AppWrong)).guard(),
        Guard::RevisionUnknown => story.report_nowhere(Observation::Unrenderable).guard(),
        Guard::Duplicate => {
            let bad = story.tip();
            story.report(Failed(AppWrong));
            story.report_at(bad, Failed(AppWrong)).guard()
        }
        Guard::Superseded => {
            let bad = story.tip();
            story.release("3.0.0");
            story.report_at(bad, Failed(AppWrong)).guard()
        }
        Guard::AlreadyVerified => {
            story.report(DEPLOYED);
            story.report(DEPLOYED).guard()
        }
        Guard::RolledBack => {
            let bad = story.tip();
            story.report(Failed(RolloutFailed));
            story.report_at(bad, DEPLOYED).guard()
        }
        Guard::NotSmoked => story.report(Observation::Deployed(Proof::AlreadyLive)).guard(),
        Guard::HoldsUnreadable => {
            story.edit("kustomize/holds.yaml", "frozne: []\n");
            story.report(Failed(AppWrong)).guard()
        }
        Guard::Frozen => {
            story.freeze();
            story.report(Failed(AppWrong)).guard()
        }
        Guard::FailedAfterVerified => {
            story.report(DEPLOYED);
            story.report(Failed(AppWrong)).guard()
        }
        Guard::FailedRollback => {
            story.report(Failed(AppWrong));
            let action = story.report(Failed(AppWrong));
            assert!(matches!(action, Action::Freeze(..)), "{action}");
            assert_eq!(story.report(Failed(AppWrong)).guard(), Some(Guard::Frozen));
            action.guard()
        }
        Guard::NoVerdict => {
            assert_eq!(story.report(TimedOut(Unknown)).guard(), Some(Guard::NoVerdict));
            story.report(Failed(Undecided)).guard()
        }
        Guard::TooManyRollbacks => {
            for version in ["3.0.0", "4.0.0"] {
                assert!(matches!(story.report(Failed(AppWrong)), Action::Restore(_)));
                story.report(DEPLOYED);
                story.release(version);
            }
            let action = story.report(Failed(AppWrong));
            assert!(matches!(action, Action::Freeze(..)), "{action}");
            action.guard()
        }
        Guard::NothingToRestore => {
            let mut first = Story::new();
            first.release("1.0.0");
            first.report(Failed(AppWrong)).guard()
        }
        Guard::ConfigAtFault => {
            story.report(DEPLOYED);
            story.edit_config("a: 1\n");
            story.report(Failed(RolloutFailed)).guard()
        }
        Guard::ConfigAlsoChanged => {
            story.edit_config("a: 1\n");
            story.report(Failed(RolloutFailed)).guard()
        }
        Guard::NotByteIdentical => story.report_with(Mishap::RenderOther, Failed(AppWrong)).guard(),
        Guard::TouchesMore => story.report_with(Mishap::TouchMore, Failed(AppWrong)).guard(),
        Guard::ImageMissing => story.images(ImageCheck::Missing).report(Failed(AppWrong)).guard(),
        Guard::ImageUnchecked => {
            story.images(ImageCheck::Unchecked).report(Failed(AppWrong)).guard()
        }
        Guard::SignatureInvalid => {
            let unsigned = ImageCheck::Present(Signature::Invalid);
            story.images(unsigned).report(Failed(AppWrong)).guard()
        }
        Guard::Contended => story.report_in_a_crowd(Failed(AppWrong)).guard(),
        Guard::Held => {
            story.report(Failed(AppWrong));
            story.try_release("2.0.0").err()
        }
        Guard::InFlight => {
            story.report(DEPLOYED);
            story.promote().unwrap();
            story.release("3.0.0");
            story.report(DEPLOYED);
            story.promote().err()
        }
        Guard::NotVerified => story.promote().err(),
        Guard::NothingReleased => Story::new().promote().err(),
        Guard::NothingToDo => story.try_release("2.0.0").err(),
        Guard::UnknownVersion => story.roll_back(&Selector::Version("9".to_owned())).err(),
    }
}

#[test]
fn every_guard_stops_what_it_is_for() {
    for guard in Guard::ALL {
        assert_eq!(stopped_by(*guard), Some(*guard));
    }
}

#[test]
fn every_guard_and_every_verdict_has_a_runbook_and_a_sentence_of_its_own() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/runbooks.md");
    let runbooks = fs_err::read_to_string(path).unwrap();
    // Alerts have theirs at the end, and a test of their own.
    let (runbooks, _) = runbooks.split_once("\n## About an alert\n").unwrap();
    let headings: BTreeSet<String> =
        runbooks.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect();
    let guards = Guard::ALL.iter().map(|guard| (guard.runbook(), guard.to_string()));
    let verdicts = Verdict::ALL.iter().map(|verdict| (verdict.runbook(), verdict.to_string()));
    let mut sentences = BTreeSet::new();
    for (runbook, sentence) in guards.chain(verdicts) {
        let anchor = runbook.strip_prefix("docs/runbooks.md#").unwrap();
        assert!(headings.contains(anchor), "no heading `{anchor}`");
        assert!(sentence.len() > 20 && !sentence.ends_with('.'), "{sentence}");
        assert!(sentences.insert(sentence.clone()), "said twice: {sentence}");
    }
    let named = Guard::ALL.len() + Verdict::ALL.len();
    assert_eq!(headings.len(), named, "a heading that nothing names");
}
