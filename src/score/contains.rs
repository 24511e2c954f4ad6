//! `contains`: the completion contains a fixed text, or the target.

use super::ScoreError;
use super::judgement::{Judgement, clip};
use super::normalise::fold;
use crate::suite::Contains;

/// Looks for a text in NFKC with white space collapsed and, unless told otherwise, case folded.
#[derive(Debug)]
pub(super) struct ContainsScorer {
    value: Option<String>,
    case_sensitive: bool,
}

impl ContainsScorer {
    /// Refuses an empty text, which everything contains.
    pub(super) fn new(spec: &Contains) -> Result<Self, ScoreError> {
        if spec.value.as_deref().is_some_and(|value| value.trim().is_empty()) {
            return Err(ScoreError::Empty { what: "the text to look for" });
        }
        Ok(Self { value: spec.value.clone(), case_sensitive: spec.case_sensitive })
    }

    /// Why this target cannot be judged against.
    pub(super) fn unfit(&self, target: &str) -> Option<String> {
        (self.value.is_none() && target.trim().is_empty()).then(|| "the target is empty: every text contains it".into())
    }

    pub(super) fn judge(&self, text: &str, target: &str) -> Judgement {
        let wanted = self.value.as_deref().unwrap_or(target);
        let found = fold(text, self.case_sensitive).contains(&fold(wanted, self.case_sensitive));
        Judgement::pass(found, || format!("`{}` does not occur", clip(wanted)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::ScoreValue;

    fn found(value: Option<&str>, case_sensitive: bool, text: &str, target: &str) -> bool {
        let spec = Contains { value: value.map(str::to_owned), case_sensitive };
        ContainsScorer::new(&spec).unwrap().judge(text, target).value == ScoreValue::Pass(true)
    }

    #[test]
    fn looks_for_the_value_else_for_the_target() {
        assert!(found(None, false, "It is NEW\n York!", "new york"));
        assert!(!found(None, true, "It is NEW York!", "new york"));
        assert!(found(Some("york"), false, "New York", "Paris"));
        assert!(!found(Some("rome"), false, "New York", "New York"));
    }

    #[test]
    fn an_empty_text_is_refused() {
        assert!(ContainsScorer::new(&Contains { value: Some(" ".into()), ..Contains::default() }).is_err());
        let by_target = ContainsScorer::new(&Contains::default()).unwrap();
        assert!(by_target.unfit("").is_some() && by_target.unfit("x").is_none());
    }
}
