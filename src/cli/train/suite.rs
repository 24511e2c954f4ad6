//! The recipe's suite at the end: the base beside the trained model.

use super::super::asking::Asking;
use super::super::compare;
use super::super::failure::Failure;
use super::super::output::complain;
use super::super::plan::PlanArgs;
use crate::model::Trained;
use crate::run::{Outcome, RunSettings};
use crate::store::training::TrainingFolder;
use crate::suite::{Output, Overrides};
use crate::train::recipe::{Kind, Recipe};
use std::path::{Path, PathBuf};

/// The folder of the suite's runs, in that of the training run.
const FOLDER: &str = "suite";

/// Runs the suite of a recipe with its base and with the trained model, notes both in the training run's header, and prints
/// how they compare, where that is `shown`. Nothing without a suite.
pub(super) fn run(
    recipe: &Recipe,
    folder: &Path,
    (settings, shown): (&RunSettings, bool),
    quiet: bool,
) -> Result<(), Failure> {
    let Some(suite) = &recipe.suite else { return Ok(()) };
    let mut training = TrainingFolder::open(folder)?;
    let Some(outcome) = training.header().outcome.clone() else { return Ok(()) };
    let trained = folder.join(&outcome.output.path);
    // A classifier's suite names the file that was trained; it is read where the run left it.
    let output = recipe.output.clone().map(|path| Output { path, trained: Some(trained.clone()) });
    let base = PlanArgs { model: Some(recipe.model.clone()), ..PlanArgs::default() };
    let taught = match recipe.train {
        Trained::Full => PlanArgs { model: Some(trained), ..PlanArgs::default() },
        Trained::Lora(_) => PlanArgs { adapter: Some(trained.display().to_string()), ..base.clone() },
    };
    // A suite judges a classifier by the file that it names itself.
    let plans = match recipe.kind {
        Kind::Sft | Kind::Dpo | Kind::Grpo | Kind::Ppo => vec![base, taught],
        Kind::Pretrain => vec![taught],
        Kind::Classify | Kind::Reward => vec![PlanArgs::default()],
    };
    let mut runs = Vec::new();
    for plan in &plans {
        let out = folder.join(FOLDER);
        let asking = Asking { plan, settings, out: &out, at: None, shuffled: false, quiet };
        complain(&format!("running {} on {}\n", suite.display(), on(plan)));
        let overrides = Overrides { output: output.clone(), ..plan.overrides(false) };
        let loaded = asking.load(suite, &overrides)?;
        let done = asking.ask(&asking.prepare(&loaded)?, None)?;
        if done.outcome == Outcome::Interrupted {
            let (recipe, folder) = (recipe.path.display(), folder.display());
            complain(&format!(
                "what was learned is complete; for the suite: tripos train {recipe} --resume {folder}\n"
            ));
            return Err(Failure::Code(130));
        }
        runs.push(done.path);
    }
    let from_folder = |run: &PathBuf| run.strip_prefix(folder).unwrap_or(run).to_path_buf();
    training.note(|header| {
        if let Some(outcome) = &mut header.outcome {
            outcome.suite_runs = runs.iter().map(from_folder).collect();
        }
    })?;
    match runs.as_slice() {
        [base, taught] if shown => compare::of_runs(base, taught),
        [one] if shown => super::super::run::table_of(one),
        _ => Ok(()),
    }
}

/// What a plan asks, in words.
fn on(plan: &PlanArgs) -> String {
    match (&plan.model, &plan.adapter) {
        (_, Some(adapter)) => adapter.clone(),
        (Some(model), None) => model.display().to_string(),
        (None, None) => "its own models".to_owned(),
    }
}
