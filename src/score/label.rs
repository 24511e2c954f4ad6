//! `label`: the answer is one of a closed set of labels.

use super::judgement::{Judgement, clip};
use super::normalise::{bare, fold, is_word};
use super::{ScoreError, ScoreValue};
use crate::suite::Label;
use std::ops::Range;

/// Reads one of a closed set of labels.
///
/// The normalised answer (case, white space, quotes, markdown and trailing punctuation set aside) equals a label; else
/// exactly one label occurs in it as whole words. Where one label contains another (`not spam`, `spam`), the longer one
/// counts. Anything else is not understood, which is wrong rather than unscored: in a confusion matrix it has its own
/// column. A target must be one of the labels letter by letter, or the case is unscored.
#[derive(Debug)]
pub(super) struct LabelScorer {
    /// As written, and normalised; the longest normalised first.
    labels: Vec<(String, String)>,
}

impl LabelScorer {
    /// Takes the spec's labels, else the distinct targets of the cases.
    pub(super) fn new(spec: &Label, targets: &[String]) -> Result<Self, ScoreError> {
        let written = if spec.labels.is_empty() { targets } else { &spec.labels };
        let mut labels: Vec<(String, String)> =
            written.iter().map(|label| (label.clone(), bare(&fold(label, false)).to_owned())).collect();
        labels.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.cmp(b)));
        labels.dedup_by(|a, b| a.0 == b.0);
        if labels.is_empty() {
            return Err(ScoreError::NoLabels);
        }
        if labels.iter().any(|(_, normal)| normal.is_empty()) {
            return Err(ScoreError::Empty { what: "a label" });
        }
        for (at, (first, normal)) in labels.iter().enumerate() {
            if let Some((second, _)) = labels.iter().skip(at + 1).find(|(_, other)| other == normal) {
                return Err(ScoreError::LabelsAlike { first: first.clone(), second: second.clone() });
            }
        }
        Ok(Self { labels })
    }

    /// The labels as written, sorted.
    pub(super) fn labels(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.labels.iter().map(|(label, _)| label.as_str()).collect();
        all.sort_unstable();
        all
    }

    /// Why this target cannot be judged against.
    pub(super) fn unfit(&self, target: &str) -> Option<String> {
        let known = self.labels.iter().any(|(label, _)| label == target);
        (!known).then(|| {
            format!("the target `{}` is not among the labels {}", clip(target), clip(&self.labels().join(", ")))
        })
    }

    pub(super) fn judge(&self, answer: &str, target: &str) -> Judgement {
        match self.read(answer) {
            Ok(label) if label == target => Judgement::new(ScoreValue::Label(label.to_owned()), String::new()),
            Ok(label) => {
                let explanation = format!("read `{}`, expected `{}`", clip(label), clip(target));
                Judgement::new(ScoreValue::Label(label.to_owned()), explanation)
            }
            Err(reason) => Judgement::pass(false, || reason),
        }
    }

    /// The label that a text means, or why it means none.
    fn read(&self, answer: &str) -> Result<&str, String> {
        let text = fold(answer, false);
        if let Some((label, _)) = self.labels.iter().find(|(_, normal)| normal == bare(&text)) {
            return Ok(label);
        }
        let mut taken: Vec<Range<usize>> = Vec::new();
        let mut found: Vec<&str> = Vec::new();
        for (label, normal) in &self.labels {
            let spans: Vec<_> = whole_words(&text, normal)
                .filter(|span| !taken.iter().any(|outer| outer.start <= span.start && span.end <= outer.end))
                .collect();
            if !spans.is_empty() {
                found.push(label);
                taken.extend(spans);
            }
        }
        match found.as_slice() {
            [label] => Ok(label),
            [] => Err(format!("no label in `{}`", clip(answer))),
            several => Err(format!("several labels: {}", clip(&several.join(", ")))),
        }
    }
}

/// Where `words` stands in `text` as whole words: a label inside `non-toxic` or `not_spam` is not one.
fn whole_words<'a>(text: &'a str, words: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    text.match_indices(words).filter_map(|(start, found)| {
        let end = start + found.len();
        let before = text.get(..start)?.chars().rev();
        let after = text.get(end..)?.chars();
        let open = found.starts_with(is_word) && joins(before) || found.ends_with(is_word) && joins(after);
        (!open).then_some(start..end)
    })
}

/// Whether a word goes on in this direction: with a word character, or with a hyphen, underscore or apostrophe and a
/// word character behind it.
fn joins(mut away: impl Iterator<Item = char>) -> bool {
    let beside = away.next();
    let beyond = away.next();
    beside.is_some_and(is_word)
        || beside.is_some_and(|c| matches!(c, '-' | '_' | '\'' | '’')) && beyond.is_some_and(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scorer(labels: &[&str]) -> LabelScorer {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        LabelScorer::new(&Label { labels, ..Label::default() }, &[]).unwrap()
    }

    fn read<'a>(scorer: &'a LabelScorer, answer: &str) -> Option<&'a str> {
        scorer.read(answer).ok()
    }

    #[test]
    fn reads_a_label_alone_or_as_the_only_one_in_a_sentence() {
        let scorer = scorer(&["Positive", "negative", "very negative"]);
        assert_eq!(read(&scorer, " **POSITIVE.** "), Some("Positive"));
        assert_eq!(read(&scorer, "I would say: positive!"), Some("Positive"));
        assert_eq!(read(&scorer, "It is very  negative"), Some("very negative"));
        assert_eq!(read(&scorer, "negative, negative"), Some("negative"));
        for unclear in
            ["positive or negative", "very negative, not just negative", "neutral", "positively", "non-negative", ""]
        {
            assert_eq!(read(&scorer, unclear), None, "{unclear}");
        }
    }

    #[test]
    fn labels_may_be_marks_or_scripts_without_spaces() {
        assert_eq!(read(&scorer(&["正面", "负面"]), "这是正面的评论"), Some("正面"));
        assert_eq!(read(&scorer(&["C++", "C"]), "It is C++."), Some("C++"));
        assert_eq!(read(&scorer(&["not_spam", "spam"]), "_not_spam_"), Some("not_spam"));
        assert_eq!(read(&scorer(&["spam", "ham"]), "not_spam"), None);
    }

    #[test]
    fn a_label_not_understood_is_wrong_and_a_label_read_is_a_label() {
        let scorer = scorer(&["yes", "no"]);
        assert_eq!(scorer.judge("No.", "yes").value, ScoreValue::Label("no".into()));
        insta::assert_snapshot!(scorer.judge("No.", "yes").explanation, @"read `no`, expected `yes`");
        assert_eq!(scorer.judge("maybe", "yes").value, ScoreValue::Pass(false));
        insta::assert_snapshot!(scorer.judge("yes and no", "yes").explanation, @"several labels: yes, no");
    }

    #[test]
    fn a_target_outside_the_set_cannot_be_judged() {
        let scorer = scorer(&["yes", "no"]);
        assert_eq!(scorer.unfit("yes"), None);
        insta::assert_snapshot!(scorer.unfit("Yes").unwrap(), @"the target `Yes` is not among the labels no, yes");
    }

    #[test]
    fn refuses_sets_that_cannot_be_told_apart() {
        let targets =
            |all: &[&str]| LabelScorer::new(&Label::default(), &all.iter().map(|&t| t.to_owned()).collect::<Vec<_>>());
        assert_eq!(targets(&[]).unwrap_err(), ScoreError::NoLabels);
        assert_eq!(targets(&["", "a"]).unwrap_err(), ScoreError::Empty { what: "a label" });
        assert!(matches!(targets(&["Yes", "no", "yes"]), Err(ScoreError::LabelsAlike { .. })));
        assert_eq!(targets(&["b", "a", "b"]).unwrap().labels(), ["a", "b"]);
    }
}
