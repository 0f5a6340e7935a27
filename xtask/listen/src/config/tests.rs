//! What of flags and environment can be used.

use clap::{CommandFactory, Parser};

use crate::Cli;
use crate::config::{Config, Mistakes};

fn config(args: &[&str]) -> Result<Config, Mistakes> {
    let args = ["gitops-listen"].iter().chain(args);
    Config::try_from(Cli::try_parse_from(args).unwrap().options)
}

fn told(args: &[&str]) -> String {
    config(args).unwrap_err().to_string()
}

const NEEDED: [&str; 6] =
    ["--spool", "spool", "--token", "0123456789abcdef", "--xtask", "/bin/true"];

#[test]
fn only_loopback_is_listened_on_unless_said_otherwise() {
    Cli::command().debug_assert();
    assert!(config(&NEEDED).unwrap().listen.ip().is_loopback());
    let open = config(&[&NEEDED[..], &["--address", "::", "--port", "80"]].concat()).unwrap();
    assert_eq!(open.listen, "[::]:80".parse().unwrap());
}

#[test]
fn it_does_not_start_without_a_token() {
    let without = [&NEEDED[..2], &NEEDED[4..]].concat();
    assert!(
        told(&without).contains("--token-file (LISTEN_TOKEN_FILE): missing"),
        "{}",
        told(&without)
    );
    for (more, part) in [
        (["--token", ""], "nobody is let in without"),
        (["--token", "short"], "16 or more visible"),
        (["--token-file", "/no/such/file"], "/no/such/file"),
    ] {
        let told = told(&[&without[..], &more].concat());
        assert!(told.contains(part), "{told}");
    }
    assert!(told(&[&NEEDED[..], &["--token-file", "/dev/null"]].concat()).contains("which one?"));
}

#[test]
fn all_mistakes_are_told_together() {
    let told = told(&[
        "--address",
        "localhost",
        "--port",
        "http",
        "--xtask",
        "/no/such",
        "--page-url",
        "chat",
        "--run-limit",
        "5 s",
        "--retry-after",
        "0s",
        "--tries",
        "0",
        "--grace",
        "25",
        "--queue",
        "-",
        "--keep",
        "many",
        "--log",
        "info,=loud",
    ]);
    for flag in [
        "address",
        "port",
        "spool",
        "token-file",
        "xtask",
        "page-url",
        "run-limit",
        "retry-after",
        "tries",
        "grace",
        "queue",
        "keep",
        "log",
    ] {
        assert!(told.contains(&format!("\n  --{flag} (LISTEN_")), "`{flag}` missing in:\n{told}");
    }
    assert!(told.contains("hint: "));
}
