//! The report as text for a terminal.

use super::{Agreement, ByAxis, RankReport, Rater, Standing};

/// The report as tables, as wide as they need to be.
#[must_use]
pub fn tables(report: &RankReport) -> String {
    let RankReport { judgements, withdrawn, cases, raters, simulated, axes, .. } = report;
    let mut out = format!("{judgements} judgements of {cases} cases by {}", plural(raters.len(), "person", "people"));
    if !simulated.is_empty() {
        out += &format!(" and {}", plural(simulated.len(), "simulated rater", "simulated raters"));
    }
    if *withdrawn > 0 {
        out += &format!("; {withdrawn} were taken back");
    }
    out += ".\n";
    for (title, raters) in [("rater", raters), ("simulated", simulated)] {
        if !raters.is_empty() {
            out += &format!("\n{}", people(title, raters));
        }
    }
    for axis in axes {
        out += &format!("\n{}", of_axis(axis, raters.len()));
    }
    out + "\nalpha (Krippendorff, ordinal): 1 perfect, 0 chance; same: pairs that both put in one order;\n\
           first wins: how often the answer shown first does, 0.5 without bias; intervals 95 %\n"
}

fn people(title: &str, raters: &[Rater]) -> String {
    let head = [title, "judged", "can't tell", "median s", "alpha, again", "same, again", "first wins"];
    let row = |rater: &Rater| {
        let [alpha, same] = agreement(&rater.again);
        let seconds = rater.seconds.map_or("-".to_owned(), |[median, _]| format!("{median:.1}"));
        let (judged, unsure) = (rater.judgements.to_string(), rater.cant_tell.to_string());
        [rater.name.clone(), judged, unsure, seconds, alpha, same, number(rater.leaning.first, rater.leaning.first_ci)]
    };
    laid_out(head, raters.iter().map(row))
}

fn of_axis(axis: &ByAxis, raters: usize) -> String {
    let name = axis.axis.as_deref().unwrap_or("overall");
    let [alpha, same] = agreement(&axis.agreement);
    let mut out = match axis.agreement.cases {
        0 if raters == 0 => format!("{name}: no person has judged\n"),
        0 if raters < 2 => format!("{name}: one person alone; agreement between raters needs a second\n"),
        0 => format!("{name}: no case was judged by two raters\n"),
        cases => format!("{name}: raters agree with alpha {alpha}, same {same}, over {cases} cases\n"),
    };
    for (title, standings) in [("variant", &axis.standings), ("variant (simulated)", &axis.simulated)] {
        if !standings.is_empty() {
            let row = |one: &Standing| [one.variant.clone(), one.bouts.to_string(), number(one.wins, one.wins_ci)];
            out += &laid_out([title, "compared", "wins against another"], standings.iter().map(row));
        }
    }
    out
}

fn agreement(agreement: &Agreement) -> [String; 2] {
    [number(agreement.alpha, agreement.alpha_ci), number(agreement.agreed, agreement.agreed_ci)]
}

/// `0.71 [0.60, 0.80]`
fn number(value: Option<f64>, ci: Option<[f64; 2]>) -> String {
    match (value, ci) {
        (None, _) => "-".to_owned(),
        (Some(value), None) => format!("{value:.2}"),
        (Some(value), Some([low, high])) => format!("{value:.2} [{low:.2}, {high:.2}]"),
    }
}

fn plural(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Columns as wide as they need to be, the first to the left, a line under the head. Names cannot send escape codes.
fn laid_out<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let plain = |cell: String| cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let rows: Vec<[String; N]> =
        std::iter::once(head.map(str::to_owned)).chain(rows).map(|row| row.map(plain)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut out = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(i, (cell, width))| if i == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
        out += cells.collect::<Vec<_>>().join("  ").trim_end();
        out.push('\n');
        if number == 0 {
            out += &"─".repeat(widths.iter().sum::<usize>() + 2 * (N - 1));
            out.push('\n');
        }
    }
    out
}
