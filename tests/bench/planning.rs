//! Planning and rendering 100,000 trials: four text prompts (two of them with four examples) over 25,000 cases.

use crate::spread::Spread;
use crate::table::Row;
use crate::workspace::{Asks, Workspace, read_suite, settings};
use anyhow::{anyhow, ensure};
use rayon::prelude::*;
use std::collections::HashMap;
use std::time::Instant;
use tripos::run::{Cell, Prepared, Selection, Stages};
use tripos::suite::Suite;

/// The bound of issue 2, in seconds.
const MOST: f64 = 2.0;

const ROUNDS: usize = 7;

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let workspace = Workspace::new()?;
    let asks = Asks { cases: 25_000, model: "{scripted: script.yaml}", max_tokens: 96 };
    let path = workspace.write_suite("suite.yaml", &asks)?;
    let mut generating = Vec::new();
    let mut rendering = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let suite = read_suite(&path)?;
        generating.push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        ensure!(plan_and_render(&suite)? == 100_000, "some prompts could not be rendered");
        rendering.push(began.elapsed().as_secs_f64());
    }
    let seconds = |s: f64| format!("{s:.2}");
    let rendering = Spread::of(rendering);
    let kept = rendering.median() <= MOST;
    Ok(vec![
        Row::bound("planning and rendering 100,000 trials, s", rendering.show(seconds), "≤ 2", kept),
        Row::beside("reading the suite, 25,000 cases generated, s", Spread::of(generating).show(seconds)),
    ])
}

/// How many trials got a prompt.
fn plan_and_render(suite: &Suite) -> anyhow::Result<usize> {
    let plan = Selection::default().plan(suite, 0).map_err(|problems| anyhow!("{problems}"))?;
    let prepared = Prepared::new(suite, plan, &settings()).map_err(|problems| anyhow!("{problems}"))?;
    let mut stages: HashMap<usize, Stages> = HashMap::new();
    for &variant in &prepared.plan.variants {
        if let Some(of_variant) = prepared.stages(variant)? {
            stages.insert(variant, of_variant);
        }
    }
    let cells: Vec<Cell> = prepared.plan.variants.iter().flat_map(|&v| prepared.plan.cells_of(v)).collect();
    let ask = |cell: &Cell| Some(prepared.ask(stages.get(&cell.variant)?, *cell, false));
    Ok(cells.par_iter().filter_map(ask).filter(|asked| asked.prompt.is_some() && asked.refusal.is_none()).count())
}
