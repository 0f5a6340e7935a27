//! compose.yaml: the service as confined as in a cluster, and nothing open to the network.

use e2e::process::{command, run};
use e2e::repo;
use serde_json::Value;

use super::{files, monitoring, read};

fn compose() -> Value {
    let file = repo::root().join("compose.yaml");
    let text = fs_err::read_to_string(file).unwrap();
    let mut document: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    document.apply_merge().unwrap();
    serde_json::to_value(document).unwrap()
}

fn services(compose: &Value) -> impl Iterator<Item = (&String, &Value)> {
    compose["services"].as_object().unwrap().iter()
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().unwrap())
}

#[test]
fn every_container_is_confined_and_open_to_this_machine_alone() {
    let compose = compose();
    for (name, service) in services(&compose) {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(texts(&service["cap_drop"]).collect::<Vec<_>>(), ["ALL"], "{name}");
        let options: Vec<_> = texts(&service["security_opt"]).collect();
        assert_eq!(options, ["no-new-privileges:true"], "{name}");
        let user: u32 =
            service["user"].as_str().unwrap().split(':').next().unwrap().parse().unwrap();
        assert_ne!(user, 0, "{name}");
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(["cpus", "memory", "pids"].iter().all(|of| !limits[of].is_null()), "{name}");
        for loose in
            ["privileged", "cap_add", "network_mode", "pid", "ipc", "devices", "userns_mode"]
        {
            assert!(service[loose].is_null(), "{name}: {loose}");
        }
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        // What comes from the checkout is read, never written.
        for volume in texts(&service["volumes"]).filter(|volume| volume.starts_with('.')) {
            let (source, _) = volume.split_once(':').unwrap();
            assert!(volume.ends_with(":ro"), "{name}: {volume}");
            assert!(repo::root().join(source).exists(), "{name}: {source} is not there");
        }
        let image = service["image"].as_str().unwrap();
        assert!(names_one_program(image), "{name}: {image}");
    }
}

/// Chosen by whoever starts it, or of one version by default: a tag that moves is another program tomorrow.
fn names_one_program(image: &str) -> bool {
    let variable = image.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let Some((_, default)) = variable.and_then(|variable| variable.split_once(':')) else {
        return false;
    };
    if default.starts_with('?') {
        return true;
    }
    let name = default.trim_start_matches('-').rsplit('/').next().unwrap_or_default();
    let tag = name.split_once(':').map_or("", |(_, tag)| tag.trim_start_matches('v'));
    tag.split('.').count() == 3 && tag.split('.').all(|part| part.parse::<u32>().is_ok())
}

#[test]
fn an_image_is_of_one_version_or_chosen() {
    for image in ["${A:?say which}", "${A:-docker.io/o/a:v1.2.3}", "${A:-localhost:5000/a:1.2.3}"] {
        assert!(names_one_program(image), "{image}");
    }
    for image in [
        "docker.io/o/a:1.2.3",
        "${A:-docker.io/o/a}",
        "${A:-localhost:5000/a}",
        "${A:-docker.io/o/a:latest}",
        "${A:-docker.io/o/a:12}",
        "${A}",
    ] {
        assert!(!names_one_program(image), "{image}");
    }
}

#[test]
fn the_service_is_held_as_in_a_cluster() {
    let compose = compose();
    let api = &compose["services"]["api"];
    let deployment = read(&repo::root().join("kustomize/base/deployment.yaml"));
    let pod = &deployment["spec"]["template"]["spec"];
    let of = &pod["securityContext"];
    assert_eq!(api["user"], format!("{}:{}", of["runAsUser"], of["runAsGroup"]));
    let limits = &pod["containers"][0]["resources"]["limits"];
    let held = &api["deploy"]["resources"]["limits"];
    assert_eq!(held["cpus"], limits["cpu"]);
    assert_eq!(
        format!("{}i", held["memory"].as_str().unwrap()),
        limits["memory"].as_str().unwrap()
    );
    assert!(api["volumes"].is_null() && api["tmpfs"].is_null(), "it writes no file");
    let checks: Vec<_> = texts(&api["healthcheck"]["test"]).collect();
    let dockerfile = fs_err::read_to_string(repo::root().join("Dockerfile")).unwrap();
    assert!(
        dockerfile.contains(&format!("CMD [\"{}\"]", checks[1..].join("\", \""))),
        "{checks:?}"
    );
}

#[test]
fn nobody_is_let_into_grafana_without_a_password_that_somebody_chose() {
    let compose = compose();
    let environment = &compose["services"]["grafana"]["environment"];
    assert_eq!(environment["GF_AUTH_ANONYMOUS_ENABLED"], "false");
    assert_eq!(environment["GF_USERS_ALLOW_SIGN_UP"], "false");
    // Nor does it call anybody: by default it fetches plugins, news, and what is newer.
    for (setting, wanted) in [
        ("GF_ANALYTICS_REPORTING_ENABLED", "false"),
        ("GF_ANALYTICS_CHECK_FOR_UPDATES", "false"),
        ("GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES", "false"),
        ("GF_PLUGINS_PREINSTALL_DISABLED", "true"),
        ("GF_NEWS_NEWS_FEED_ENABLED", "false"),
    ] {
        assert_eq!(environment[setting], wanted, "{setting}");
    }
    let password = environment["GF_SECURITY_ADMIN_PASSWORD"].as_str().unwrap();
    assert!(password.starts_with("${GRAFANA_PASSWORD:?"), "{password}");
}

#[test]
fn prometheus_and_grafana_get_the_files_that_are_tested_here() {
    let compose = compose();
    let all: Vec<&str> =
        services(&compose).flat_map(|(_, service)| texts(&service["volumes"])).collect();
    for folder in ["rules", "dashboards"] {
        let mounted = format!("./monitoring/{folder}:");
        assert!(all.iter().any(|volume| volume.starts_with(&mounted)), "{folder}");
        assert!(!files(folder).is_empty());
    }
    let provisioned = read(&monitoring().join("compose/grafana/dashboards.yaml"));
    let folder = provisioned["providers"][0]["options"]["path"].as_str().unwrap();
    assert!(
        all.iter().any(|volume| volume.contains(&format!("/dashboards:{folder}:"))),
        "{folder}"
    );

    let config = monitoring().join("compose/prometheus.yml");
    let mut check = command("promtool", &monitoring());
    run(check.args(["check", "config", "--syntax-only"]).arg(&config)).success();
    let rules = read(&config)["rule_files"][0].as_str().unwrap().replace("/*.yaml", "");
    assert!(all.iter().any(|volume| volume.contains(&format!("/rules:{rules}:"))), "{rules}");
    let source = read(&monitoring().join("compose/grafana/datasources.yaml"));
    let address = source["datasources"][0]["url"].as_str().unwrap();
    let host = address.trim_start_matches("http://").split(':').next().unwrap();
    assert!(compose["services"][host].is_object(), "{address}");
}
