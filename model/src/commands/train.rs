//! `train`: recipe and data in, an artifact folder out.

/// Train a model and print its artifact folder
#[derive(clap::Args)]
pub(crate) struct Args {}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        anyhow::bail!("not here yet")
    }
}
