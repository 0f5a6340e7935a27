//! kustomize: the only reader of `kustomize/`. What it prints is what Argo CD applies, as long as both
//! are the same version.

use std::path::Path;

use crate::process::Cmd;
use crate::tools::pinned::GoTool;

const KUSTOMIZE: GoTool =
    GoTool { name: "kustomize", package: "sigs.k8s.io/kustomize/kustomize/v5", version: "v5.8.2" };

/// The manifests of one overlay, or what kustomize has against it.
pub(crate) fn build(overlay: &Path) -> anyhow::Result<Result<String, String>> {
    if !overlay.is_dir() {
        return Ok(Err(format!("there is no folder {}", overlay.display())));
    }
    let ended = Cmd::new(KUSTOMIZE.provide()?, overlay).args(["build", "."]).end()?;
    if ended.success {
        return Ok(Ok(ended.stdout));
    }
    Ok(Err(innermost(ended.stderr.trim()).to_owned()))
}

pub(crate) fn provide() -> anyhow::Result<()> {
    KUSTOMIZE.provide().map(drop)
}

/// kustomize tells a mistake once per folder on the way to it, the mistake itself last.
fn innermost(error: &str) -> &str {
    let path = error.rsplit_once("recursed accumulation of path '").map_or(error, |(_, rest)| rest);
    path.split_once("': ").map_or(error, |(_, mistake)| mistake)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_told_without_the_way_to_it() {
        let nested = "Error: accumulating resources: accumulation err='accumulating resources from \
            '../../base': '/r/base' must resolve to a file': recursed accumulation of path '/r/base': \
            loading KV pairs: file sources: [probes.json]: no such file";
        assert_eq!(
            innermost(nested),
            "loading KV pairs: file sources: [probes.json]: no such file"
        );
        assert_eq!(innermost("Error: no kustomization"), "Error: no kustomization");
    }
}
