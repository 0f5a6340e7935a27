//! A study, and its trials below it.

use contract::run::{self, Record};
use e2e::process::run as ended;
use serde_json::{Value, json};

use crate::mlflow::Mlflow;
use crate::proxy::{Mode, Proxy};
use crate::records::Home;
use crate::world::World;

const STUDY: &str = "
base: ../small.yaml
space: { schedule.peak: { choice: [0.05, 0.3] } }
trials: 2
sampler: random
confirm: 0
";

/// The study's run at the server, with two trials below it.
fn is_whole(server: &Mlflow, experiment: &str) -> Value {
    let mut runs = server.runs(experiment);
    assert_eq!(runs.len(), 3, "{runs:#?}");
    let study = runs.remove(0);
    assert_eq!((&study["name"], &study["status"]), (&json!("study-tracked"), &json!("FINISHED")));
    assert_eq!(study["params"]["base"], "../small.yaml");
    assert_eq!(study["metrics"]["best/validation/accuracy"].as_array().unwrap().len(), 2);
    for (trial, number) in runs.iter().zip(["0000", "0001"]) {
        let tags = &trial["tags"];
        assert_eq!(
            (&tags["mlflow.parentRunId"], &tags["study.trial"]),
            (&study["id"], &json!(number))
        );
        assert_eq!(trial["metrics"]["validation/accuracy"].as_array().unwrap().len(), 4);
        assert_eq!(trial["status"], "FINISHED");
    }
    study
}

#[test]
fn a_study_is_told_with_its_trials_below_it_while_it_goes_on_and_once_more_it_is_the_same() {
    let (server, world, experiment) = (Mlflow::shared(), World::new(), "study-live");
    let study = world.write("studies/tracked.yaml", STUDY);
    let tune = || {
        let mut tune = world.tune(&study, "home", &[]);
        tune.env("MLFLOW_TRACKING_URI", server.url()).env("MLFLOW_EXPERIMENT_NAME", experiment);
        tune
    };
    let told = ended(&mut tune()).success();
    assert!(!told.stderr.contains("not tracked"), "{}", told.stderr);
    let before = is_whole(server, experiment);
    ended(&mut tune()).success();
    assert_eq!(is_whole(server, experiment)["id"], before["id"]);
}

#[test]
fn what_the_server_has_of_a_study_is_asked_for_at_its_end_and_not_for_each_trial() {
    let (server, world, experiment) = (Mlflow::shared(), World::new(), "study-long");
    let proxy = Proxy::before(server.port(), Mode::Pass);
    let study = STUDY.replace("trials: 2", "trials: 5");
    let study = world.write("studies/tracked.yaml", &study);
    let mut tune = world.tune(&study, "home", &[]);
    tune.env("MLFLOW_TRACKING_URI", proxy.url()).env("MLFLOW_EXPERIMENT_NAME", experiment);
    let told = ended(&mut tune).success();
    assert!(!told.stderr.contains("not tracked"), "{}", told.stderr);
    let [study, trials @ ..] = &server.runs(experiment)[..] else { panic!("nothing is there") };
    assert_eq!((trials.len(), &study["status"]), (5, &json!("FINISHED")));
    for metric in ["trial", "best"] {
        let points = &study["metrics"][format!("{metric}/validation/accuracy")];
        assert_eq!(points.as_array().unwrap().len(), 5, "{study}");
    }
    // Of the study alone, its two.
    assert!(proxy.asked("/metrics/get-history") <= 2, "{}", proxy.asked("/metrics/get-history"));
}

#[test]
fn a_study_that_no_server_took_is_sent_later_in_any_order() {
    let (server, world) = (Mlflow::shared(), World::new());
    let study = world.write("studies/tracked.yaml", STUDY);
    let mut tune = world.tune(&study, "home", &[]);
    let told = ended(tune.env("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")).success();
    assert_eq!(told.stderr.matches("not tracked: ").count(), 1, "{}", told.stderr);
    let home = Home::new();
    e2e::repo::copy(&world.runs("home"), &home.runs());
    let ids: Vec<String> = run::entries(&home.runs())
        .unwrap()
        .iter()
        .map(|folder| Record::read(folder).unwrap().run_id)
        .collect();
    let trial = ids.iter().find(|id| id.contains("-0001-")).unwrap();
    home.xtask(&["track", trial, "--experiment", "study-late"], &server.url()).success();
    home.xtask(&["track", "--experiment", "study-late"], &server.url()).success();
    is_whole(server, "study-late");
}
