//! `exact`: the answer equals the target after normalisation.

use super::judgement::{Judgement, clip};
use super::normalise::{bare, fold};
use crate::suite::Exact;

/// Compares in NFKC with white space collapsed. Unless told otherwise, case is folded, and quotes, markdown marks and
/// a full stop around the answer do not count, so that `**Paris.**` equals `paris`.
#[derive(Debug)]
pub(super) struct ExactScorer {
    case_sensitive: bool,
    keep_punctuation: bool,
}

impl ExactScorer {
    pub(super) fn new(spec: &Exact) -> Self {
        Self { case_sensitive: spec.case_sensitive, keep_punctuation: spec.keep_punctuation }
    }

    pub(super) fn judge(&self, answer: &str, target: &str) -> Judgement {
        let same = self.normalise(answer) == self.normalise(target);
        Judgement::pass(same, || format!("read `{}`, expected `{}`", clip(answer), clip(target)))
    }

    fn normalise(&self, text: &str) -> String {
        let folded = fold(text, self.case_sensitive);
        if self.keep_punctuation { folded } else { bare(&folded).to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::ScoreValue;

    fn same(spec: &Exact, answer: &str, target: &str) -> bool {
        ExactScorer::new(spec).judge(answer, target).value == ScoreValue::Pass(true)
    }

    #[test]
    fn dress_does_not_count_unless_told() {
        let spec = Exact::default();
        assert!(same(&spec, " **\"New  York.\"** ", "new york"));
        assert!(!same(&spec, "New Yorker", "new york"));
        assert!(!same(&Exact { case_sensitive: true, ..spec.clone() }, "Paris", "paris"));
        assert!(same(&Exact { case_sensitive: true, ..spec.clone() }, "Paris.", "Paris"));
        assert!(!same(&Exact { keep_punctuation: true, ..spec.clone() }, "paris.", "paris"));
        assert!(same(&Exact { keep_punctuation: true, ..spec }, "PARIS.", "paris."));
    }

    #[test]
    fn says_what_was_read_and_expected() {
        let judged = ExactScorer::new(&Exact::default()).judge("Rome", "Paris");
        insta::assert_snapshot!(judged.explanation, @"read `Rome`, expected `Paris`");
    }
}
