//! [`Subject`]: a server that is measured, from its start to its end.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::process::{Cmd, Running};

/// Loading PyTorch beside a compiler takes its time.
const PATIENCE: Duration = Duration::from_mins(2);

#[derive(Debug)]
pub(super) struct Subject {
    port: u16,
    running: Running,
    log: PathBuf,
}

impl Subject {
    /// On the given cores; `command` is told the port that it is to listen on. Waits until it answers.
    pub(super) fn start(
        folder: &Path,
        cores: &str,
        command: impl FnOnce(u16) -> Cmd,
    ) -> anyhow::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let command = command(port).on_cores(cores);
        let log = folder.join(format!("{port}.log"));
        let subject = Self { port, running: command.start(&log)?, log };
        let deadline = Instant::now() + PATIENCE;
        while ureq::get(subject.url("/readyz")).call().is_err() {
            if subject.running.has_ended() || Instant::now() > deadline {
                bail!("`{command}` does not answer:\n{}", subject.log()?);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(subject)
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// All that it wrote so far.
    pub(super) fn log(&self) -> anyhow::Result<String> {
        Ok(fs_err::read_to_string(&self.log)?)
    }

    /// Memory of the process that is in RAM, in bytes.
    pub(super) fn resident(&self) -> anyhow::Result<u64> {
        let status = fs_err::read_to_string(format!("/proc/{}/status", self.running.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        Ok(kib.context("the kernel does not tell how much memory a process has")? * 1024)
    }

    /// Processor time that the process has taken, in microseconds.
    pub(super) fn processor_time(&self) -> anyhow::Result<f64> {
        /// Linux counts in hundredths of a second here, whatever its own clock does.
        const TICK: f64 = 1e4;
        let stat = fs_err::read_to_string(format!("/proc/{}/stat", self.running.pid()))?;
        // Of what follows the name, which ends with the last bracket, the user's and the system's share.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
        let ticks = fields.map(str::parse::<f64>).sum::<Result<f64, _>>();
        Ok(ticks.context("the kernel does not tell how long a process has computed")? * TICK)
    }

    /// Images computed so far, and computations, where the server counts them.
    pub(super) fn batches(&self) -> anyhow::Result<(f64, f64)> {
        let page = ureq::get(self.url("/metrics")).call()?.body_mut().read_to_string()?;
        let value = |name: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse().ok())
                .with_context(|| format!("`{name}` is not among the metrics"))
        };
        Ok((value("inference_batch_size_sum")?, value("inference_batch_size_count")?))
    }
}
