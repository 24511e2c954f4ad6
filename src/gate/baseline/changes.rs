//! What a new baseline changes, for whoever is about to commit it.

use super::{Baseline, Values};
use serde_json::Value;

impl Baseline {
    /// What differs from an older one: a line for each variant and metric, cases that came and went, other models.
    #[must_use]
    pub fn changes_since(&self, old: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (variant, metrics) in &self.file.variants {
            let Some(before) = old.file.variants.get(variant) else {
                lines.push(format!("{variant}: new"));
                continue;
            };
            for (metric, values) in metrics {
                lines.extend(before.get(metric).map_or_else(
                    || Some(format!("{variant} {metric}: new")),
                    |before| change(before, values).map(|change| format!("{variant} {metric}: {change}")),
                ));
            }
            lines.extend(before.keys().filter(|m| !metrics.contains_key(*m)).map(|m| format!("{variant} {m}: gone")));
        }
        let gone = old.file.variants.keys().filter(|variant| !self.file.variants.contains_key(*variant));
        lines.extend(gone.map(|variant| format!("{variant}: gone")));
        for (variant, model) in &self.file.models {
            if old.file.models.get(variant).is_some_and(|before| before != model) {
                lines.push(format!("{variant}: another model"));
            }
        }
        let differs =
            |(case, text): &(&String, &String)| old.file.cases.get(*case).is_some_and(|before| before != *text);
        let asked = self.file.cases.iter().filter(differs).count();
        if asked > 0 && !old.file.cases.is_empty() {
            lines.push(format!("{asked} cases ask something else"));
        }
        lines
    }
}

/// How the values of one metric changed; `None` where they did not.
fn change(before: &Values, after: &Values) -> Option<String> {
    let moved = after.iter().filter(|(case, values)| before.get(*case).is_some_and(|old| old != *values)).count();
    let new = after.keys().filter(|case| !before.contains_key(*case)).count();
    let gone = before.keys().filter(|case| !after.contains_key(*case)).count();
    if moved + new + gone == 0 {
        return None;
    }
    let mean = |values: &Values| {
        let numbers: Vec<f64> = values.values().flatten().filter_map(Value::as_f64).collect();
        (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
    };
    let means = match (mean(before), mean(after)) {
        (Some(before), Some(after)) => format!("{before:.3} → {after:.3}, "),
        _ => String::new(),
    };
    let counts = [(moved, "changed"), (new, "new"), (gone, "gone")];
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    Some(format!("{means}{} of {} cases", counts.collect::<Vec<_>>().join(", "), after.len()))
}
