//! Every query that a rule or a dashboard asks, read by Prometheus's own parser.

use std::collections::BTreeSet;
use std::path::PathBuf;

use e2e::process::{command, run};
use serde_json::{Value, json};

use super::{alerts, files, groups, monitoring, read};

pub(crate) struct Query {
    /// Where it stands, for whoever has to repair it.
    pub(crate) place: String,
    pub(crate) text: String,
}

/// `label=~"value"`
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Matcher {
    pub(crate) label: String,
    pub(crate) operator: String,
    pub(crate) value: String,
}

impl Matcher {
    /// Of its alternatives those that none of these values is: nothing would ever be found by them.
    pub(crate) fn dead<'a>(&'a self, values: &BTreeSet<String>) -> Vec<&'a str> {
        let literal = !self.operator.ends_with('~');
        let fits = |pattern: &str, value: &str| {
            if literal { pattern == value } else { fits(pattern, value) }
        };
        let alternatives = self.value.split('|');
        alternatives.filter(|one| !values.iter().any(|value| fits(one, value))).collect()
    }
}

/// As much of a regular expression as is written here: letters, `.` and `.*`.
fn fits(pattern: &str, value: &str) -> bool {
    assert!(!pattern.contains(['(', '[', '+', '?', '\\']), "`{pattern}` is not understood here");
    let Some(first) = pattern.chars().next() else { return value.is_empty() };
    if let Some(rest) = pattern.strip_prefix(".*") {
        return value.char_indices().any(|(at, _)| fits(rest, &value[at..])) || fits(rest, "");
    }
    let mut left = value.chars();
    left.next().is_some_and(|letter| first == '.' || first == letter)
        && fits(&pattern[first.len_utf8()..], left.as_str())
}

/// The metrics that a query names, each with what it selects by, and all labels that it groups by.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) metrics: Vec<(String, Vec<Matcher>)>,
    pub(crate) grouped_by: BTreeSet<String>,
}

fn dashboards() -> Vec<(PathBuf, Value)> {
    files("dashboards").into_iter().map(|file| (file.clone(), read(&file))).collect()
}

/// Variables as Grafana fills them in.
fn filled_in(query: &str) -> String {
    let query = query.replace("$__rate_interval", "5m");
    query.replace("$namespace", "production").replace("$application", "shop-production")
}

/// What a canary is judged by, as Argo Rollouts fills it in.
fn canary() -> Query {
    let file = "kustomize/components/canary/success-rate.yaml";
    let template = read(&e2e::repo::root().join(file));
    let query = template["spec"]["metrics"][0]["provider"]["prometheus"]["query"].as_str().unwrap();
    let text = query.replace("{{args.namespace}}", "production").replace("{{args.pods}}", "new");
    Query { place: "canary".to_owned(), text }
}

pub(crate) fn queries() -> Vec<Query> {
    let mut queries = vec![canary()];
    for group in groups() {
        for rule in group["rules"].as_array().unwrap() {
            let name = rule["alert"].as_str().or_else(|| rule["record"].as_str()).unwrap();
            let text = rule["expr"].as_str().unwrap().to_owned();
            queries.push(Query { place: name.to_owned(), text });
        }
    }
    for (file, board) in dashboards() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for panel in board["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let place = format!("{name}: {}", panel["title"]);
                queries.push(Query { place, text: filled_in(target["expr"].as_str().unwrap()) });
            }
        }
        for variable in board["templating"]["list"].as_array().unwrap() {
            // `label_values(SELECTOR, LABEL)` is Grafana's own; within it is a query.
            let values = variable["query"].as_str().unwrap().strip_prefix("label_values(");
            if let Some((selector, label)) = values.and_then(|inner| inner.rsplit_once(", ")) {
                let text = format!("count by ({}) ({selector})", label.trim_end_matches(')'));
                queries.push(Query { place: format!("{name}: {}", variable["name"]), text });
            }
        }
    }
    queries
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_:".contains(c)
}

/// Of a list such as `namespace=~"a, b",class="c"`.
fn matchers(list: &str) -> Vec<Matcher> {
    let parts: Vec<&str> = list.split('"').collect();
    let pairs = parts.chunks_exact(2).map(|pair| {
        let name = pair[0].trim_start_matches([',', ' ', '\n']).trim_end();
        let (label, operator) = name.split_at(name.find(|c| !is_of_a_name(c)).unwrap());
        let [label, operator, value] = [label, operator.trim(), pair[1]].map(str::to_owned);
        Matcher { label, operator, value }
    });
    pairs.collect()
}

/// Where `close` stands outside of quotes.
fn end_of(text: &str, close: char) -> usize {
    let mut quoted = false;
    let end = text.char_indices().find(|&(_, c)| {
        quoted ^= c == '"';
        c == close && !quoted
    });
    end.unwrap_or_else(|| panic!("no `{close}` in `{text}`")).0
}

/// Only for what promtool has read: it does not look for mistakes.
pub(crate) fn names(query: &str) -> Names {
    const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
    const WORDS: [&str; 10] =
        ["and", "or", "unless", "offset", "bool", "sum", "count", "max", "min", "avg"];
    let mut found = Names::default();
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        match c {
            '[' => rest = &rest[end_of(rest, ']')..],
            // A number or a duration.
            '0'..='9' => {
                rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
                continue;
            }
            _ if is_of_a_name(c) => {
                let (word, after) =
                    rest.split_at(rest.find(|c| !is_of_a_name(c)).unwrap_or(rest.len()));
                rest = after;
                let next = after.trim_start();
                if GROUPING.contains(&word) && next.starts_with('(') {
                    let end = end_of(next, ')');
                    let labels = next[1..end].split(',').map(|label| label.trim().to_owned());
                    found.grouped_by.extend(labels);
                    rest = &next[end + 1..];
                } else if let Some(inner) = next.strip_prefix('{') {
                    let end = end_of(inner, '}');
                    found.metrics.push((word.to_owned(), matchers(&inner[..end])));
                    rest = &inner[end + 1..];
                } else if !next.starts_with('(') && !WORDS.contains(&word) {
                    found.metrics.push((word.to_owned(), Vec::new()));
                }
                continue;
            }
            _ => {}
        }
        rest = &rest[rest.chars().next().map_or(0, char::len_utf8)..];
    }
    found
}

#[test]
fn names_are_found_in_a_query() {
    let query = r#"1e3 * sum by (le, b) (rate(x_total{c=~"d, e}",f!="g"}[5m])) / on (b) a:b:c > 0.5 and up"#;
    let metric = |name: &str, matchers: &[[&str; 3]]| {
        let matchers = matchers.iter().map(|matcher| matcher.map(str::to_owned));
        let matchers = matchers.map(|[label, operator, value]| Matcher { label, operator, value });
        (name.to_owned(), matchers.collect::<Vec<_>>())
    };
    let wanted = Names {
        metrics: vec![
            metric("x_total", &[["c", "=~", "d, e}"], ["f", "!=", "g"]]),
            metric("a:b:c", &[]),
            metric("up", &[]),
        ],
        grouped_by: ["le", "b"].map(str::to_owned).into(),
    };
    assert_eq!(names(query), wanted);
}

#[test]
fn an_alternative_that_finds_nothing_is_found() {
    let values = ["/v1/predict", "/livez", "0.1"].map(str::to_owned).into();
    for (operator, value, dead) in [
        ("=~", "/v1/.*", &[][..]),
        ("=~", "/v1/predict.*|/v2/.*/infer", &["/v2/.*/infer"]),
        ("!~", "/livez|/readyz", &["/readyz"]),
        ("=~", "/v1/predic", &["/v1/predic"]),
        ("=", "0.1", &[]),
        ("=", "0.2", &["0.2"]),
    ] {
        let [label, operator, value] = ["http_route", operator, value].map(str::to_owned);
        let matcher = Matcher { label, operator, value };
        assert_eq!(matcher.dead(&values), dead, "{matcher:?}");
    }
}

/// What the service answers is in its document, committed and compared; the rest is for machines and browsers.
#[test]
fn every_route_that_is_asked_for_is_one_of_the_service() {
    let document = read(&e2e::repo::root().join("app/openapi.json"));
    let mut routes: BTreeSet<String> =
        document["paths"].as_object().unwrap().keys().cloned().collect();
    routes.insert("/metrics".to_owned());
    let mut asked = 0;
    for Query { place, text } in queries() {
        for matcher in names(&text).metrics.into_iter().flat_map(|(_, matchers)| matchers) {
            if matcher.label == "http_route" {
                asked += 1;
                assert!(matcher.dead(&routes).is_empty(), "{place}: {matcher:?}");
            }
        }
    }
    assert!(asked > 20, "{asked}");
}

/// Names of metrics are everybody's: a Prometheus has those of other services and Applications too.
#[test]
fn every_query_is_about_this_service_and_its_applications_alone() {
    for Query { place, text } in queries() {
        for (metric, matchers) in names(&text).metrics {
            let about = |wanted: &str| {
                let of = |matcher: &Matcher| matcher.label == wanted && matcher.operator == "=";
                matchers.iter().find(|matcher| of(matcher)).map(|matcher| matcher.value.as_str())
            };
            match metric.split('_').next().unwrap() {
                // Objects and alerts have names of ours; what was recorded is from one of the others.
                "kube" | "ALERTS" | "name:failed" | "name:succeeded" => {}
                "argocd" => assert!(about("project").is_some(), "{place}: {text}"),
                _ => assert_eq!(about("job"), Some("mnist-api"), "{place}: {text}"),
            }
        }
    }
}

/// A Rollout takes the pods over, and the Deployment has none from then on.
#[test]
fn pods_are_counted_whoever_owns_them() {
    for Query { place, text } in queries() {
        for (metric, _) in names(&text).metrics {
            let owned = ["kube_deployment_", "kube_replicaset_"];
            assert!(owned.iter().all(|owner| !metric.starts_with(owner)), "{place}: {text}");
        }
    }
}

/// `job` is the name of the Service's label in a cluster, and of the job where there is one machine.
#[test]
fn the_service_is_the_same_job_wherever_it_runs() {
    let read = |file: &str| read(&e2e::repo::root().join(file));
    let monitor = read("monitoring/operator/service-monitor.yaml");
    let service = read("kustomize/base/service.yaml");
    let label = monitor["spec"]["jobLabel"].as_str().unwrap();
    assert_eq!(service["metadata"]["labels"][label], "mnist-api");
    for (name, value) in monitor["spec"]["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(service["metadata"]["labels"][name], *value, "{name}");
    }
    for namespace in monitor["spec"]["namespaceSelector"]["matchNames"].as_array().unwrap() {
        let name = namespace.as_str().unwrap().rsplit('-').next().unwrap();
        let overlay = read(&format!("kustomize/overlays/{name}/kustomization.yaml"));
        assert_eq!(overlay["namespace"], *namespace);
    }
    let compose = read("monitoring/compose/prometheus.yml");
    assert_eq!(compose["scrape_configs"][0]["job_name"], "mnist-api");
}

#[test]
fn prometheus_reads_every_query() {
    let queries = queries();
    assert!(queries.len() > 30, "{}", queries.len());
    let rules: Vec<Value> = queries
        .iter()
        .enumerate()
        .map(|(index, query)| json!({ "record": format!("query_{index}"), "expr": query.text }))
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    let rules = json!({ "groups": [{ "name": "all", "rules": rules }] });
    fs_err::write(file.path(), rules.to_string()).unwrap();
    run(command("promtool", &monitoring()).args(["check", "rules"]).arg(file.path())).success();
}

#[test]
fn what_is_recorded_is_used_and_what_is_used_is_recorded() {
    let recorded: BTreeSet<String> = groups()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .filter_map(|rule| rule["record"].as_str().map(str::to_owned))
        .collect();
    let used: BTreeSet<String> = queries()
        .iter()
        .flat_map(|query| names(&query.text).metrics)
        .map(|(name, _)| name)
        .filter(|name| name.contains(':'))
        .collect();
    assert_eq!(used, recorded);
}

#[test]
fn a_dashboard_is_found_by_its_uid_and_asks_the_datasource_that_its_reader_chose() {
    let mut uids = BTreeSet::new();
    for (file, board) in dashboards() {
        let name = file.file_stem().unwrap().to_string_lossy();
        assert_eq!(board["uid"], format!("mnist-api-{name}"));
        assert!(uids.insert(board["uid"].to_string()), "{name}");
        assert!(board["id"].is_null(), "{name}: a number that only one Grafana knows");
        let variables = board["templating"]["list"].as_array().unwrap();
        assert_eq!(variables[0]["name"], "datasource");
        let panels = board["panels"].as_array().unwrap();
        let chosen = panels.iter().chain(&variables[1..]).map(|asks| &asks["datasource"]["uid"]);
        chosen.for_each(|uid| assert_eq!(uid, "${datasource}", "{name}"));
        let ids: BTreeSet<String> = panels.iter().map(|panel| panel["id"].to_string()).collect();
        assert_eq!(ids.len(), panels.len(), "{name}");
    }
    assert_eq!(uids.len(), 2);
}

#[test]
fn the_dashboard_of_alerts_shows_every_alert() {
    let queries = queries();
    let shown = queries.iter().find(|query| query.text.contains("ALERTS{")).unwrap();
    let shown: BTreeSet<&str> = shown
        .text
        .split("alertname=~\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .split('|')
        .collect();
    let alerts = alerts();
    assert_eq!(shown, alerts.iter().map(|alert| alert["alert"].as_str().unwrap()).collect());
}

#[test]
fn a_canary_is_judged_by_all_of_its_answers() {
    let series = |job: &str, pod: &str, status: &str, values: &str| {
        let labels = [("job", job), ("pod", pod), ("http_response_status_code", status)];
        let labels = labels.map(|(name, value)| format!("{name}=\"{value}\"")).join(",");
        let rest = r#"namespace="production",http_route="/v1/predict""#;
        let name = "http_server_request_duration_seconds_count";
        json!({ "series": format!("{name}{{{labels},{rest}}}"), "values": values })
    };
    let rollout = read(&e2e::repo::root().join("kustomize/components/canary/rollout.yaml"));
    let pods =
        |version: &str| format!("{}-{version}-1", rollout["metadata"]["name"].as_str().unwrap());
    let (job, pod, old) = ("mnist-api", &pods("new"), &pods("old"));
    let all = "0+10x20";
    let cases = [
        (vec![series(job, pod, "200", all)], Some(1.0)),
        (vec![series(job, pod, "500", all)], Some(0.0)),
        (vec![series(job, pod, "200", all), series(job, pod, "503", all)], Some(0.5)),
        (vec![series(job, pod, "200", all), series(job, pod, "429", all)], Some(1.0)),
        // Nobody asked it anything; what others answered says nothing of it.
        (vec![series(job, old, "500", all)], None),
        (vec![series("shop", pod, "500", all)], None),
    ];
    let query = canary().text;
    let tests = cases.map(|(series, wanted)| {
        let samples: Vec<Value> =
            wanted.into_iter().map(|value| json!({ "labels": "{}", "value": value })).collect();
        json!({ "interval": "1m", "input_series": series,
            "promql_expr_test": [{ "expr": query, "eval_time": "15m", "exp_samples": samples }] })
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), json!({ "tests": tests }).to_string()).unwrap();
    run(command("promtool", &monitoring()).args(["test", "rules"]).arg(file.path())).success();
}
