//! Compare-and-swap: one atomic push of fast-forwards and new refs. Never forced.

use anyhow::Context;
use gitops::mainline::{Push, Update};

use super::NoAnswer;
use crate::process::Cmd;
use crate::report::WithHint;

/// Why the remote refuses whoever came second. Anything else is a refusal that trying again cannot help.
const LOST: [&str; 9] = [
    "fetch first",
    "non-fast-forward",
    "already exists",
    "stale info",
    "cannot lock ref",
    "failed to update ref",
    "incorrect old value provided",
    "atomic transaction failed",
    "failed to lock",
];

pub(super) fn push(git: Cmd, remote: &str, updates: &[Update]) -> anyhow::Result<Push> {
    let push = git.args(["push", "--atomic", "--porcelain", "--no-verify", "--", remote]);
    let push =
        push.args(updates.iter().map(|update| format!("{}:{}", update.to, update.reference)));
    let ended = push.end()?;
    if ended.success {
        return Ok(Push::Done);
    }
    if is_lost(&ended.stdout) {
        return Ok(Push::Lost);
    }
    // Whoever refuses says so for each ref.
    if !ended.stdout.lines().any(|line| line.starts_with("!\t")) {
        return Err(NoAnswer::new(&ended.stderr))
            .with_context(|| format!("pushing to `{remote}`"))
            .hint("git ls-remote shows whether the remote answers");
    }
    let said = [ended.stdout.trim(), ended.stderr.trim()].join("\n");
    Err(anyhow::anyhow!("{}", said.trim()))
        .with_context(|| format!("pushing to `{remote}`"))
        .hint("git push --dry-run shows whether you may push; protected branches need a bypass for the bot")
}

/// `!<tab>from:to<tab>[rejected] (reason)` for each ref that was refused.
fn is_lost(porcelain: &str) -> bool {
    let refused = porcelain.lines().filter_map(|line| line.strip_prefix("!\t"));
    let mut reasons = refused.filter_map(|line| line.rsplit_once('\t')).map(|(_, why)| why);
    reasons.any(|why| LOST.iter().any(|lost| why.contains(lost)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_coming_second_is_worth_another_try() {
        let line = |why: &str| format!("To /r\n!\tabc:refs/heads/main\t{why}\nDone\n");
        for why in [
            "[rejected] (fetch first)",
            "[rejected] (non-fast-forward)",
            "[rejected] (already exists)",
            "[remote rejected] (failed to update ref)",
            "[remote rejected] (cannot lock ref 'refs/heads/main': is at a but expected b)",
        ] {
            assert!(is_lost(&line(why)), "{why}");
        }
        for why in
            ["[remote rejected] (pre-receive hook declined)", "[rejected] (atomic push failed)"]
        {
            assert!(!is_lost(&line(why)), "{why}");
        }
        assert!(!is_lost(""));
    }
}
