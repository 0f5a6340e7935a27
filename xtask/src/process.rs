//! The only module that starts programs. Arguments are argv, never a shell's; the working directory
//! is always said; a failure names the command and its status.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::report::Exit;

#[derive(Debug, Clone)]
pub(crate) struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    dir: PathBuf,
    env: Vec<(OsString, OsString)>,
    /// Of our own environment, not these.
    without: Vec<OsString>,
    /// Nothing of our own environment.
    bare: bool,
    input: Option<Vec<u8>>,
}

/// A program that ran to its end, well or not.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) success: bool,
    /// None where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Cmd {
    pub(crate) fn new(program: impl AsRef<OsStr>, dir: &Path) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            dir: dir.to_owned(),
            env: Vec::new(),
            without: Vec::new(),
            bare: false,
            input: None,
        }
    }

    /// Elsewhere than it was made for.
    pub(crate) fn at(mut self, dir: &Path) -> Self {
        dir.clone_into(&mut self.dir);
        self
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// What we were given, and it must not be.
    pub(crate) fn without(mut self, names: &[&str]) -> Self {
        self.without.extend(names.iter().map(OsString::from));
        self
    }

    /// Like a container: of the environment only what is said here.
    pub(crate) fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Ends with us, be it that we are killed, where `setpriv` of util-linux can see to it; elsewhere it
    /// outlives a kill -9 of ours and nothing else.
    pub(crate) fn tied_to_us(self) -> Self {
        // By its whole path, since a bare environment has none to look it up in.
        let known = ["/usr/bin/setpriv", "/bin/setpriv"].map(Path::new);
        let Some(setpriv) = known.into_iter().find(|path| path.exists()) else { return self };
        let tie = Self::new(setpriv, &self.dir).args(["--pdeathsig", "KILL"]);
        if !tie.clone().arg("/bin/true").succeeds() {
            return self;
        }
        let args = [vec![self.program.clone()], self.args].concat();
        Self { program: tie.program, args: [tie.args, args].concat(), ..self }
    }

    /// Nowhere but on these cores, as `taskset` of util-linux counts them.
    pub(crate) fn on_cores(self, cores: &str) -> Self {
        let tie = ["--cpu-list", cores].map(OsString::from).to_vec();
        let args = [tie, vec![self.program], self.args].concat();
        Self { program: "taskset".into(), args, ..self }
    }

    /// What it reads from stdin; nothing unless said.
    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Runs to the end and leaves it to the caller what its status means.
    pub(crate) fn end(&self) -> anyhow::Result<Ended> {
        let output = self.expression().stdout_capture().stderr_capture().unchecked().run();
        let output = output.with_context(|| self.cannot_start())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ended {
            success: output.status.success(),
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        })
    }

    /// Runs to the end; its output is progress.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let output = self.expression().stdout_to_stderr().unchecked().run();
        self.demand_success(output.with_context(|| self.cannot_start())?.status)
    }

    /// Runs to the end and returns what it wrote to stdout; stderr is progress.
    pub(crate) fn read(&self) -> anyhow::Result<String> {
        let output = self.expression().stdout_capture().unchecked().run();
        let output = output.with_context(|| self.cannot_start())?;
        self.demand_success(output.status)?;
        String::from_utf8(output.stdout)
            .with_context(|| format!("`{self}` printed something that is not UTF-8"))
    }

    /// Runs to the end and returns what it wrote to stdout, text or not; stderr is in the error.
    pub(crate) fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        let output = self.expression().stdout_capture().stderr_capture().unchecked().run();
        let output = output.with_context(|| self.cannot_start())?;
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        self.demand_success(output.status).with_context(|| stderr)?;
        Ok(output.stdout)
    }

    /// Starts it and does not wait; all it prints goes to the end of `log`.
    pub(crate) fn start(&self, log: &Path) -> anyhow::Result<Running> {
        let log = fs_err::OpenOptions::new().create(true).append(true).open(log)?;
        let expression = self.expression().stderr_to_stdout().stdout_file(log.into_file());
        let handle = expression.unchecked().start().with_context(|| self.cannot_start())?;
        Ok(Running(handle))
    }

    /// Starts it and forgets it: it goes on without us and hears no Ctrl-C that is meant for us. Its stderr is ours,
    /// its stdout nobody's.
    #[cfg(unix)]
    pub(crate) fn detach(&self) -> anyhow::Result<()> {
        use std::os::unix::process::CommandExt;
        let expression = self.expression().stdout_null().unchecked().before_spawn(|command| {
            command.process_group(0);
            Ok(())
        });
        expression.start().map(drop).with_context(|| self.cannot_start())
    }

    #[cfg(not(unix))]
    pub(crate) fn detach(&self) -> anyhow::Result<()> {
        anyhow::bail!("`{self}` cannot be started to go on by itself here")
    }

    /// Whether it runs and succeeds; what it prints is of no interest.
    pub(crate) fn succeeds(&self) -> bool {
        let expression = self.expression().stdout_null().stderr_null().unchecked();
        expression.run().is_ok_and(|output| output.status.success())
    }

    /// Runs to the end, handing over each line of stdout and stderr as it comes.
    pub(crate) fn lines(&self, mut line: impl FnMut(&str)) -> anyhow::Result<()> {
        let reader = self.expression().stderr_to_stdout().unchecked().reader();
        let reader = reader.with_context(|| self.cannot_start())?;
        for text in BufReader::new(&reader).split(b'\n') {
            line(&String::from_utf8_lossy(
                &text.with_context(|| format!("reading from `{self}`"))?,
            ));
        }
        match reader.try_wait().with_context(|| format!("waiting for `{self}`"))? {
            Some(output) => self.demand_success(output.status),
            None => anyhow::bail!("`{self}` closed its output but did not end"),
        }
    }

    /// Becomes the program, so that it gets our signals, our terminal and our exit status.
    #[cfg(unix)]
    #[expect(
        clippy::disallowed_methods,
        reason = "duct cannot replace a process; this module owns processes"
    )]
    pub(crate) fn replace(&self) -> anyhow::Result<()> {
        use std::os::unix::process::CommandExt;
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.args).current_dir(&self.dir);
        if self.bare {
            command.env_clear();
        }
        for name in &self.without {
            command.env_remove(name);
        }
        command.envs(self.env.iter().cloned());
        Err(command.exec()).with_context(|| self.cannot_start())
    }

    #[cfg(not(unix))]
    pub(crate) fn replace(&self) -> anyhow::Result<()> {
        let output = self.expression().unchecked().run();
        self.demand_success(output.with_context(|| self.cannot_start())?.status)
    }

    fn expression(&self) -> duct::Expression {
        let expression = duct::cmd(&self.program, &self.args).dir(&self.dir);
        let mut expression = match &self.input {
            Some(input) => expression.stdin_bytes(input.clone()),
            None => expression.stdin_null(),
        };
        if self.bare {
            return expression.full_env(self.env.iter().cloned());
        }
        // In duct the first word on a variable is the last.
        let is_set = |name: &OsString| self.env.iter().any(|(set, _)| set == name);
        for name in self.without.iter().filter(|name| !is_set(name)) {
            expression = expression.env_remove(name);
        }
        for (name, value) in &self.env {
            expression = expression.env(name, value);
        }
        expression
    }

    fn demand_success(&self, status: std::process::ExitStatus) -> anyhow::Result<()> {
        if status.success() {
            return Ok(());
        }
        let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        Err(Exit { code, message: format!("`{self}` failed ({status})") }.into())
    }

    fn cannot_start(&self) -> String {
        format!("`{}` cannot be started", self.program.display())
    }
}

/// A program that goes on while we do something else, and no longer than this value.
#[derive(Debug)]
pub(crate) struct Running(duct::Handle);

impl Running {
    pub(crate) fn has_ended(&self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.pids().first().copied().unwrap_or_default()
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        #[cfg(unix)]
        {
            use duct::unix::HandleExt;
            const SIGTERM: i32 = 15;
            // It may have ended by itself.
            drop(self.0.send_signal(SIGTERM));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A child that was killed is also waited for, so none is left as a zombie.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl std::fmt::Display for Cmd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = Path::new(&self.program).file_name().unwrap_or(&self.program);
        write!(f, "{}", name.display())?;
        for arg in &self.args {
            write!(f, " {}", arg.display())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(args: &[&str]) -> Cmd {
        Cmd::new("git", Path::new(".")).args(args)
    }

    #[test]
    fn a_failing_program_is_named_with_its_arguments_and_its_status_is_ours() {
        let error = git(&["rev-parse", "--verify", "no-such-thing"]).run().unwrap_err();
        assert!(error.to_string().starts_with("`git rev-parse --verify no-such-thing` failed"));
        assert_eq!(error.downcast_ref::<Exit>().unwrap().code, 128);
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Cmd::new("no-such-program", Path::new(".")).run().unwrap_err();
        assert!(format!("{error:#}").contains("`no-such-program` cannot be started"), "{error:#}");
    }

    #[test]
    fn lines_come_one_by_one_and_a_failure_is_still_a_failure() {
        let mut lines = Vec::new();
        git(&["--version"]).lines(|line| lines.push(line.to_owned())).unwrap();
        assert!(lines.len() == 1 && lines[0].starts_with("git version"), "{lines:?}");
        assert!(git(&["no-such-command"]).lines(|_| ()).is_err());
    }
}
