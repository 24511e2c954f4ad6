//! `number`: the answer equals the target as a decimal number.

use super::ScoreError;
use super::judgement::{Judgement, clip};
use crate::suite::Number;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// Compares decimals exactly, or within a tolerance; never as floats where 28 digits hold them.
///
/// Both sides lose `$ € £ % , * _` and a trailing full stop and keep their sign. A target may be a whole GSM8K solution:
/// what follows its last `####` counts. Equality is exact at any size; a tolerance is applied in [`Decimal`], and
/// in 64-bit floats only where a number has more digits than that.
#[derive(Debug)]
pub(super) struct NumberScorer {
    tolerance: Decimal,
}

impl NumberScorer {
    pub(super) fn new(spec: &Number) -> Result<Self, ScoreError> {
        let Some(text) = &spec.tolerance else { return Ok(Self { tolerance: Decimal::ZERO }) };
        let number = Exactly::parse(text).filter(|number| !number.negative);
        let tolerance = number.and_then(|number| number.decimal());
        Ok(Self { tolerance: tolerance.ok_or_else(|| ScoreError::Tolerance { text: text.clone() })? })
    }

    /// Why this target cannot be judged against.
    pub(super) fn unfit(target: &str) -> Option<String> {
        let truth = truth(target);
        Exactly::parse(truth).is_none().then(|| format!("the target `{}` is not a number", clip(truth)))
    }

    pub(super) fn judge(&self, answer: &str, target: &str) -> Judgement {
        let truth = truth(target);
        let Some(expected) = Exactly::parse(truth) else {
            return Judgement::unscored(format!("the target `{}` is not a number", clip(truth)));
        };
        let Some(read) = Exactly::parse(answer) else {
            return Judgement::pass(false, || format!("`{}` is not a number", clip(answer)));
        };
        let equal = read == expected || self.within_tolerance(&read, &expected);
        Judgement::pass(equal, || format!("read {}, expected {}", clip(answer), clip(truth)))
    }

    fn within_tolerance(&self, read: &Exactly, expected: &Exactly) -> bool {
        if self.tolerance.is_zero() {
            return false;
        }
        match (read.decimal(), expected.decimal()) {
            // A difference that overflows is larger than any tolerance.
            (Some(a), Some(b)) => a.checked_sub(b).is_some_and(|difference| difference.abs() <= self.tolerance),
            // Infinity minus infinity is NaN, which is not within anything.
            _ => (read.float() - expected.float()).abs() <= self.tolerance.to_f64().unwrap_or_default(),
        }
    }
}

/// The truth inside a target: behind the last `####`, where GSM8K keeps it.
fn truth(target: &str) -> &str {
    target.rsplit("####").next().unwrap_or_default().trim()
}

/// A decimal number of any size, in the one form that equal numbers share: `±digits · 10^power`, the digits
/// without zeros at either end; zero has no digits, power 0 and no sign.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exactly {
    negative: bool,
    digits: String,
    power: i64,
}

impl Exactly {
    /// Reads `[sign] digits [. digits] [e power]` once what people put around it is dropped.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let kept: String = text.chars().filter(|c| !matches!(c, '$' | '€' | '£' | '%' | ',' | '*' | '_')).collect();
        let kept = kept.trim();
        let kept = kept.strip_suffix('.').unwrap_or(kept);
        let unsigned = kept.strip_prefix(['-', '−', '+']).unwrap_or(kept);
        let negative = kept.starts_with(['-', '−']);
        let (mantissa, power) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, exponent(power)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_end_matches('0');
        let power = power + length(all.len() - digits.len()) - length(fraction.len());
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return Some(Self { negative: false, digits: String::new(), power: 0 });
        }
        Some(Self { negative, digits: digits.to_owned(), power })
    }

    /// The number as a decimal of at most 28 digits; `None` beyond.
    fn decimal(&self) -> Option<Decimal> {
        if self.digits.is_empty() {
            return Some(Decimal::ZERO);
        }
        let digits: i128 = self.digits.parse().ok()?;
        let signed = if self.negative { -digits } else { digits };
        let size = u32::try_from(self.power.unsigned_abs()).ok()?;
        if self.power < 0 {
            return Decimal::try_from_i128_with_scale(signed, size).ok();
        }
        Decimal::try_from_i128_with_scale(signed.checked_mul(10_i128.checked_pow(size)?)?, 0).ok()
    }

    /// The nearest 64-bit float; infinite beyond its range.
    fn float(&self) -> f64 {
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}0{}e{}", self.digits, self.power).parse().unwrap_or(f64::NAN)
    }
}

/// A power of ten as written; one too large to matter is cut to 2^31.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse().unwrap_or(1_i64 << 31).min(1 << 31);
    Some(if text.starts_with('-') { -size } else { size })
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::ScoreValue;
    use proptest::prelude::*;

    fn judge(tolerance: Option<&str>, answer: &str, target: &str) -> ScoreValue {
        let spec = Number { tolerance: tolerance.map(str::to_owned) };
        NumberScorer::new(&spec).unwrap().judge(answer, target).value
    }

    #[test]
    fn equal_numbers_are_equal_however_they_are_written() {
        for (answer, target) in [
            ("$29.00", "29"),
            ("29.00", "29"),
            ("1,234", "1234"),
            ("**42**", "42"),
            ("42.", "42"),
            ("-7", "−7"),
            ("0.50", ".5"),
            ("-0", "0"),
            ("1.5e3", "1500"),
            ("50%", "50"),
            ("+3", "3"),
            ("007", "7"),
            ("0.1", "0.1000000000000000000000000000000000000"),
        ] {
            assert_eq!(judge(None, answer, target), ScoreValue::Pass(true), "{answer} and {target}");
        }
        for (answer, target) in [("7", "-7"), ("0.3", "0.30000000000000004"), ("42", "421"), ("x", "42")] {
            assert_eq!(judge(None, answer, target), ScoreValue::Pass(false), "{answer} and {target}");
        }
    }

    #[test]
    fn the_truth_of_a_gsm8k_solution_stands_behind_its_marks() {
        let target = "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nShe sold 1,072 altogether.\n#### 1,072";
        assert_eq!(judge(None, "1072", target), ScoreValue::Pass(true));
        assert_eq!(judge(None, "24", target), ScoreValue::Pass(false));
    }

    #[test]
    fn a_tolerance_is_exact_at_its_edge() {
        assert_eq!(judge(Some("0.1"), "0.4", "0.3"), ScoreValue::Pass(true));
        assert_eq!(judge(Some("0.1"), "0.40000001", "0.3"), ScoreValue::Pass(false));
        for text in ["-1", "x", "1e-40"] {
            let error = NumberScorer::new(&Number { tolerance: Some(text.into()) }).unwrap_err();
            assert_eq!(error, ScoreError::Tolerance { text: text.into() });
        }
    }

    #[test]
    fn a_target_that_is_no_number_is_unscored_with_the_reason() {
        let reason = NumberScorer::unfit("a\n#### many").unwrap();
        insta::assert_snapshot!(reason, @"the target `many` is not a number");
        assert_eq!(judge(None, "1", "many"), ScoreValue::Unscored(reason));
    }

    #[test]
    fn numbers_beyond_28_digits_still_compare() {
        let (large, larger) = (format!("1{}", "0".repeat(40)), format!("1{}1", "0".repeat(39)));
        assert_eq!(judge(None, &large, "1e40"), ScoreValue::Pass(true));
        assert_eq!(judge(None, &large, &larger), ScoreValue::Pass(false));
        assert_eq!(judge(Some("1"), &large, &larger), ScoreValue::Pass(true), "floats, beyond the range of decimals");
        assert_eq!(judge(Some("1"), "1e999999999999", "1e5"), ScoreValue::Pass(false));
        assert_eq!(judge(Some("1"), "1e9999", "2e9999"), ScoreValue::Pass(false), "infinity minus infinity");
        assert_eq!(
            judge(Some("1"), "79228162514264337593543950335", "-79228162514264337593543950335"),
            ScoreValue::Pass(false)
        );
    }

    proptest! {
        #[test]
        fn decimals_agree_with_integers(a in -100_000_i64..100_000, b in -100_000_i64..100_000, t in 0_i64..1000) {
            let show = |n: i64| format!("{n}e-2");
            let within = (a - b).abs() <= t;
            prop_assert_eq!(judge(Some(&show(t)), &show(a), &show(b)), ScoreValue::Pass(within));
        }

        #[test]
        fn never_panics(answer in "[-+−0-9.,eE$]{0,60}", target in "[-+−0-9.,eE$#]{0,60}") {
            judge(Some("0.001"), &answer, &target);
        }
    }
}
