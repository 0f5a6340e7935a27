//! [`Node`]: starts processes from images of a layout folder. What a kubelet is: it unpacks an image by
//! its digest and runs what the image says, with the environment that was asked for and no other.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use gitops::image_reference::ImageReference;

use super::wanted::Template;
use crate::process::{Cmd, Ended, Running};
use crate::tools::oci::{Layout, Unpacked};

pub(crate) struct Node {
    images: Layout,
    /// Root filesystems, logs, mounted files.
    folder: PathBuf,
    started: AtomicUsize,
}

/// One process of the service.
pub(super) struct Pod {
    pub(super) template: Template,
    pub(super) port: u16,
    log: PathBuf,
    process: Running,
}

impl Node {
    pub(crate) fn new(images: Layout, folder: &Path) -> anyhow::Result<Self> {
        fs_err::create_dir_all(folder.join("logs"))?;
        Ok(Self { images, folder: folder.to_owned(), started: AtomicUsize::new(0) })
    }

    fn unpack(&self, image: &ImageReference) -> anyhow::Result<Unpacked> {
        self.images.unpack(image.digest(), &self.folder.join("roots"))
    }

    /// Starts the image's own program; whether it answers, [`Pod::is_ready`] says.
    pub(super) fn start(&self, template: &Template) -> anyhow::Result<Pod> {
        let unpacked = self.unpack(&template.image)?;
        let port = free_port()?;
        let listen = ("LISTEN".to_owned(), format!("127.0.0.1:{port}"));
        let env = unpacked.env.iter().chain(&template.env).chain([&listen]).cloned();
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        let log = self.folder.join(format!("logs/{number}"));
        let args = [unpacked.entrypoint.as_slice(), &unpacked.cmd].concat();
        let process = command(&unpacked.root, args, env)?.tied_to_us().start(&log)?;
        Ok(Pod { template: template.clone(), port, log, process })
    }

    /// Runs the image's program with other arguments to its end.
    pub(super) fn run(&self, image: &ImageReference, args: &[String]) -> anyhow::Result<Ended> {
        let unpacked = self.unpack(image)?;
        let args = [unpacked.entrypoint.as_slice(), args].concat();
        command(&unpacked.root, args, unpacked.env)?.tied_to_us().end()
    }

    /// A file of ours for a process to read, as a volume is.
    pub(super) fn mount(&self, content: &str) -> anyhow::Result<tempfile::NamedTempFile> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(content.as_bytes())?;
        Ok(file)
    }

    /// Starts an image that no environment runs and lets its own smoke test decide; how that ended.
    pub(crate) fn try_out(
        &self,
        image: &ImageReference,
        smoke: impl FnOnce(&str) -> Vec<String>,
    ) -> anyhow::Result<Ended> {
        let template = Template { image: image.clone(), env: Vec::new() };
        let pod = self.start(&template)?;
        let ended = self.run(image, &smoke(&format!("http://127.0.0.1:{}", pod.port)))?;
        if !ended.success && !pod.is_running() {
            bail!("`{image}` ended at once: {}", pod.last_words());
        }
        Ok(ended)
    }
}

/// Paths in an image begin at its root, and nothing here changes what a root is to a process.
fn command(
    root: &Path,
    args: Vec<String>,
    env: impl IntoIterator<Item = (String, String)>,
) -> anyhow::Result<Cmd> {
    let within = |text: String| match text.strip_prefix('/') {
        Some(path) if root.join(path).exists() => root.join(path).display().to_string(),
        _ => text,
    };
    let mut args = args.into_iter();
    let program = within(args.next().context("the image does not say what to run")?);
    let command = Cmd::new(program, root).bare().args(args);
    let env = env.into_iter().map(|(name, value)| (name, within(value)));
    Ok(env.fold(command, |command, (name, value)| command.env(name, value)))
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a port")?;
    Ok(listener.local_addr()?.port())
}

impl Pod {
    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(super) fn is_running(&self) -> bool {
        !self.process.has_ended()
    }

    pub(super) fn is_ready(&self) -> bool {
        let url = format!("http://127.0.0.1:{}/readyz", self.port);
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(2)))
            .build()
            .into();
        agent.get(&url).call().is_ok()
    }

    /// Lets it finish what it took.
    pub(super) fn terminate(&self) {
        self.process.terminate();
    }

    /// The last line it wrote, which as a rule says why it ended.
    pub(super) fn last_words(&self) -> String {
        let log = fs_err::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it wrote nothing").to_owned()
    }
}
