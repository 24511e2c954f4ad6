//! The examples that stand before a row: other rows of its source.

use super::rows::{Row, Said};
use crate::seed;
use crate::suite::Case;
use crate::train::recipe::{Examples, Recipe};
use rand::RngExt;
use rand::seq::index;
use std::sync::Arc;

/// Draws the examples of each row, as many as the recipe says, evenly. None equals its row; those of a row that is learned are
/// learned from too, and those of one that is held out are held out, so that the two share nothing.
pub(super) fn draw(rows: &mut [Row], Examples { count }: Examples, recipe: &Recipe) {
    let mut pools: [Vec<Arc<Case>>; 2] = Default::default();
    for row in &mut *rows {
        let Said::Case { case, .. } = &row.said else { continue };
        let key = key(case);
        row.key = Some(key);
        pools[usize::from(recipe.held_out.takes(key))].push(Arc::clone(case));
    }
    for (at, row) in rows.iter_mut().enumerate() {
        let Said::Case { case, examples } = &mut row.said else { continue };
        let pool = &pools[usize::from(recipe.held_out.takes(key(case)))];
        let mut rng = seed::rng(seed::key(recipe.seed, &["examples", &at.to_string()]));
        let wanted = rng.random_range(count[0]..=count[1]);
        // One more than wanted: one of them may be the row itself.
        let drawn = index::sample(&mut rng, pool.len(), pool.len().min(wanted + 1));
        let others = drawn.iter().map(|at| &pool[at]).filter(|other| other.vars != case.vars);
        examples.extend(others.take(wanted).cloned());
    }
}

/// What a row asks, whatever stands before it.
fn key(case: &Case) -> u64 {
    let vars = serde_json::Value::Object(case.vars.clone()).to_string();
    seed::key(0, &[&vars, case.target.as_deref().unwrap_or_default()])
}
