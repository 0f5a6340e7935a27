//! The commands of the documents: lines of blocks marked `sh`, and what stands in backticks and begins with a program.

use std::path::Path;

use e2e::process::{command, run};
use e2e::repo;

/// One that is named without an argument is a name, and no command.
const PROGRAMS: [&str; 15] = [
    "apt-get",
    "argocd",
    "cargo",
    "cosign",
    "curl",
    "docker",
    "gh",
    "git",
    "go",
    "kubectl",
    "kustomize",
    "pip",
    "promtool",
    "sh",
    "vault",
];
/// Here the commands of `xtask` stand without `cargo xtask`, as the page's head says.
const RUNBOOKS: &str = "docs/runbooks.md";

#[derive(Debug)]
pub(crate) struct Command {
    /// `FILE:LINE`
    pub(crate) place: String,
    /// With one space between words, and without what only explains it.
    pub(crate) text: String,
}

impl Command {
    pub(crate) fn document(&self) -> &str {
        self.place.split(':').next().unwrap_or_default()
    }
}

/// Of all documents that Git tracks, each one's in their order.
pub(crate) fn commands() -> Vec<Command> {
    let subcommands = subcommands();
    let mut git = command("git", &repo::root());
    let listed = run(git.args(["ls-files", "*.md"])).success().stdout;
    let mut commands = Vec::new();
    for document in listed.lines().filter(|name| repo::root().join(name).is_file()) {
        let text = fs_err::read_to_string(repo::root().join(document)).unwrap();
        for (line, text) in written(&text) {
            let words: Vec<&str> = text.split(' ').collect();
            let text = match words[..] {
                ["cargo", "xtask"] => continue,
                [first, _, ..]
                    if document == RUNBOOKS && subcommands.iter().any(|name| name == first) =>
                {
                    format!("cargo xtask {text}")
                }
                _ if is_command(&words) => text,
                _ => continue,
            };
            commands.push(Command { place: format!("{document}:{line}"), text });
        }
    }
    commands
}

fn subcommands() -> Vec<String> {
    let help = run(command(repo::xtask(), Path::new("/")).arg("--help")).success().stdout;
    let names = help.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.map(str::to_owned).collect()
}

fn is_command(words: &[&str]) -> bool {
    let is_variable = |word: &&&str| word.split_once('=').is_some_and(|(name, _)| is_name(name));
    let own: Vec<_> = words.iter().skip_while(is_variable).collect();
    own.len() > 1 && PROGRAMS.contains(own[0])
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
}

/// Whatever may be a command, with its line.
fn written(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut prose) = (Vec::new(), String::new());
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        prose.push('\n');
        let Some(language) = line.trim_start().strip_prefix("```") else {
            prose.push_str(line);
            continue;
        };
        let mut command = String::new();
        for (index, line) in lines.by_ref() {
            prose.push('\n');
            if line.trim() == "```" {
                break;
            }
            command.push_str(without_comment(line));
            if command.ends_with('\\') {
                command.pop();
                continue;
            }
            let words = command.split_whitespace().collect::<Vec<_>>().join(" ");
            if language == "sh" && !words.is_empty() {
                found.push((index + 1, words));
            }
            command.clear();
        }
        assert!(command.is_empty(), "the block that begins at line {} has no end", index + 1);
    }
    let mut line = 0;
    for (at, part) in prose.split('`').enumerate() {
        if at % 2 == 1 {
            let words: Vec<_> = part.split_whitespace().collect();
            found.push((line, words.join(" ")));
        }
        line += part.matches('\n').count();
    }
    found.sort();
    found
}

/// A comment begins with ` #` outside of quotes.
fn without_comment(line: &str) -> &str {
    let (mut quote, mut before) = (None, ' ');
    for (at, letter) in line.char_indices() {
        match (quote, letter) {
            (None, '#') if before.is_whitespace() => return line[..at].trim_end(),
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            _ => {}
        }
        before = letter;
    }
    line.trim_end()
}
