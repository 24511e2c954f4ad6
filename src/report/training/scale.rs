//! From values to places on a curve, and the numbers beside it.

use crate::report::thousands;

/// About how many spaces lie between the lines of a grid.
const SPACES: f64 = 4.0;

/// Where the greatest value is more than this many times the least, equal distances are equal factors.
const WIDE: f64 = 100.0;

/// The values of an axis: equal distances are equal differences, or equal factors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    /// Between two lines of the grid, in what is laid out: values, or their decimal logarithms.
    step: f64,
    log: bool,
}

impl Scale {
    /// A scale that holds all these (finite) values; with `zero`, from zero.
    pub(super) fn of(values: impl Iterator<Item = f64>, zero: bool) -> Self {
        let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        if least > most {
            return Self { low: 0.0, high: 1.0, step: 0.25, log: false };
        }
        if !zero && least > 0.0 && most / least > WIDE {
            let (low, high) = (least.log10().floor(), most.log10().ceil());
            return Self { low, high, step: ((high - low) / (SPACES + 1.0)).ceil().max(1.0), log: true };
        }
        let least = if zero { least.min(0.0) } else { least };
        if least.abs().max(most.abs()) < 1e-12 {
            return Self::share();
        }
        // A flat curve runs through the middle.
        let margin = if most > least { 0.0 } else { (most.abs() * 0.1).max(1e-9) };
        let step = nice((most - least + 2.0 * margin) / SPACES);
        let low = ((least - margin) / step).floor() * step;
        Self { low, high: ((most + margin) / step).ceil() * step, step, log: false }
    }

    /// Shares: from 0 to 1.
    pub(super) fn share() -> Self {
        Self { low: 0.0, high: 1.0, step: 0.25, log: false }
    }

    /// Whether equal distances are equal factors.
    pub(super) fn is_log(&self) -> bool {
        self.log
    }

    /// How far below the top a value lies, as a share of the height.
    pub(super) fn down(&self, value: f64) -> f64 {
        let value = if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        ((self.high - value) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The values of the grid's lines, from the lowest.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round().clamp(1.0, 20.0);
        let mut ticks = Vec::new();
        let mut number = 0.0;
        while number <= count {
            let place = self.low + number * self.step;
            ticks.push(if self.log { 10_f64.powf(place) } else { place });
            number += 1.0;
        }
        ticks.retain(|tick| self.down(*tick) > 0.0 || (self.down(*tick)).abs() < 1e-9);
        ticks
    }
}

/// The smallest of 1, 2, 2.5, 5 and 10 times a power of ten that is not below a positive number.
fn nice(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 2.5, 5.0, 10.0];
    factors.iter().map(|factor| factor * power).find(|step| *step >= rough * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// A number in about three digits, short: `0.842`, `12.3`, `5,832`, `2.0e-4`.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => "not finite".to_owned(),
        _ if size == 0.0 => "0".to_owned(),
        _ if !(0.001..1e7).contains(&size) => format!("{value:.1e}"),
        _ if size < 10.0 => format!("{value:.3}"),
        _ if size < 100.0 => format!("{value:.1}"),
        _ => grouped(value.round()),
    }
}

/// The number of a line of the grid: like [`short`], without zeros at its end.
pub(super) fn tick(value: f64) -> String {
    let text = short(value);
    match text.split_once('e') {
        Some((digits, power)) => format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.')),
        None if text.contains('.') => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => text,
    }
}

/// A whole number with a comma before every three digits.
pub(super) fn grouped(value: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates")]
    let text = thousands(value.abs().round() as u64);
    if value < 0.0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_holds_its_values_between_round_numbers() {
        let scale = Scale::of([0.83, 2.31].into_iter(), false);
        assert_eq!(scale.ticks().into_iter().map(tick).collect::<Vec<_>>(), ["0.5", "1", "1.5", "2", "2.5"]);
        assert!((scale.down(2.5)).abs() < 1e-12 && (scale.down(1.5) - 0.5).abs() < 1e-12);
        let zero = Scale::of([480.0, 520.0].into_iter(), true);
        assert_eq!(zero.ticks().into_iter().map(tick).collect::<Vec<_>>(), ["0", "200", "400", "600"]);
        let flat = Scale::of([2e-4, 2e-4].into_iter(), false);
        assert!(flat.down(2e-4) > 0.2 && flat.down(2e-4) < 0.8);
        assert_eq!(Scale::of(std::iter::empty(), false).ticks().len(), 5);
        assert_eq!(Scale::of([0.0, 0.0].into_iter(), true), Scale::share(), "nothing is not a billionth");
    }

    #[test]
    fn where_values_differ_by_factors_the_scale_does() {
        let scale = Scale::of([0.02, 0.5, 300.0].into_iter(), false);
        assert!(scale.is_log());
        assert_eq!(scale.ticks().into_iter().map(tick).collect::<Vec<_>>(), ["0.01", "0.1", "1", "10", "100", "1,000"]);
        assert!((scale.down(1000.0)).abs() < 1e-12 && (scale.down(0.01) - 1.0).abs() < 1e-12);
        assert!(!Scale::of([0.02, 300.0].into_iter(), true).is_log());
    }

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 0.84213, 12.34, 5831.7, 2e-4, 1_234_567.0, f64::NAN];
        assert_eq!(all.map(short), ["0", "0.842", "12.3", "5,832", "2.0e-4", "1,234,567", "not finite"]);
        assert_eq!([2e-4, 1e-3, 0.25, 100.0].map(tick), ["2e-4", "0.001", "0.25", "100"]);
        assert_eq!(grouped(-12_345.0), "-12,345");
    }
}
