//! Examples like the case: nearest by the model's own embedding.

use super::asking::Asking;
use crate::engine::cache::Identity;
use crate::engine::{Answer, Ask, Engine, Request};
use crate::error::Problems;
use crate::prompt::Nearest;
use crate::suite::{Case, text_of};
use rayon::prelude::*;
use std::collections::HashMap;

/// Of each planned case, the examples most like it.
#[derive(Debug)]
pub(super) struct Similar {
    nearest: HashMap<String, Vec<usize>>,
}

impl Nearest for Similar {
    fn nearest(&self, case: &Case) -> &[usize] {
        self.nearest.get(&case.id).map_or(&[], Vec::as_slice)
    }
}

impl Similar {
    /// The `count` nearest of the pool for each case, by the cosine of the angle between embeddings; equals in the pool's
    /// order. A case is never among its own examples.
    pub(super) fn new(
        (engine, identity): (&dyn Engine, &Identity),
        pool: &[Case],
        cases: &[&Case],
        count: usize,
        asking: &Asking,
    ) -> Result<Self, Problems> {
        let texts = pool.iter().chain(cases.iter().copied()).map(text);
        let requests = texts
            .map(|text| {
                let quoted = 0..text.len();
                let mut tokens = engine.tokenize(&text, std::slice::from_ref(&quoted));
                tokens.truncate(engine.context());
                (Request { id: 0, tokens, ask: Ask::Embed }, 0)
            })
            .collect();
        let mut states: Vec<Vec<f32>> = vec![Vec::new(); pool.len() + cases.len()];
        asking.answer(engine, identity, requests, &mut |id, answer, _| {
            if let (Some(place), Answer::Embedding(state)) = (states.get_mut(id), answer) {
                *place = unit(state);
            }
        })?;
        let (of_pool, of_cases) = states.split_at(pool.len());
        let nearest = cases.par_iter().zip(of_cases).map(|(case, state)| {
            let others = pool.iter().zip(of_pool).enumerate().filter(|(_, (example, _))| example.vars != case.vars);
            let mut near: Vec<(f32, usize)> = others.map(|(index, (_, other))| (dot(state, other), index)).collect();
            near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            (case.id.clone(), near.into_iter().take(count).map(|(_, index)| index).collect())
        });
        Ok(Self { nearest: nearest.collect() })
    }
}

/// What a case is about: its variables, one a line, without the target.
fn text(case: &Case) -> String {
    let lines: Vec<String> =
        case.vars.values().map(|value| text_of(value).unwrap_or_else(|| value.to_string())).collect();
    lines.join("\n")
}

fn unit(mut state: Vec<f32>) -> Vec<f32> {
    let length = dot(&state, &state).sqrt();
    if length > 0.0 {
        for value in &mut state {
            *value /= length;
        }
    }
    state
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
