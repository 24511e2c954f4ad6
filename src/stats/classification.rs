//! Labels: the confusion matrix, and precision, recall and F1 as scikit-learn computes them (van Rijsbergen 1979;
//! `precision_recall_fscore_support(…, labels=labels, zero_division=0)`).

use serde::Serialize;

/// How often each label was given for each true label.
///
/// ```
/// use tripos::stats::Confusion;
/// let mut confusion = Confusion::new(vec!["yes".into(), "no".into()]);
/// confusion.add(0, Some(0));
/// confusion.add(1, None); // the truth was `no`, the answer no label at all
/// assert_eq!(confusion.counts, [[1, 0, 0], [0, 0, 1]]);
/// assert_eq!(confusion.scores().accuracy, 0.5);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// The labels, in the suite's order.
    pub labels: Vec<String>,
    /// One row a true label; one column a predicted label, and a last one for answers that were not understood.
    pub counts: Vec<Vec<usize>>,
}

impl Confusion {
    /// An empty matrix.
    #[must_use]
    pub fn new(labels: Vec<String>) -> Self {
        let counts = vec![vec![0; labels.len() + 1]; labels.len()];
        Self { labels, counts }
    }

    /// Counts one case by the positions of its labels; `None` is an answer that was not understood. A position that no
    /// label has is not counted, and the answer is then `false`.
    pub fn add(&mut self, truth: usize, predicted: Option<usize>) -> bool {
        let column = match predicted {
            Some(label) if label >= self.labels.len() => return false,
            Some(label) => label,
            None => self.labels.len(),
        };
        let cell = self.counts.get_mut(truth).and_then(|row| row.get_mut(column));
        cell.map(|count| *count += 1).is_some()
    }

    /// Precision, recall and F1 of each label and their averages.
    #[must_use]
    pub fn scores(&self) -> Classification {
        let mut tallies = vec![Tally::default(); self.labels.len()];
        for (truth, row) in self.counts.iter().enumerate() {
            for (predicted, count) in row.iter().enumerate() {
                tally(&mut tallies, truth, Some(predicted).filter(|label| *label < self.labels.len()), *count);
            }
        }
        Classification::of(&tallies)
    }
}

/// What precision and recall are made of, for one label.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    hits: usize,
    predicted: usize,
    support: usize,
}

/// Adds `count` cases of one truth and prediction to the labels' tallies.
pub(super) fn tally(tallies: &mut [Tally], truth: usize, predicted: Option<usize>, count: usize) {
    if let Some(label) = tallies.get_mut(truth) {
        label.support += count;
        label.hits += if predicted == Some(truth) { count } else { 0 };
    }
    if let Some(label) = predicted.and_then(|predicted| tallies.get_mut(predicted)) {
        label.predicted += count;
    }
}

/// Precision `TP / (TP + FP)`, recall `TP / (TP + FN)` and F1 `2TP / (2TP + FP + FN)`, each 0 where its denominator is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Averages {
    /// Of what was called so, the share that is so.
    pub precision: f64,
    /// Of what is so, the share that was called so.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
}

impl Averages {
    fn of(tally: Tally) -> Self {
        let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        Self {
            precision: share(tally.hits, tally.predicted),
            recall: share(tally.hits, tally.support),
            f1: share(2 * tally.hits, tally.predicted + tally.support),
        }
    }
}

/// One label's scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LabelScores {
    /// Its precision, recall and F1.
    pub scores: Averages,
    /// How many cases truly have it.
    pub support: usize,
}

/// All scores of a confusion matrix.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classification {
    /// The share of cases whose label is right; 0 for no cases.
    pub accuracy: f64,
    /// The plain mean over all labels, also those that no case has.
    #[serde(rename = "macro")]
    pub macro_average: Averages,
    /// From the sums over all labels. An answer that was not understood lowers recall and not precision, since it names
    /// no label; without such answers the three are equal to the accuracy.
    #[serde(rename = "micro")]
    pub micro_average: Averages,
    /// Each label's scores, in the labels' order.
    pub labels: Vec<LabelScores>,
}

impl Classification {
    pub(super) fn of(tallies: &[Tally]) -> Self {
        let labels: Vec<_> =
            tallies.iter().map(|tally| LabelScores { scores: Averages::of(*tally), support: tally.support }).collect();
        let sum = |part: fn(&Tally) -> usize| tallies.iter().map(part).sum();
        let total = Tally { hits: sum(|t| t.hits), predicted: sum(|t| t.predicted), support: sum(|t| t.support) };
        let average = |part: fn(&Averages) -> f64| match labels.len() {
            0 => 0.0,
            count => labels.iter().map(|label| part(&label.scores)).sum::<f64>() / count as f64,
        };
        let micro_average = Averages::of(total);
        Self {
            // Every case has one true label, so the micro recall counts the same things.
            accuracy: micro_average.recall,
            macro_average: Averages {
                precision: average(|a| a.precision),
                recall: average(|a| a.recall),
                f1: average(|a| a.f1),
            },
            micro_average,
            labels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [&str; 4] = ["neg", "neu", "pos", "rare"];

    /// Counts pairs of words; a word that is no label is not understood.
    fn confusion(truths: &str, predictions: &str) -> Confusion {
        let position = |word: &str| LABELS.iter().position(|label| *label == word);
        let mut confusion = Confusion::new(LABELS.map(String::from).to_vec());
        for (truth, predicted) in truths.split(' ').zip(predictions.split(' ')) {
            assert!(confusion.add(position(truth).unwrap(), position(predicted)));
        }
        confusion
    }

    fn close(got: Averages, precision: f64, recall: f64, f1: f64) {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(got.precision, precision) && near(got.recall, recall) && near(got.f1, f1), "{got:?}");
    }

    fn sample() -> Confusion {
        confusion("pos pos pos neg neg neg neu neu neu neu pos neg", "pos neg pos neg neg ? neu pos neu ? pos rare")
    }

    /// ```python
    /// L = ['neg', 'neu', 'pos', 'rare']  # scikit-learn 1.9.1
    /// t = 'pos pos pos neg neg neg neu neu neu neu pos neg'.split()
    /// q = 'pos neg pos neg neg ? neu pos neu ? pos rare'.split()
    /// confusion_matrix(t, q, labels=L + ['?'])[:4], accuracy_score(t, q)
    /// precision_recall_fscore_support(t, q, labels=L, zero_division=0)  # and average='macro', average='micro'
    /// ```
    #[test]
    fn agrees_with_scikit_learn() {
        let confusion = sample();
        assert_eq!(confusion.counts, [[2, 0, 0, 1, 1], [0, 2, 1, 0, 1], [1, 0, 3, 0, 0], [0, 0, 0, 0, 0]]);
        let scores = confusion.scores();
        assert!((scores.accuracy - 0.583_333_333_333_333_4).abs() < 1e-12);
        assert_eq!(scores.labels.iter().map(|label| label.support).collect::<Vec<_>>(), [4, 4, 4, 0]);
        close(scores.labels[0].scores, 0.666_666_666_666_666_6, 0.5, 0.571_428_571_428_571_4);
        close(scores.labels[1].scores, 1.0, 0.5, 0.666_666_666_666_666_6);
        close(scores.labels[2].scores, 0.75, 0.75, 0.75);
        close(scores.labels[3].scores, 0.0, 0.0, 0.0);
        close(scores.macro_average, 0.604_166_666_666_666_6, 0.4375, 0.497_023_809_523_809_53);
        close(scores.micro_average, 0.7, 0.583_333_333_333_333_4, 0.636_363_636_363_636_4);
    }

    #[test]
    fn without_misunderstood_answers_the_micro_averages_are_the_accuracy() {
        let scores = confusion("pos neg neu neu", "pos neu neu pos").scores();
        close(scores.micro_average, scores.accuracy, scores.accuracy, scores.accuracy);
        assert!((scores.accuracy - 0.5).abs() < 1e-12);
    }

    #[test]
    fn never_divides_by_zero() {
        for empty in [Confusion::new(Vec::new()), Confusion::new(vec!["a".into()])] {
            let scores = empty.scores();
            assert!(scores.accuracy == 0.0 && scores.macro_average == Averages::default());
            assert_eq!(scores.micro_average, Averages::default());
        }
    }

    #[test]
    fn refuses_a_position_that_no_label_has() {
        let mut confusion = Confusion::new(vec!["a".into(), "b".into()]);
        assert!(!confusion.add(2, Some(0)));
        assert!(!confusion.add(0, Some(2)), "this is the column of answers that were not understood");
        assert_eq!(confusion, Confusion::new(vec!["a".into(), "b".into()]));
    }

    #[test]
    fn its_json_is_a_matrix_with_its_labels() {
        let mut confusion = Confusion::new(vec!["a".into(), "b".into()]);
        confusion.add(0, Some(1));
        insta::assert_snapshot!(serde_json::to_string(&confusion).unwrap(), @r#"{"labels":["a","b"],"counts":[[0,1,0],[0,0,0]]}"#);
    }
}
