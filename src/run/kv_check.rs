//! `--kv check`: some trials asked both ways, together and alone, and how far the answers lie apart.

use super::ask::{Asked, Stages};
use super::prepare::Prepared;
use super::select::Cell;
use crate::engine::{Answer, Ask, Engine, Request};
use crate::error::Problems;
use crate::seed;
use crate::store::{KvCheck, Trial};
use rand::seq::SliceRandom;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

/// One in so many trials is asked both ways …
const SHARE: usize = 10;

/// … but at least so many, if there are …
const LEAST: usize = 20;

/// … and at most so many.
const MOST: usize = 200;

/// Asks a share of the trials of some variants, drawn by the seed, in one tree and then one line at a time.
pub(super) fn run(
    prepared: &Prepared,
    (engine, group): (&dyn Engine, &[usize]),
    stages: &HashMap<usize, Stages>,
    stop: &AtomicBool,
) -> Result<KvCheck, Problems> {
    let mut cells: Vec<Cell> = group.iter().flat_map(|&variant| prepared.plan.cells_of(variant)).collect();
    let count = (cells.len() / SHARE).clamp(LEAST, MOST);
    cells.shuffle(&mut seed::rng(seed::key(prepared.suite.seed, &["kv check"])));
    cells.truncate(count);
    let asked: Vec<Asked> =
        cells.iter().filter_map(|cell| Some(prepared.ask(stages.get(&cell.variant)?, *cell, false))).collect();
    let mut requests = Vec::new();
    let mut trials: Vec<Trial> = Vec::new();
    for asked in asked.iter().filter(|asked| asked.refusal.is_none()) {
        for want in &asked.wants {
            requests.push(Request { id: requests.len(), ..told(want.request.clone()) });
            trials.push(prepared.trial(asked.cell));
        }
    }
    let mut ways = [vec![None; requests.len()], vec![None; requests.len()]];
    let [tree, alone] = &mut ways;
    engine.answer(requests.clone(), &mut keep(tree), stop)?;
    engine.answer_alone(requests, &mut keep(alone), stop)?;
    let [tree, alone] = ways;
    let mut check = KvCheck { trials: cells.len(), largest: 0.0, at: None, flipped: Vec::new() };
    for ((tree, alone), trial) in tree.into_iter().zip(alone).zip(trials) {
        let (Some(tree), Some(alone)) = (tree, alone) else { continue };
        let (difference, flipped) = apart(&tree, &alone);
        if difference > check.largest {
            (check.largest, check.at) = (difference, Some(trial.clone()));
        }
        if flipped && !check.flipped.contains(&trial) {
            check.flipped.push(trial);
        }
    }
    check.flipped.sort();
    Ok(check)
}

fn keep(answers: &mut [Option<Answer>]) -> impl FnMut(usize, Answer) {
    |id, answer| {
        if let Some(place) = answers.get_mut(id) {
            *place = Some(answer);
        }
    }
}

/// The same request with the log-probabilities of what is drawn.
fn told(mut request: Request) -> Request {
    if let Ask::Generate { sampling, .. } = &mut request.ask {
        sampling.logprobs.get_or_insert(0);
    }
    request
}

/// The largest difference between log-probabilities of the same tokens behind the same text, and whether the answer is
/// another: another text, or another candidate first.
fn apart(a: &Answer, b: &Answer) -> (f32, bool) {
    match (a, b) {
        (Answer::Completion(a), Answer::Completion(b)) => {
            let told = |c: &crate::engine::Completion| c.logprobs.clone().unwrap_or_default();
            let (one, other) = (told(a), told(b));
            let same = one.iter().zip(&other).take_while(|(x, y)| x.id == y.id);
            (same.map(|(x, y)| (x.logprob - y.logprob).abs()).fold(0.0, f32::max), a.text != b.text)
        }
        (Answer::Likelihood(a), Answer::Likelihood(b)) => {
            let pairs = a.logprobs.iter().flatten().zip(b.logprobs.iter().flatten());
            let first = |all: &[Vec<f32>]| {
                let sums = all.iter().map(|one| one.iter().sum::<f32>()).enumerate();
                sums.max_by(|x, y| x.1.total_cmp(&y.1).then(y.0.cmp(&x.0))).map(|(index, _)| index)
            };
            let difference = pairs.map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
            (difference, first(&a.logprobs) != first(&b.logprobs))
        }
        _ => (0.0, false),
    }
}
