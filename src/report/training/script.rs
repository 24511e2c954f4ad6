//! What the page's script reads: the figures of the steps, thinned where there are many.

use super::{TrainingRun, inert};
use serde_json::{Value, json};

/// Most steps whose figures are given.
const MOST: usize = 4_000;

/// A block that is inert to a browser: `{"last", "steps": [[step, loss, lr, norm, tokens/s, MiB]], "evaluations": [[step,
/// held-out loss, accuracy]]}`.
pub(super) fn data(run: &TrainingRun) -> String {
    let every = run.steps.len().div_ceil(MOST).max(1);
    let is_kept = |at: usize| at.is_multiple_of(every) || at + 1 == run.steps.len();
    let kept = run.steps.iter().enumerate().filter(|(at, _)| is_kept(*at));
    let steps: Vec<Value> = kept
        .map(|(_, one)| json!([one.step, one.loss, one.lr, one.grad_norm, one.tokens_per_s.round(), one.peak_mib]))
        .collect();
    let evaluations: Vec<Value> =
        run.evaluations.iter().map(|one| json!([one.step, one.held_out_loss, one.accuracy])).collect();
    let data = json!({"last": run.last(), "steps": steps, "evaluations": evaluations});
    format!("<script type=\"application/json\" id=\"data\">{}</script>", inert(&data.to_string()).into_string())
}
