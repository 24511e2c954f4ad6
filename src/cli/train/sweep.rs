//! `--sweep`: one training run for each value, and one table at the end.

use super::super::environment;
use super::super::failure::{Failure, print_problems};
use super::super::output::{complain, print};
use super::{Args, Done, Format, text};
use crate::report;
use crate::run::RunSettings;
use crate::store::training::{read_steps, read_training};
use crate::train::recipe::Overrides;
use crate::train::trainer::Ended;
use serde_json::json;
use std::str::FromStr;

/// What is varied, and the values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sweep {
    key: Key,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Lr,
    Steps,
    Seed,
}

impl FromStr for Sweep {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let (key, values) = written.split_once('=').ok_or("write it as lr=1e-4,3e-4")?;
        let key = match key {
            "lr" => Key::Lr,
            "steps" => Key::Steps,
            "seed" => Key::Seed,
            other => return Err(format!("`{other}` cannot be swept (lr, seed, steps)")),
        };
        let sweep = Self { key, values: values.split(',').map(|value| value.trim().to_owned()).collect() };
        for (i, value) in sweep.values.iter().enumerate() {
            sweep.overrides(value, &Overrides::default())?;
            if sweep.values[..i].contains(value) {
                return Err(format!("`{value}` is there twice"));
            }
        }
        Ok(sweep)
    }
}

impl Sweep {
    fn name(&self) -> &'static str {
        match self.key {
            Key::Lr => "lr",
            Key::Steps => "steps",
            Key::Seed => "seed",
        }
    }

    /// What a value puts in the place of what the recipe says.
    fn overrides(&self, value: &str, others: &Overrides) -> Result<Overrides, String> {
        let whole = || value.parse::<u64>().map_err(|_| format!("`{value}` is no whole number"));
        let mut overrides = others.clone();
        match self.key {
            Key::Lr => overrides.lr = Some(super::rate(value).map_err(|why| format!("`{value}`: {why}"))?),
            Key::Steps => match whole()? {
                0 => return Err("`0`: a run makes at least one step".to_owned()),
                steps => overrides.steps = Some(steps),
            },
            Key::Seed => overrides.seed = Some(whole()?),
        }
        Ok(overrides)
    }
}

/// Trains with each value in turn; one that fails takes nothing from the others.
pub(super) fn run(args: &Args, sweep: &Sweep, settings: &RunSettings, quiet: bool) -> Result<(), Failure> {
    let mut rows = Vec::new();
    let mut stopped = false;
    for value in &sweep.values {
        let overrides = sweep.overrides(value, &args.overrides()).map_err(|why| anyhow::anyhow!(why))?;
        complain(&format!("{}={value}\n", sweep.name()));
        let mut work = match args.prepare(&overrides, settings, quiet) {
            Err(Failure::Problems(problems)) => {
                print_problems(&problems);
                rows.push(row(value, None)?);
                continue;
            }
            work => work?,
        };
        if args.dry_run {
            let recipe = work.recipe_mut();
            (recipe.output, recipe.suite) = (None, None);
            work.plan(settings, args.format)?;
            continue;
        }
        let done = match args.learn(&work, &overrides, (settings, false), quiet) {
            Ok(done) => Some(done),
            Err(Failure::Problems(problems)) => {
                print_problems(&problems);
                None
            }
            Err(failure) => return Err(failure),
        };
        let cut = done.as_ref().filter(|done| done.ended == Ended::Interrupted).map(|done| done.folder.clone());
        rows.push(row(value, done)?);
        if let Some(folder) = cut {
            complain(&format!("{}\n", text::go_on(&args.recipe, &folder)));
            stopped = true;
            break;
        }
    }
    if args.dry_run {
        return Ok(());
    }
    print(&match args.format {
        Format::Text => report::sweep(sweep.name(), &rows, environment::width(), environment::stdout_colour()),
        Format::Json => {
            format!("{}\n", json!({"schema": 1, "key": sweep.name(), "best": report::best(&rows), "runs": rows}))
        }
    })?;
    if stopped {
        let left: Vec<&str> = sweep.values.iter().skip(rows.len()).map(String::as_str).collect();
        if !left.is_empty() {
            complain(&format!("not tried: {}\n", left.join(", ")));
        }
        return Err(Failure::Code(130));
    }
    if rows.iter().all(|row| row.run.is_none()) { Err(Failure::Code(2)) } else { Ok(()) }
}

/// What a run came to.
fn row(value: &str, done: Option<Done>) -> Result<report::SweepRow, Failure> {
    let Some(Done { folder, ended }) = done else {
        return Ok(report::SweepRow { value: value.to_owned(), ..report::SweepRow::default() });
    };
    let (header, steps) = (read_training(&folder)?, read_steps(&folder)?);
    let seconds: f64 = steps.iter().map(|step| step.elapsed_s).sum();
    let tokens: u64 = steps.iter().map(|step| step.tokens).sum();
    Ok(report::SweepRow {
        value: value.to_owned(),
        steps: steps.len() as u64,
        loss: steps.last().and_then(|step| step.loss),
        held_out_loss: header.best.map(|best| best.loss),
        best_step: header.best.map(|best| best.step),
        tokens_per_s: tokens as f64 / seconds.max(1e-9),
        time: text::duration(seconds),
        run: Some(folder),
        cut: ended == Ended::Interrupted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_names_what_it_varies_and_each_value_once() {
        let sweep: Sweep = "lr=1e-4, 3e-4".parse().unwrap();
        assert_eq!((sweep.name(), sweep.values.as_slice()), ("lr", &["1e-4".to_owned(), "3e-4".to_owned()][..]));
        let why = |written: &str| written.parse::<Sweep>().unwrap_err();
        assert_eq!(why("lr"), "write it as lr=1e-4,3e-4");
        assert_eq!(why("rank=4"), "`rank` cannot be swept (lr, seed, steps)");
        assert_eq!(why("seed=1,x"), "`x` is no whole number");
        assert_eq!(why("lr=1,-2"), "`-2`: a learning rate is a number above 0, such as 2e-4");
        assert_eq!(why("seed=1,1"), "`1` is there twice");
        assert_eq!(why("steps=0,1"), "`0`: a run makes at least one step");
    }
}
