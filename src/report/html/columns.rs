//! What stands side by side: each variant of each run is a column; runs of one suite share their cases.

use crate::store::Header;
use crate::summary::{RunSummary, VariantSummary};
use serde::Serialize;

/// One variant of one run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Column {
    /// The run, by number.
    pub(super) run: usize,
    /// Its suite, by number.
    pub(super) suite: usize,
    /// The variant's name.
    pub(super) variant: String,
    /// What the page calls it: the variant, behind the letter of its run where there are several.
    pub(super) label: String,
    /// Repeats of a case.
    pub(super) repeats: u64,
}

/// All columns, in the order of the runs and of their suites.
#[derive(Debug)]
pub(super) struct Columns<'r> {
    pub(super) runs: &'r [RunSummary],
    pub(super) all: Vec<Column>,
    /// The names of the suites, in the order of the runs.
    pub(super) suites: Vec<String>,
}

impl<'r> Columns<'r> {
    pub(super) fn of(runs: &'r [RunSummary]) -> Self {
        let mut suites: Vec<String> = Vec::new();
        let mut all = Vec::new();
        for (number, run) in runs.iter().enumerate() {
            let name = &run.header.suite_name;
            let suite = suites.iter().position(|suite| suite == name).unwrap_or_else(|| {
                suites.push(name.clone());
                suites.len() - 1
            });
            for VariantSummary { name, .. } in &run.variants {
                let label = if runs.len() > 1 { format!("{} {name}", letter(number)) } else { name.clone() };
                let repeats = setting(&run.header, name, "repeats").and_then(serde_json::Value::as_u64).unwrap_or(1);
                all.push(Column { run: number, suite, variant: name.clone(), label, repeats });
            }
        }
        Self { runs, all, suites }
    }

    /// The number of a run's variant.
    pub(super) fn find(&self, run: usize, variant: &str) -> Option<usize> {
        self.all.iter().position(|column| column.run == run && column.variant == variant)
    }

    /// The columns of a suite, each with its summary.
    pub(super) fn of_suite(&self, suite: usize) -> impl Iterator<Item = (&Column, &VariantSummary)> {
        let of_suite = self.all.iter().filter(move |column| column.suite == suite);
        of_suite.filter_map(|column| {
            let variants = &self.runs.get(column.run)?.variants;
            Some((column, variants.iter().find(|variant| variant.name == column.variant)?))
        })
    }

    /// What the page is called.
    pub(super) fn title(&self) -> String {
        match self.suites.as_slice() {
            [] => "No runs".to_owned(),
            suites => suites.join(", "),
        }
    }
}

/// What the page calls a run where there are several: `A`, `B`, … `Z`, `27`.
pub(super) fn letter(run: usize) -> String {
    let letter = u8::try_from(run).ok().filter(|run| *run < 26).map(|run| char::from(b'A' + run));
    letter.map_or_else(|| (run + 1).to_string(), String::from)
}

/// A setting of a variant, as the header's suite has it.
pub(super) fn setting<'h>(header: &'h Header, variant: &str, name: &str) -> Option<&'h serde_json::Value> {
    let variants = header.suite.get("variants")?.as_array()?;
    variants.iter().find(|one| one.get("name").is_some_and(|own| own == variant))?.get(name)
}
