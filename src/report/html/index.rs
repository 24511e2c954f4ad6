//! The list of cases: what a row shows, and where its samples are.

use super::columns::{Column, Columns};
use super::sample::Standing;
use crate::gate::{Comparison, GateRecord};
use crate::store::{Repeat, Sample, Score, ScoreValue, StopReason};
use serde::Serialize;
use std::collections::HashMap;

/// Most characters of a question and of an answer in a row.
const MOST: [usize; 2] = [160, 40];

/// What a column has to say of a case: flags that add up.
const CUT: u8 = 1;
const NO_ANSWER: u8 = 2;

/// Everything that a row needs, as the page reads it.
#[derive(Debug, Serialize)]
struct Document<'a> {
    columns: &'a [Column],
    suites: &'a [String],
    tags: &'a [String],
    /// The shared beginnings of prompts, of all runs.
    prefixes: Vec<&'a str>,
    /// What a gate compared.
    comparisons: Vec<Compared<'a>>,
    samples: usize,
    rows: &'a [Row],
}

#[derive(Debug, Serialize)]
struct Compared<'a> {
    metric: &'a str,
    baseline: String,
    candidate: &'a str,
}

/// A case.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    suite: usize,
    tags: Vec<usize>,
    /// The beginning of what was asked.
    title: String,
    target: Option<String>,
    /// What each column says of it, in the order in which they were read.
    cells: Vec<Cell>,
    /// Where a gate saw its value change: the comparison, from, to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<(usize, String, String)>,
}

#[derive(Debug, Serialize)]
struct Cell {
    column: usize,
    /// `p` passed, `f` failed, `u` unscored, `n` nothing was to be scored.
    state: char,
    flags: u8,
    answer: String,
    /// Its samples, by number; the last is what repeats come to, where there are several.
    samples: Vec<usize>,
    /// Repeats that passed, of how many; empty for one.
    passed: [usize; 2],
    #[serde(skip)]
    reduced: bool,
}

/// The list under construction.
pub(super) struct Index<'a> {
    columns: &'a Columns<'a>,
    gate: Option<&'a GateRecord>,
    tags: Vec<String>,
    rows: Vec<Row>,
    /// The row of a suite's case; cases of one name that differ have rows of their own.
    places: HashMap<(usize, String, u64), usize>,
    /// Of each run, the hash of each case.
    texts: Vec<HashMap<&'a str, u64>>,
    /// Where the prefixes of each run begin.
    prefixes: Vec<usize>,
    samples: usize,
}

impl<'a> Index<'a> {
    pub(super) fn new(columns: &'a Columns<'a>, gate: Option<&'a GateRecord>) -> Self {
        let texts = columns.runs.iter().map(|run| {
            run.variants.iter().flat_map(|variant| run.cases(&variant.name)).collect::<HashMap<&str, u64>>()
        });
        let mut prefixes = Vec::new();
        let mut before = 0;
        for run in columns.runs {
            prefixes.push(before);
            before += run.header.prefixes.len();
        }
        let (tags, rows, places) = (Vec::new(), Vec::new(), HashMap::new());
        Self { columns, gate, tags, rows, places, texts: texts.collect(), prefixes, samples: 0 }
    }

    /// Notes a sample of a run: the next number. `None` for one of a variant that the run does not have.
    pub(super) fn add(&mut self, run: usize, sample: &Sample) -> Option<Standing> {
        let column = self.columns.find(run, &sample.trial.variant)?;
        let suite = self.columns.all.get(column)?.suite;
        let text = self.texts.get(run)?.get(sample.trial.case.as_str()).copied().unwrap_or_default();
        let key = (suite, sample.trial.case.clone(), text);
        let known = self.places.get(&key).copied();
        let row = known.unwrap_or_else(|| {
            let row = self.row(suite, sample);
            self.rows.push(row);
            self.places.insert(key, self.rows.len() - 1);
            self.rows.len() - 1
        });
        let cells = &mut self.rows.get_mut(row)?.cells;
        let place = cells.iter().position(|cell| cell.column == column).unwrap_or_else(|| {
            cells.push(Cell::new(column));
            cells.len() - 1
        });
        cells.get_mut(place)?.add(sample, self.samples);
        self.samples += 1;
        Some(Standing { column, row, first: known.is_none(), prefixes: self.prefixes.get(run).copied()? })
    }

    fn row(&mut self, suite: usize, sample: &Sample) -> Row {
        let tags = sample.case.tags.iter();
        let tags = tags.map(|tag| {
            self.tags.iter().position(|known| known == tag).unwrap_or_else(|| {
                self.tags.push(tag.clone());
                self.tags.len() - 1
            })
        });
        Row {
            id: sample.trial.case.clone(),
            suite,
            tags: tags.collect(),
            title: title(sample),
            target: sample.case.target.as_deref().map(|target| clipped(target, MOST[1])),
            cells: Vec::new(),
            changed: Vec::new(),
        }
    }

    /// The finished list, as JSON.
    pub(super) fn finish(mut self) -> std::io::Result<Vec<u8>> {
        let comparisons: &[Comparison] = self.gate.map_or(&[], |gate| &gate.comparisons);
        self.note_changes(comparisons);
        let document = Document {
            columns: &self.columns.all,
            suites: &self.columns.suites,
            tags: &self.tags,
            prefixes: self
                .columns
                .runs
                .iter()
                .flat_map(|run| run.header.prefixes.values())
                .map(String::as_str)
                .collect(),
            comparisons: comparisons
                .iter()
                .map(|one| Compared {
                    metric: &one.metric,
                    baseline: format!("{} ({})", one.baseline.variant, one.baseline.run),
                    candidate: &one.candidate.variant,
                })
                .collect(),
            samples: self.samples,
            rows: &self.rows,
        };
        Ok(serde_json::to_vec(&document)?)
    }

    /// Notes on each case what a gate saw change.
    fn note_changes(&mut self, comparisons: &[Comparison]) {
        let suite = self.gate.and_then(|gate| self.columns.suites.iter().position(|suite| *suite == gate.suite));
        let mut changes: HashMap<&str, Vec<(usize, String, String)>> = HashMap::new();
        for (number, comparison) in comparisons.iter().enumerate() {
            for flip in &comparison.flipped {
                let change = (number, flip.from.to_string(), flip.to.to_string());
                changes.entry(&flip.case).or_default().push(change);
            }
        }
        for row in self.rows.iter_mut().filter(|row| Some(row.suite) == suite) {
            row.changed = changes.get(row.id.as_str()).cloned().unwrap_or_default();
        }
    }
}

impl Cell {
    fn new(column: usize) -> Self {
        let (state, flags, answer) = ('n', 0, String::new());
        Self { column, state, flags, answer, samples: Vec::new(), passed: [0, 0], reduced: false }
    }

    /// Takes in a sample. What repeats come to says more than any of them.
    fn add(&mut self, sample: &Sample, number: usize) {
        self.samples.push(number);
        let state = state(sample);
        if sample.trial.repeat == Repeat::Reduced {
            (self.state, self.answer, self.reduced) = (state, answer(sample), true);
        } else {
            self.passed[0] += usize::from(state == 'p');
            self.passed[1] += 1;
            if !self.reduced {
                let worse = |state| ['p', 'n', 'f', 'u'].iter().position(|one| *one == state);
                if self.passed[1] == 1 || worse(state) > worse(self.state) {
                    (self.state, self.answer) = (state, answer(sample));
                }
            }
        }
        let cut = sample.completion.as_ref().is_some_and(|said| said.stop_reason == StopReason::Length);
        let silent = |score: &Score| score.value == ScoreValue::Pass(false) && score.answer.is_none();
        self.flags |= if cut { CUT } else { 0 } | if sample.scores.iter().any(silent) { NO_ANSWER } else { 0 };
    }
}

fn state(sample: &Sample) -> char {
    let unscored = sample.scores.iter().any(|score| matches!(score.value, ScoreValue::Unscored(_)));
    match () {
        () if sample.scores.is_empty() => 'n',
        () if unscored => 'u',
        () if sample.passed() => 'p',
        () => 'f',
    }
}

/// What the row shows of an answer: what the first scorer read, its number, or what was said.
fn answer(sample: &Sample) -> String {
    let said = sample.completion.as_ref().map_or("", |said| said.text.as_str());
    let shown = match sample.scores.first() {
        Some(Score { value: ScoreValue::Number(number), .. }) => format!("{number:.3}"),
        Some(Score { value: ScoreValue::Label(label), .. }) => label.clone(),
        Some(Score { answer: Some(answer), .. }) => answer.clone(),
        _ => said.to_owned(),
    };
    clipped(&shown, MOST[1])
}

/// What a case is about: its texts, or the prompt's own part.
fn title(sample: &Sample) -> String {
    let texts: Vec<&str> = sample.case.vars.values().filter_map(serde_json::Value::as_str).collect();
    let prompt = sample.prompt.as_ref().map_or("", |prompt| prompt.text.as_str());
    let window = sample.likelihood.first().map_or("", |likelihood| likelihood.text.as_str());
    let text = texts.join(" · ");
    clipped([text.as_str(), prompt, window].into_iter().find(|text| !text.is_empty()).unwrap_or_default(), MOST[0])
}

/// The beginning of a text on one line.
fn clipped(text: &str, most: usize) -> String {
    let line = text.split_whitespace().take(most).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample(repeat: &serde_json::Value, pass: Option<bool>, stop: &str) -> Sample {
        let value = pass.map_or(json!({"unscored": "no target"}), Into::into);
        let completion = if *repeat == "reduced" {
            serde_json::Value::Null
        } else {
            json!({"text": " a\nb ", "tokens": [],
            "stop_reason": stop, "prompt_tokens": 1, "prompt_tokens_decoded": 1, "completion_tokens": 1, "elapsed_s": 0.0})
        };
        serde_json::from_value(json!({"trial": {"variant": "v", "case": "c", "repeat": repeat},
            "case": {"vars": {"q": "What?", "choices": ["x"]}, "target": "b", "tags": ["t"]}, "prompt": null,
            "completion": completion, "scores": [{"scorer": "exact", "value": value, "answer": null}]}))
        .unwrap()
    }

    #[test]
    fn a_cell_is_what_its_repeats_come_to() {
        let mut cell = Cell::new(0);
        for (number, one) in
            [sample(&json!(0), Some(false), "length"), sample(&json!(1), Some(true), "stop")].iter().enumerate()
        {
            cell.add(one, number);
        }
        assert_eq!((cell.state, cell.passed, cell.flags, cell.answer.as_str()), ('f', [1, 2], CUT | NO_ANSWER, "a b"));
        cell.add(&sample(&json!("reduced"), Some(true), ""), 2);
        assert_eq!((cell.state, cell.passed, cell.samples.len()), ('p', [1, 2], 3));
        assert_eq!(state(&sample(&json!(0), None, "stop")), 'u');
    }

    #[test]
    fn rows_show_the_beginning_of_what_was_asked() {
        assert_eq!(title(&sample(&json!(0), None, "stop")), "What?");
        assert_eq!(clipped("a\n b  c", 3), "a b…");
        assert_eq!(clipped("ééé", 3), "ééé");
    }
}
