//! `chrf`: chrF2 against the target.

use super::judgement::Judgement;
use std::collections::HashMap;

/// Longest character n-gram.
const ORDER: usize = 6;
/// How much more recall weighs than precision.
const BETA: f64 = 2.0;

/// Why this target cannot be judged against.
pub(super) fn unfit(target: &str) -> Option<String> {
    letters(target).is_empty().then(|| "the target is empty".to_owned())
}

/// chrF (Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation") as sacrebleu 2 computes a
/// sentence's chrF2, scaled to 0..1: character n-grams of orders 1 to 6 without white space, precision and recall averaged
/// over the orders that both texts have ("effective order"), `F = 5pr / (4p + r)`; 0 where nothing is shared.
pub(super) fn judge(answer: &str, target: &str) -> Judgement {
    let (answer, target) = (letters(answer), letters(target));
    let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
    for n in 1..=ORDER.min(answer.len()).min(target.len()) {
        let shared = shared_ngrams(&answer, &target, n) as f64;
        precision += shared / (answer.len() - n + 1) as f64;
        recall += shared / (target.len() - n + 1) as f64;
        orders += 1.0;
    }
    if precision + recall <= 0.0 {
        return Judgement::number(0.0);
    }
    let (p, r) = (precision / orders, recall / orders);
    let factor = BETA * BETA;
    Judgement::number((1.0 + factor) * p * r / (factor * p + r))
}

/// The characters that count. Python's `str.split`, which sacrebleu uses, takes four control characters as white space.
fn letters(text: &str) -> Vec<char> {
    text.chars().filter(|c| !c.is_whitespace() && !('\u{1c}'..='\u{1f}').contains(c)).collect()
}

/// How many n-grams two texts share, each counted as often as the text that has fewer.
fn shared_ngrams(answer: &[char], target: &[char], n: usize) -> usize {
    let mut left: HashMap<&[char], usize> = HashMap::new();
    for ngram in target.windows(n) {
        *left.entry(ngram).or_default() += 1;
    }
    let mut shared = 0;
    for ngram in answer.windows(n) {
        if let Some(count) = left.get_mut(ngram).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::ScoreValue;

    /// ```python
    /// from sacrebleu.metrics import CHRF  # 2.6.0
    /// CHRF().sentence_score(answer, [target]).score / 100
    /// ```
    #[test]
    fn agrees_with_sacrebleu() {
        for (answer, target, expected) in [
            (
                "The quick brown fox jumps over the lazy dog.",
                "The fast brown fox leaps over the lazy dog!",
                0.606_122_378_509_895_8,
            ),
            ("the cat was found under the bed", "the cat was under the bed", 0.800_592_559_616_564_3),
            ("A a b B c", "b c a a", 0.178_571_428_571_428_58),
            ("nothing alike", "zero match", 0.086_805_555_555_555_55),
            ("Café au lait", "cafe au lait", 0.488_095_238_095_238_1),
            ("ab", "abcdefgh", 0.234_042_553_191_489_37),
            ("abcdefgh", "ab", 0.55),
            ("a", "a", 1.0),
            ("日本語のテスト", "日本語テスト", 0.368_905_828_172_145_46),
            ("Hello World", "hello world", 0.375_396_825_396_825_4),
            ("aaa aaa", "aaaa", 0.846_774_193_548_387_3),
            ("x", "y", 0.0),
            ("", "x y", 0.0),
        ] {
            let ScoreValue::Number(value) = judge(answer, target).value else { panic!("no number") };
            assert!((value - expected).abs() < 1e-12, "{answer}: {value}");
        }
    }

    #[test]
    fn an_empty_target_cannot_be_judged() {
        assert!(unfit(" \n").is_some());
        assert_eq!(unfit("a"), None);
    }
}
