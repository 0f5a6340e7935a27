//! [`Settings`]: arguments checked against each other and against the files they name, all mistakes
//! told at once.

use std::path::Path;

use anyhow::bail;
use contract::task::Task;
use model::compress::Start;
use model::dataset::Source;
use model::recipe::Recipe;
use model::run::Entry;
use model::training::Plan;

use super::surroundings::Surroundings;
use super::{Args, Device};

pub(in crate::commands) struct Settings {
    pub(in crate::commands) task: Task,
    pub(in crate::commands) plan: Plan,
    /// None: random weights.
    pub(in crate::commands) start: Option<Start>,
    pub(in crate::commands) source: Source,
    pub(in crate::commands) surroundings: Surroundings,
    /// No artifact, and no test set.
    pub(in crate::commands) trial: bool,
    /// Of the run's record, beside those that every run has.
    pub(in crate::commands) tags: Vec<Entry>,
}

impl Settings {
    pub(super) fn of(args: Args) -> anyhow::Result<Self> {
        let mut mistakes = Vec::new();
        let task = keep(read_task(&args.task), &mut mistakes);
        let recipe = keep(read_recipe(&args.recipe), &mut mistakes);
        let source = match &task {
            Some(task) => keep(source(&args, task), &mut mistakes),
            None => None,
        };
        if let (Some(task), Some((name, recipe))) = (&task, &recipe) {
            mistakes.extend(misfit(name, recipe, task));
        }
        let threads = keep(args.surroundings.threads(), &mut mistakes);
        let device = keep(device(args.device), &mut mistakes);
        let surroundings = keep(args.surroundings.surroundings(), &mut mistakes);
        let (
            Some(task),
            Some((recipe_name, recipe)),
            Some(source),
            Some(threads),
            Some(device),
            Some(surroundings),
            [],
        ) = (task, recipe, source, threads, device, surroundings, &mistakes[..])
        else {
            bail!("{}", mistakes.join("\nerror: "));
        };
        Ok(Self {
            plan: Plan {
                recipe,
                recipe_name,
                normalisation: task.normalisation.clone(),
                seed: args.seed,
                threads,
                device,
                compression: None,
            },
            task,
            start: None,
            source,
            surroundings,
            trial: args.trial,
            tags: args.tags,
        })
    }
}

fn keep<T>(result: Result<T, String>, mistakes: &mut Vec<String>) -> Option<T> {
    result.map_err(|mistake| mistakes.push(mistake)).ok()
}

pub(in crate::commands) fn read_task(path: &Path) -> Result<Task, String> {
    let text = fs_err::read_to_string(path).map_err(|error| format!("--task: {error}"))?;
    Task::from_yaml(&text).map_err(|error| format!("--task `{}`: {error}", path.display()))
}

/// The recipe and its name.
pub(in crate::commands) fn read_recipe(name: &str) -> Result<(String, Recipe), String> {
    let shipped =
        |text: &str| Recipe::from_yaml(text, format!("model/recipes/{name}.yaml").as_ref());
    let recipe = match name {
        "quick" => shipped(include_str!("../../../recipes/quick.yaml")),
        "release" => shipped(include_str!("../../../recipes/release.yaml")),
        file => Recipe::read(file.as_ref()),
    };
    let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or("recipe");
    recipe.map(|recipe| (stem.to_owned(), recipe)).map_err(|error| format!("--recipe: {error}"))
}

/// What is wrong about a recipe for the pictures of this task.
pub(in crate::commands) fn misfit(name: &str, recipe: &Recipe, task: &Task) -> Option<String> {
    let leaves_nothing = recipe.net.output(task.input).is_none();
    leaves_nothing
        .then(|| format!("--recipe: the net of `{name}` leaves nothing of {} images", task.input))
}

fn source(args: &Args, task: &Task) -> Result<Source, String> {
    match &args.data_dir {
        _ if args.synthetic && task.data.synthetic.is_none() => {
            Err(format!("--synthetic: the task `{}` has no generator", task.name))
        }
        _ if args.synthetic => Ok(Source::Synthetic),
        Some(_) if task.data.idx.is_none() => {
            Err(format!("--data-dir: the task `{}` names no IDX files", task.name))
        }
        Some(folder) if folder.is_dir() => Ok(Source::Idx(folder.clone())),
        Some(folder) => Err(format!("--data-dir: `{}` is not a folder", folder.display())),
        None if task.data.folders.is_some() => Ok(Source::Folders),
        None => Err(format!(
            "the data of the task `{}` is missing\n\nhint: `--data-dir DIR`, or `--synthetic` where the task has a generator",
            task.name
        )),
    }
}

fn device(device: Device) -> Result<tch::Device, String> {
    match device {
        Device::Cpu => Ok(tch::Device::Cpu),
        Device::Cuda if tch::Cuda::is_available() => Ok(tch::Device::Cuda(0)),
        Device::Mps if tch::utils::has_mps() => Ok(tch::Device::Mps),
        missing => {
            let name = format!("{missing:?}").to_lowercase();
            Err(format!("--device: this libtorch, or this machine, has no {name}"))
        }
    }
}
