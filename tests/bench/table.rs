//! The report: one row a measurement.

/// One measurement.
#[derive(Clone)]
pub(crate) struct Row {
    what: String,
    ours: String,
    /// The peer's figure, or the bound.
    against: String,
    ratio: String,
    /// Whether the bound is kept; `None` where none is set.
    kept: Option<bool>,
}

const HEAD: [&str; 5] = ["measurement", "ours", "peer or bound", "ratio", ""];

impl Row {
    /// A figure against a bound.
    pub(crate) fn bound(what: &str, ours: String, bound: &str, kept: bool) -> Self {
        Self { what: what.into(), ours, against: bound.into(), ratio: "–".into(), kept: Some(kept) }
    }

    /// A figure without a bound, for comparison.
    pub(crate) fn beside(what: &str, ours: String) -> Self {
        Self { what: what.into(), ours, against: "–".into(), ratio: "–".into(), kept: None }
    }

    /// A figure whose peer is not on this machine.
    pub(crate) fn alone(what: &str, ours: String) -> Self {
        Self { what: what.into(), ours, against: "peer absent".into(), ratio: "–".into(), kept: None }
    }

    /// A figure against a peer's, and their ratio against a bound.
    pub(crate) fn ratio(what: &str, ours: String, peer: String, ratio: String, kept: bool) -> Self {
        Self { what: what.into(), ours, against: peer, ratio, kept: Some(kept) }
    }

    /// A measurement that did not come about: a miss, with the reason.
    pub(crate) fn failed(what: &str, error: &anyhow::Error) -> Self {
        let reason = format!("{error:#}").lines().next().unwrap_or_default().to_owned();
        Self { what: what.into(), ours: reason, against: "–".into(), ratio: "–".into(), kept: Some(false) }
    }

    fn cells(&self) -> [&str; 5] {
        let kept = match self.kept {
            Some(true) => "pass",
            Some(false) => "MISS",
            None => "",
        };
        [&self.what, &self.ours, &self.against, &self.ratio, kept]
    }
}

/// The table as text.
pub(crate) fn lay_out(rows: &[Row]) -> String {
    let lines: Vec<[&str; 5]> = std::iter::once(HEAD).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut out = String::new();
    for (number, cells) in lines.iter().enumerate() {
        let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out += padded.join("  ").trim_end();
        out.push('\n');
        if number == 0 {
            out += &"─".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1));
            out.push('\n');
        }
    }
    out
}
