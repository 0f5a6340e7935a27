//! `recipe`: what recipes say, every default spelled out, for whoever changes them.

use std::path::PathBuf;

use anyhow::bail;

use super::print;
use super::train::settings::{misfit, read_recipe, read_task};

/// Print recipes with every default spelled out, one JSON object a line; all mistakes are told together
#[derive(clap::Args)]
pub(crate) struct Args {
    /// `quick`, `release`, or files like those in model/recipes
    #[arg(required = true, value_name = "quick|release|FILE")]
    recipes: Vec<String>,
    /// Whose pictures their nets must leave something of
    #[arg(long, value_name = "FILE")]
    task: PathBuf,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let task = read_task(&self.task).map_err(anyhow::Error::msg)?;
        let mut mistakes = Vec::new();
        for name in &self.recipes {
            let read = read_recipe(name)
                .and_then(|(name, recipe)| misfit(&name, &recipe, &task).map_or(Ok(recipe), Err));
            match read {
                Ok(recipe) => print(serde_json::to_string(&recipe)?)?,
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if mistakes.is_empty() { Ok(()) } else { bail!("{}", mistakes.join("\nerror: ")) }
    }
}
