//! Programs run by tests.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::repo;

/// What a program that ended left behind.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Fails the test, with all that was said, unless the program succeeded.
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "success may be all a test wants to know")]
    pub fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

#[expect(clippy::disallowed_methods, reason = "tests start programs as users do")]
pub fn command(program: impl AsRef<OsStr>, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir);
    command
}

/// `cargo xtask` in the checkout, keeping what it makes in `home`.
pub fn xtask(home: &Path) -> Command {
    let mut xtask = command(repo::xtask(), &repo::root());
    xtask.env("XTASK_HOME", home);
    xtask
}

/// Runs to the end.
pub fn run(command: &mut Command) -> Ended {
    ended(&command.output().unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

/// Nothing that is waited for so long comes any more; no test is of how long it takes.
const PATIENCE: Duration = Duration::from_mins(5);

/// Until it holds.
#[track_caller]
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs to the end; what hangs is killed, and fails the test.
#[track_caller]
pub fn run_unless_it_hangs(command: &mut Command) -> Ended {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (pid, (to, from)) = (child.id(), channel());
    std::thread::spawn(move || to.send(child.wait_with_output()));
    let Ok(output) = from.recv_timeout(PATIENCE) else {
        run(self::command("kill", Path::new("/")).args(["-KILL", &pid.to_string()])).success();
        panic!("{command:?} hangs");
    };
    ended(&output.expect("a child can be waited for"))
}

/// Runs to the end with this on its stdin, unless it ends before it has read it.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Ended {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    drop(child.stdin.take().expect("it is piped").write_all(input));
    ended(&child.wait_with_output().expect("a child can be waited for"))
}

/// Runs to the end; all that it writes to stdout is lost.
pub fn run_into_a_full_device(command: &mut Command) -> Ended {
    let full = fs_err::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    run(command.stdout(full.into_parts().0))
}

/// Runs to the end; nobody listens to stdout.
pub fn run_without_a_reader(command: &mut Command) -> Ended {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    drop(child.stdout.take());
    ended(&child.wait_with_output().expect("a child can be waited for"))
}

fn ended(output: &Output) -> Ended {
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
