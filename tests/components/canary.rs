//! A canary: asked the same as the release, and not for longer than a sync may take.

use e2e::repo;
use serde_json::Value;

use super::{Overlay, list, of};

/// Else the canary could pass where the release fails, or be judged by another release's numbers.
#[test]
fn a_canary_is_asked_the_same_as_the_release_but_elsewhere() {
    let objects = Overlay::with(&["canary".to_owned()]).objects();
    let [job] = of(&objects, "Job")[..] else { panic!("one Job") };
    let templates = of(&objects, "AnalysisTemplate");
    let mut specs =
        templates.iter().filter_map(|object| object.pointer("/spec/metrics/0/provider/job/spec"));
    let mut analysis = specs.next().unwrap().clone();
    let [rollout] = of(&objects, "Rollout")[..] else { panic!("one Rollout") };
    let canary = rollout["spec"]["strategy"]["canary"]["canaryService"].as_str().unwrap();
    let url = "/template/spec/containers/0/args/1";
    let asked = std::mem::replace(
        analysis.pointer_mut(url).unwrap(),
        job["spec"].pointer(url).unwrap().clone(),
    );
    assert_eq!(asked, format!("http://{canary}"));
    assert_eq!(analysis, job["spec"]);
}

fn seconds(duration: &str) -> u64 {
    let (number, unit) = duration.split_at(duration.len() - 1);
    number.parse::<u64>().unwrap() * if unit == "m" { 60 } else { 1 }
}

/// Else a release that is only slow ends without a verdict, and a human is called.
#[test]
fn a_canary_that_takes_as_long_as_it_may_ends_before_argo_cd_gives_up() {
    let objects = Overlay::with(&["canary".to_owned()]).objects();
    let [rollout] = of(&objects, "Rollout")[..] else { panic!("one Rollout") };
    let [job] = of(&objects, "Job")[..] else { panic!("one Job") };
    let smoke = job["spec"]["activeDeadlineSeconds"].as_u64().unwrap();
    let ready = rollout["spec"]["progressDeadlineSeconds"].as_u64().unwrap();
    let longest = |template: &Value| {
        let metric = &template["spec"]["metrics"][0];
        if metric["provider"]["job"].is_object() {
            return smoke;
        }
        let [delay, interval] = ["initialDelay", "interval"].map(|of| metric[of].as_str().unwrap());
        seconds(delay) + metric["count"].as_u64().unwrap() * seconds(interval)
    };
    // The last pods and the smoke test after the sync follow in any case.
    let mut all = ready + smoke;
    for step in list(&rollout["spec"]["strategy"]["canary"]["steps"]) {
        let named = list(&step["analysis"]["templates"]).iter().map(|of| &of["templateName"]);
        let templates = of(&objects, "AnalysisTemplate");
        let find = |name: &Value| {
            longest(templates.iter().find(|object| object["metadata"]["name"] == *name).unwrap())
        };
        all += named.map(find).max().unwrap_or(ready);
    }
    let settings = repo::root().join("argocd/install/argocd-cmd-params-cm.yaml");
    let settings: Value = serde_yaml::from_str(&fs_err::read_to_string(settings).unwrap()).unwrap();
    let limit = settings["data"]["controller.sync.timeout.seconds"].as_str().unwrap();
    assert!(all <= limit.parse().unwrap(), "{all} s of {limit} s");
}
