//! `regex`: the completion matches an expression somewhere.

use super::ScoreError;
use super::extract::compile;
use super::judgement::{Judgement, clip};
use crate::suite::Regex;

/// Searches for an expression; the time is linear in the text, whatever the expression.
#[derive(Debug)]
pub(super) struct RegexScorer {
    expression: ::regex::Regex,
}

impl RegexScorer {
    pub(super) fn new(spec: &Regex) -> Result<Self, ScoreError> {
        Ok(Self { expression: compile(&spec.pattern)? })
    }

    pub(super) fn judge(&self, text: &str) -> Judgement {
        let matches = self.expression.is_match(text);
        Judgement::pass(matches, || format!("nothing matches `{}`", clip(self.expression.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::ScoreValue;

    #[test]
    fn matches_anywhere_unless_anchored() {
        let judge =
            |pattern: &str, text| RegexScorer::new(&Regex { pattern: pattern.into() }).unwrap().judge(text).value;
        assert_eq!(judge("[0-9]{2}", "in 42 days"), ScoreValue::Pass(true));
        assert_eq!(judge("^[0-9]{2}$", "in 42 days"), ScoreValue::Pass(false));
    }

    #[test]
    fn refuses_what_does_not_compile() {
        let error = RegexScorer::new(&Regex { pattern: "(?=a)".into() }).unwrap_err();
        assert!(matches!(error, ScoreError::Regex { .. }));
    }
}
