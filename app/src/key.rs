//! `key`: makes an API key. The key is told once; what is kept is a line that only recognises it.

use crate::access::keys::{mint, name};
use crate::access::scope::Scope;
use crate::cli::print;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whose key it is; limits go by this name
    #[arg(value_parser = name)]
    name: String,
    /// What it may do
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', required = true)]
    scopes: Vec<Scope>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let (key, line) = mint(&args.name, args.scopes.iter().copied().collect())?;
    print(&key)?;
    print(&line)
}
