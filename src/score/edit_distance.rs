//! `edit_distance`: Levenshtein similarity to the target.

use super::judgement::Judgement;

/// `1 - d / max(|answer|, |target|)`, where `d` is the least number of characters inserted, deleted or replaced
/// (Levenshtein 1966); lengths are in Unicode scalar values, and two empty texts are alike (1). Case and punctuation
/// count; white space around either text does not.
pub(super) fn judge(answer: &str, target: &str) -> Judgement {
    Judgement::number(strsim::normalized_levenshtein(answer.trim(), target.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::ScoreValue;

    /// ```python
    /// def lev(a, b):
    ///     d = list(range(len(b) + 1))
    ///     for i, x in enumerate(a, 1):
    ///         p, d[0] = d[0], i
    ///         for j, y in enumerate(b, 1):
    ///             p, d[j] = d[j], min(d[j] + 1, d[j - 1] + 1, p + (x != y))
    ///     return d[-1]
    /// 1 - lev("kitten", "sitting") / 7, 1 - lev("Zürich", "Zurich") / 6, 1 - lev("", "abc") / 3
    /// ```
    #[test]
    fn agrees_with_the_textbook_recurrence() {
        for (answer, target, expected) in [
            ("kitten", "sitting", 0.571_428_571_428_571_4),
            ("Zürich", "Zurich", 0.833_333_333_333_333_4),
            ("", "abc", 0.0),
            ("a", "a", 1.0),
        ] {
            let ScoreValue::Number(value) = judge(answer, target).value else { panic!("no number") };
            assert!((value - expected).abs() < 1e-12, "{answer} {target}: {value}");
        }
    }
}
