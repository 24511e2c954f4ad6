//! What one scorer hands back before names, answers and `not` are put to it.

use super::value::ScoreValue;
use serde_json::{Map, Value};

/// A value and, where it does not speak for itself, why.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judgement {
    /// The value.
    pub(super) value: ScoreValue,
    /// Why; may be empty.
    pub(super) explanation: String,
    /// Further numbers.
    pub(super) parts: Map<String, Value>,
}

impl Judgement {
    /// A value, and why.
    pub(super) fn new(value: ScoreValue, explanation: String) -> Self {
        Self { value, explanation, parts: Map::new() }
    }

    /// The same with one more number; one that is not finite is left out.
    pub(super) fn with(mut self, part: &str, number: f64) -> Self {
        if number.is_finite() {
            self.parts.insert(part.to_owned(), number.into());
        }
        self
    }

    /// Right, with nothing to explain; or wrong, for a reason.
    pub(super) fn pass(pass: bool, why_not: impl FnOnce() -> String) -> Self {
        let explanation = if pass { String::new() } else { why_not() };
        Self::new(ScoreValue::Pass(pass), explanation)
    }

    /// A number that speaks for itself.
    pub(super) fn number(value: f64) -> Self {
        Self::new(ScoreValue::number(value), String::new())
    }

    /// Not judged, for a reason outside the model.
    pub(super) fn unscored(reason: impl Into<String>) -> Self {
        Self::new(ScoreValue::Unscored(reason.into()), String::new())
    }

    /// The same with `not` put to it: a pass becomes a failure and back, a number `1 - number`. What is unscored
    /// stays so, and a label has no opposite (a label scorer refuses `not` when it is built).
    pub(super) fn turned_round(self) -> Self {
        match self.value {
            ScoreValue::Pass(pass) => {
                let explanation = if pass { "`not`: the condition holds".to_owned() } else { String::new() };
                Self { value: ScoreValue::Pass(!pass), explanation, ..self }
            }
            ScoreValue::Number(number) => Self { value: ScoreValue::number(1.0 - number), ..self },
            ScoreValue::Label(label) => Self::unscored(format!("`not` cannot turn the label `{}` round", clip(&label))),
            ScoreValue::Unscored(_) => self,
        }
    }
}

/// The beginning of a text, short enough for an explanation, on one line.
pub(super) fn clip(text: &str) -> String {
    const MOST: usize = 80;
    let line: String = text.trim().chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.trim().chars().count() > MOST { line + "…" } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_turns_passes_and_numbers_round_and_leaves_the_unscored() {
        assert_eq!(Judgement::pass(true, String::new).turned_round().value, ScoreValue::Pass(false));
        assert_eq!(Judgement::pass(false, String::new).turned_round().value, ScoreValue::Pass(true));
        assert_eq!(Judgement::number(0.25).turned_round().value, ScoreValue::Number(0.75));
        assert_eq!(Judgement::unscored("x").turned_round().value, ScoreValue::Unscored("x".into()));
        let label = Judgement::new(ScoreValue::Label("good".into()), String::new());
        assert!(matches!(label.turned_round().value, ScoreValue::Unscored(_)));
    }

    #[test]
    fn long_texts_are_clipped_to_one_line() {
        assert_eq!(clip(" a\nb "), "a b");
        assert_eq!(clip(&"é".repeat(100)).chars().count(), 81);
    }
}
