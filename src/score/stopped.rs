//! Whether the model ended by itself.

use super::Judged;
use super::judgement::Judgement;
use crate::engine::StopReason;

/// Passes a completion that was not cut.
pub(super) fn judge(judged: &Judged) -> Judgement {
    let stopped = judged.completion.is_some_and(|completion| completion.stop_reason == StopReason::Stop);
    Judgement::pass(stopped, || "the completion was cut at max_tokens".to_owned())
}
