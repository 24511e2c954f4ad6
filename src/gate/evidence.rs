//! The figures behind a decision, as one line.

use super::record::Decision;
use crate::stats::{Compared, Estimate, Test};
use crate::suite::Bound;

/// `no_worse_by 0.02`.
pub(super) fn of_bound(bound: Bound) -> String {
    match bound {
        Bound::NoWorseBy(margin) => format!("no_worse_by {margin}"),
        Bound::AtLeast(least) => format!("at_least {least}"),
        Bound::AtMost(most) => format!("at_most {most}"),
    }
}

/// `0.830 [0.77, 0.88], n 200`.
pub(super) fn of_value(estimate: &Estimate, n: usize, confidence: f64) -> String {
    let at = if (confidence - crate::stats::LEVEL).abs() < 1e-9 {
        String::new()
    } else {
        format!(" at {}", percent(confidence))
    };
    match (estimate.value, estimate.ci) {
        (Some(value), Some([low, high])) => format!("{} [{}, {}]{at}, n {n}", figure(value), figure(low), figure(high)),
        (Some(value), None) => format!("{}, n {n}, which gives no interval", figure(value)),
        (None, _) => "no case could be scored".to_owned(),
    }
}

/// `0.700 → 0.800: +0.100 [+0.050, +0.150], n 200, 6 lost, 26 won, p 0.0005`.
pub(super) fn of_change(compared: &Compared, p: Option<f64>, margin: f64, decision: Decision) -> String {
    let difference = &compared.difference;
    let side = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), figure);
    let mut out = format!("{} → {}", side(difference.baseline), side(difference.candidate));
    if difference.identical {
        return format!("{out}, the same in all {} cases", difference.n);
    }
    if let Some(change) = difference.difference {
        out += &format!(": {}", signed(change));
    }
    if let Some([low, high]) = difference.ci {
        let at = if (difference.level - crate::stats::LEVEL).abs() < 1e-9 {
            String::new()
        } else {
            format!(" at {}", percent(difference.level))
        };
        out += &format!(" [{}, {}]{at}", signed(low), signed(high));
    }
    out += &format!(", n {}", difference.n);
    if let Some([lost, won]) = difference.discordant {
        out += &format!(", {lost} lost, {won} won");
    }
    match p {
        Some(p) => out += &format!(", p {} ({})", p_text(p), test_name(difference.test)),
        None => out += ", too few cases for a test",
    }
    if decision == Decision::Undecided {
        out += match (margin > 0.0, difference.ci) {
            (true, None) => "; no interval can be given",
            (true, Some(_)) => "; more cases decide",
            (false, _) => "; so few cannot prove a drop",
        };
    }
    out
}

/// What a test is called.
#[must_use]
pub fn test_name(test: Test) -> &'static str {
    match test {
        Test::McnemarExact => "exact McNemar",
        Test::SignFlip => "sign flips",
        Test::Swap => "swaps",
    }
}

/// A p-value with as many digits as it is worth.
#[must_use]
pub fn p_text(p: f64) -> String {
    match p {
        p if p < 0.0001 => "< 0.0001".to_owned(),
        p if p < 0.01 => format!("{p:.4}"),
        p => format!("{p:.3}"),
    }
}

/// A figure with three decimals, more where it is small, fewer where it is large.
#[must_use]
pub fn figure(value: f64) -> String {
    match value.abs() {
        0.0 => "0.000".to_owned(),
        size if size >= 1_000.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size < 0.001 => format!("{value:.2e}"),
        _ => format!("{value:.3}"),
    }
}

/// The same with its sign.
#[must_use]
pub fn signed(value: f64) -> String {
    let text = figure(value);
    if text.starts_with('-') { text } else { format!("+{text}") }
}

fn percent(level: f64) -> String {
    format!("{} %", (level * 1e6).round() / 1e4)
}
