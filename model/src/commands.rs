//! The commands of `model`, one file each.

mod train;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Train(train::Args),
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Train(args) => args.run(),
        }
    }
}
