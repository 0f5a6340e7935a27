//! `image scan`: what is in an image that was released, and whether it may be shipped.

use std::path::PathBuf;

use anyhow::Context;
use contract::atomic;
use gitops::admit::ImageCheck;
use gitops::image_reference::ImageReference;
use gitops::signing::Signing;

use crate::deliver::assembly::{APP_VERSION_LABEL, REVISION_LABEL};
use crate::deliver::ending::{self, Ending, Stop, end};
use crate::deliver::program::Program;
use crate::deliver::sbom::Sbom;
use crate::deliver::store::Store;
use crate::develop::requirement::Requirement;
use crate::process::Cmd;
use crate::repo::Repo;
use crate::report::{data, step};
use crate::tools::cargo_deny;
use crate::tools::syft::{self, Place};
use crate::train::data::in_ci;

/// Write down all that is in an image, and look for licences and advisories that forbid it
///
/// The file is SPDX 2.3 in JSON: what syft finds in the image, with the crates of the program, the wheels
/// of libtorch and the model beside it, which syft cannot see. They are read from the checkout, which must
/// be at the commit that the image was built from. Whether they may be shipped is said by deny.toml.
#[derive(clap::Args)]
#[command(after_help = ending::HELP)]
pub(crate) struct Args {
    /// A released image, as a pin has it: NAME:TAG@sha256:…
    image: ImageReference,
    /// Where to write it [default: runs/sbom-DIGEST.spdx.json]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Look for no advisories, whose database is fetched from the network
    #[arg(long, overrides_with = "offline")]
    offline: bool,
    #[command(flatten)]
    store: Store,
}

impl Args {
    pub(crate) fn run(self, repo: &Repo) -> anyhow::Result<()> {
        end(self.scan(repo))
    }

    fn scan(&self, repo: &Repo) -> Result<(), Stop> {
        self.demand_whole(repo)?;
        Requirement::CargoDeny.provide(repo, in_ci())?;
        let labels = self.store.labels(self.image.repository(), self.image.digest())?;
        let label = |name: &str| labels.get(name).map_or("nothing", String::as_str);
        demand_same_program(repo, label(REVISION_LABEL), label(APP_VERSION_LABEL))?;

        step(format_args!("looking at {}", self.image));
        let found = self.found(repo)?;
        let sbom = Sbom::complete(found, repo, self.image.repository(), &labels)?;
        let output = self.output.clone().unwrap_or_else(|| {
            let name = &self.image.digest().hex()[..12];
            repo.runs().join(format!("sbom-{name}.spdx.json"))
        });
        if let Some(folder) = output.parent() {
            fs_err::create_dir_all(folder).context("making a folder for the file")?;
        }
        atomic::write_file(&output, &sbom.to_json()?).context("writing the file")?;
        step(format_args!("it has {}", sbom.summary()));
        data(output.display());

        let why = "deny.toml says what may be shipped; the lines above name the crate";
        judge(&cargo_deny::licences(repo), "licences", why)?;
        if self.offline {
            step("advisories: not looked for");
            return Ok(());
        }
        let fetched = cargo_deny::fetch_advisories(repo).end()?;
        if !fetched.success {
            let said = fetched.stderr.trim().lines().last().unwrap_or("it says nothing");
            let what = anyhow::anyhow!("advisories cannot be looked for: {said}");
            let hint =
                "the same command again, with the network; or --offline, which looks for none";
            return Err(Stop::new(Ending::TryAgain, what, hint));
        }
        judge(&cargo_deny::advisories(repo), "advisories", "raise that crate, then release again")
    }

    /// Every byte of it, where it lies in a folder.
    fn demand_whole(&self, repo: &Repo) -> Result<(), Stop> {
        let image = &self.image;
        match self.store.check(repo, image, Ok(&Signing::None)) {
            ImageCheck::Present(_) => Ok(()),
            ImageCheck::Missing => {
                let what = anyhow::anyhow!("{image} is not there, or not whole");
                let hint = "cargo xtask history ENV --json names images that were released";
                Err(Stop::new(Ending::Refused, what, hint))
            }
            ImageCheck::Unchecked => {
                let what = anyhow::anyhow!("{image} cannot be looked at");
                let hint = "does the registry answer, and is the folder a layout of images?";
                Err(Stop::new(Ending::TryAgain, what, hint))
            }
        }
    }

    fn found(&self, repo: &Repo) -> anyhow::Result<serde_json::Value> {
        let Some(layout) = self.store.open()? else {
            return syft::spdx(repo, &self.image, &Place::Registry);
        };
        let folder = tempfile::tempdir().context("making a folder for a layout")?;
        layout.only(self.image.digest(), folder.path())?;
        syft::spdx(repo, &self.image, &Place::Layout(folder.path()))
    }
}

/// Another commit's crates would be those of another program.
fn demand_same_program(repo: &Repo, revision: &str, version: &str) -> Result<(), Stop> {
    let program = Program::of(repo)?;
    if (revision, version) == (&program.revision, &program.version()) {
        return Ok(());
    }
    let here = program.version();
    let what = anyhow::anyhow!("the image holds {version}, and the checkout {here}");
    let hint = format!("git switch --detach {revision}, then the same command again");
    Err(Stop::new(Ending::Refused, what, hint))
}

fn judge(check: &Cmd, what: &str, hint: &str) -> Result<(), Stop> {
    let ended = check.end()?;
    if ended.success {
        step(format_args!("{what}: nothing found"));
        return Ok(());
    }
    step(ended.stderr.trim_end());
    let found = anyhow::anyhow!("{what}: something may not be shipped");
    Err(Stop::new(Ending::Findings, found, hint))
}
