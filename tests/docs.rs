//! Every command in the documents: executed in a fork with a remote of its own, or named with who runs it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "docs/commands.rs"]
mod commands;
#[path = "workflows/expressions.rs"]
mod expressions;
#[path = "docs/fork.rs"]
mod fork;
#[path = "workflows/runner.rs"]
#[allow(dead_code, reason = "shared with the workflows' tests, which need more of it")]
mod runner;
#[path = "loop/scratch.rs"]
#[allow(dead_code, reason = "shared with the loop's tests, which need more of it")]
mod scratch;
#[path = "docs/table.rs"]
mod table;

use std::collections::BTreeMap;

use e2e::repo;

use crate::commands::{Command, commands};
use crate::fork::Fork;
use crate::table::{Executed, FILE, Table};

#[test]
fn every_command_of_a_document_is_known_and_nothing_else_is() {
    let (table, mut faults) = (Table::read(), Vec::new());
    let commands = commands();
    assert!(commands.len() > 60, "only {} commands were found", commands.len());
    for Command { place, text } in &commands {
        let known = table.executed(text).is_some() || table.elsewhere(text).is_some();
        if !known {
            faults.push(format!(
                "{place}: `{text}`: add it to {FILE}, below `executed` if it can run here"
            ));
        }
    }
    for text in table.texts() {
        if !commands.iter().any(|command| command.text == text) {
            faults.push(format!("`{text}`: in no document any more; take it out of {FILE}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A document's commands share a fork, in the document's order.
#[test]
fn what_a_document_says_works_when_it_is_done_in_its_order() {
    let table = Table::read();
    let mut documents: BTreeMap<String, Vec<(Command, &Executed)>> = BTreeMap::new();
    for command in commands() {
        if let Some(entry) = table.executed(&command.text) {
            documents.entry(command.document().to_owned()).or_default().push((command, entry));
        }
    }
    assert!(documents.contains_key("docs/adopt.md"));
    let table = &table;
    std::thread::scope(|scope| {
        for commands in documents.values() {
            scope.spawn(move || {
                let mut fork = Fork::new(table);
                for (command, entry) in commands {
                    fork.execute(command, entry);
                }
            });
        }
    });
}

#[test]
fn what_runs_elsewhere_is_understood_by_its_program() {
    let table = Table::read();
    let fork = Fork::new(&table);
    for entry in &table.elsewhere {
        if !fork.understands(&entry.command) {
            eprintln!("`{}` was not asked about", entry.command);
        }
    }
}

/// By this the test before is worth something: `--help` comes last, and what stands before it is read.
#[test]
fn what_no_program_understands_is_told_although_help_is_asked_for() {
    let fork = Fork::new(&Table::read());
    for (wrong, told) in [
        ("cargo xtask train --recipe fast", "neither `quick`"),
        ("cargo xtask serve --modle DIR", "--modle"),
        ("cargo xtask bench backward", "backward"),
        ("cargo xtask release staging --image NAME", "staging"),
    ] {
        let ended = fork.help(wrong).unwrap();
        assert_eq!(ended.code, Some(2), "{wrong}: {}", ended.stdout);
        assert!(ended.stderr.contains(told), "{wrong}: {}", ended.stderr);
    }
}

#[test]
fn who_is_said_to_run_a_command_is_there() {
    for entry in &Table::read().elsewhere {
        let Some(by) = &entry.by else { continue };
        let (file, name) = by.split_once(' ').unwrap_or((by, ""));
        let text = fs_err::read_to_string(repo::root().join(file)).unwrap();
        let holds = match name {
            "" => text.contains(&entry.command),
            name => text.contains(&format!("fn {name}(")),
        };
        assert!(holds, "`{}`: {by} is not there", entry.command);
    }
}
