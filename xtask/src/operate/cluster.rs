//! `cluster`.
use crate::repo::Repo;
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Bootstrap,
}
impl Command {
    pub(crate) fn run(self, _repo: &Repo) -> anyhow::Result<()> {
        Ok(())
    }
}
