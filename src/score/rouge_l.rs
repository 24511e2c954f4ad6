//! `rouge_l`: ROUGE-L F1 against the target.

use super::judgement::Judgement;

/// Why this target cannot be judged against: its tokens are those of English, so a text in another script has none.
pub(super) fn unfit(target: &str) -> Option<String> {
    tokens(target).is_empty().then(|| "the target has no token (a-z, 0-9), which is all that ROUGE sees".to_owned())
}

/// ROUGE-L (Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"), as Google's `rouge-score` computes it
/// with `use_stemmer=False`: with L the length of the longest common subsequence of tokens, precision L / |answer| and
/// recall L / |target|, the F1 `2pr / (p + r)`; 0 where nothing is shared. Tokens are runs of `a-z0-9` in the lower-cased
/// text, so accents split words and other scripts vanish.
pub(super) fn judge(answer: &str, target: &str) -> Judgement {
    let (answer, target) = (tokens(answer), tokens(target));
    let common = longest_common_subsequence(&answer, &target);
    let total = answer.len() + target.len();
    // 2pr / (p + r) with p = L/a and r = L/t is 2L / (a + t).
    Judgement::number(if total == 0 { 0.0 } else { 2.0 * common as f64 / total as f64 })
}

fn tokens(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower
        .split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit())
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Dynamic programming with one row kept: O(|a|·|b|) time, O(|b|) memory.
fn longest_common_subsequence(a: &[String], b: &[String]) -> usize {
    // row[j] is the length for the tokens of `a` seen so far and the first j + 1 of `b`.
    let mut row = vec![0; b.len()];
    for token in a {
        let (mut diagonal, mut left) = (0, 0);
        for (other, cell) in b.iter().zip(&mut row) {
            let here = if token == other { diagonal + 1 } else { left.max(*cell) };
            diagonal = std::mem::replace(cell, here);
            left = here;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::ScoreValue;
    use proptest::prelude::*;

    /// ```python
    /// from rouge_score import rouge_scorer  # 0.1.2
    /// rouge_scorer.RougeScorer(['rougeL'], use_stemmer=False).score(target, answer)['rougeL'].fmeasure
    /// ```
    #[test]
    fn agrees_with_rouge_score() {
        for (answer, target, expected) in [
            (
                "The quick brown fox jumps over the lazy dog.",
                "The fast brown fox leaps over the lazy dog!",
                0.777_777_777_777_777_8,
            ),
            ("the cat was found under the bed", "the cat was under the bed", 0.923_076_923_076_923),
            ("A a b B c", "b c a a", 0.444_444_444_444_444_5),
            ("don't stop-believing 42", "Don t stop believing", 0.888_888_888_888_889),
            ("Café au lait", "cafe au lait", 0.666_666_666_666_666_6),
            ("nothing alike", "zero match", 0.0),
        ] {
            let ScoreValue::Number(value) = judge(answer, target).value else { panic!("no number") };
            assert!((value - expected).abs() < 1e-12, "{answer}: {value}");
        }
    }

    #[test]
    fn a_target_without_tokens_cannot_be_judged() {
        assert!(unfit("日本語").is_some() && unfit("").is_some());
        assert_eq!(unfit("Tokyo"), None);
    }

    fn naive(a: &[String], b: &[String]) -> usize {
        match (a, b) {
            ([x, a2 @ ..], [y, b2 @ ..]) if x == y => 1 + naive(a2, b2),
            ([_, a2 @ ..], [_, b2 @ ..]) => naive(a2, b).max(naive(a, b2)),
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn the_row_agrees_with_plain_recursion(a in "[abc ]{0,14}", b in "[abc ]{0,14}") {
            let (a, b) = (tokens(&a), tokens(&b));
            prop_assert_eq!(longest_common_subsequence(&a, &b), naive(&a, &b));
        }
    }
}
