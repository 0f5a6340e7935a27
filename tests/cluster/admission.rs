//! What the API server says of every overlay.

use e2e::process::{command, run};
use e2e::repo;

use crate::world::{World, kubectl, service, turn};

#[test]
fn every_overlay_is_admitted_and_pods_that_ask_for_more_are_not() {
    let _turn = turn();
    let pin = service();
    let world = World::new("admission", &pin);
    let namespace = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {}\n  labels:\n    \
         pod-security.kubernetes.io/enforce: restricted\n",
        world.namespace
    );
    world.apply_text(&namespace);
    for overlay in fs_err::read_dir(repo::root().join("kustomize/overlays")).unwrap() {
        let overlay = overlay.unwrap();
        let name = overlay.file_name().into_string().unwrap();
        let rendered = run(command("kustomize", &overlay.path()).args(["build", "."])).success();
        // A namespace that is only rehearsed is none for what belongs into it.
        let manifests = rendered.stdout.replace(&format!("mnist-{name}"), &world.namespace);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), manifests).unwrap();
        let file = file.path().display().to_string();
        let rehearsal = kubectl(&[
            "apply",
            "--server-side",
            "--dry-run=server",
            "--warnings-as-errors",
            "--filename",
            &file,
        ]);
        assert_eq!(rehearsal.code, Some(0), "{name}: {}", rehearsal.stderr);
    }
    let greedy = kubectl(&[
        "run",
        "greedy",
        "--namespace",
        &world.namespace,
        "--image",
        "any",
        "--privileged",
    ]);
    assert!(greedy.stderr.contains("violates PodSecurity \"restricted"), "{}", greedy.stderr);
}
