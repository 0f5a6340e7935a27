//! Who may talk to whom, tried from pods.

use serde_json::{Value, json};

use crate::world::{World, service, tool, turn};

/// Ends with 0 where a TCP connection comes about within three seconds.
const CONNECT: &str =
    r#"for try in 1 2 3; do timeout 3 bash -c "exec 3<>/dev/tcp/$0/$1" && exit 0; done; exit 1"#;

#[test]
fn pods_reach_what_the_policies_open_and_nothing_else() {
    let _turn = turn();
    let tool = tool();
    let world = World::new("policies", &service());
    world.apply();
    let labels = |component: &str| json!({ "app.kubernetes.io/name": "mnist-api", "app.kubernetes.io/component": component });
    let api = ["kubernetes.default", "443"];
    let service = ["mnist-service", "80"];
    // Who has the service's labels gets a share of its requests too, so that one ends at once.
    for (name, labels, [host, port], reached) in [
        ("smoke-to-service", labels("smoke"), service, true),
        ("smoke-to-api", labels("smoke"), api, false),
        ("service-to-api", labels("service"), api, false),
        ("stranger-to-service", json!({}), service, false),
        ("stranger-to-api", json!({}), api, false),
    ] as [(&str, Value, [&str; 2], bool); 5]
    {
        world.pod(name, &tool, &labels, &["bash", "-c", CONNECT, host, port]);
        let (code, said) = world.end_of(name, 60);
        assert_eq!(code == 0, reached, "{name}: {said}");
    }
}
