//! Files of several shapes become pairs. Which shape a file has, its first row tells.

use super::super::error::{RankError, RankProblem};
use super::super::file::Rankings;
use super::super::gather::{CaseAnswers, Gathered, Pick, gather};
use super::super::record::{Judgement, PromptText, Verdict};
use super::clean::{Dropped, Reason};
use super::transcript::{is_transcript, turns};
use super::{Placed, Preference, Request};
use crate::error::{Place, Problems};
use crate::store::MessageRecord;
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Most problems of one file that are said.
const MOST: usize = 20;
/// The name of the judgements by no axis.
const OVERALL: &str = "overall";

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What `tripos rank` writes.
    Rankings,
    /// `prompt`, `chosen`, `rejected`.
    Preferences,
    /// `chosen` and `rejected` that are whole conversations, as messages or in the manner of HH-RLHF.
    Conversations,
    /// The folder of a run.
    Run,
}

impl Kind {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rankings => "rankings",
            Self::Preferences => "preferences",
            Self::Conversations => "conversations",
            Self::Run => "a run",
        }
    }
}

/// A file, what it was taken for, and what it gave.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// What it was taken for.
    pub kind: Kind,
    /// Rows, judgements or cases in it.
    pub rows: usize,
    /// Pairs that they gave, before any was left out.
    pub pairs: usize,
}

/// Reads files and counts what they do not give.
pub(super) struct Reader<'a> {
    request: &'a Request,
    pub(super) dropped: Dropped,
    pub(super) warnings: Problems,
    pub(super) sources: Vec<Source>,
    /// The axes that rankings have.
    axes: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(request: &'a Request) -> Self {
        let (dropped, warnings) = (Dropped::default(), Problems::new());
        Self { request, dropped, warnings, sources: Vec::new(), axes: BTreeSet::new() }
    }

    /// The pairs of a file.
    pub(super) fn read(&mut self, path: &Path) -> Result<Vec<Placed>, Problems> {
        let (kind, rows, pairs) = if path.is_dir() {
            let (rows, pairs) = self.run(path)?;
            (Kind::Run, rows, pairs)
        } else {
            let kind = kind_of(path)?;
            let (rows, pairs) = match kind {
                Kind::Rankings => self.rankings(path)?,
                _ => self.rows(path, kind)?,
            };
            (kind, rows, pairs)
        };
        self.sources.push(Source { path: path.to_owned(), kind, rows, pairs: pairs.len() });
        Ok(pairs)
    }

    /// Whether the axes asked for are in some file of rankings.
    pub(super) fn axes_known(&self) -> Result<(), RankError> {
        match self.request.axes.iter().find(|axis| !self.axes.contains(*axis)) {
            None => Ok(()),
            Some(name) => {
                let known = self.axes.iter().cloned().collect();
                let problem = RankProblem::Unknown { what: "axis", name: name.clone(), known };
                Err(RankError { problem, place: self.request.files.first().map(Place::file) })
            }
        }
    }

    fn rankings(&mut self, path: &Path) -> Result<(usize, Vec<Placed>), Problems> {
        let read = Rankings::read(path)?;
        self.warnings.extend(read.cut);
        let rows = read.judgements.len();
        let mut pairs = Vec::new();
        for (place, judgement) in read.judgements {
            let axis = judgement.axis.as_deref().unwrap_or(OVERALL);
            self.axes.insert(axis.to_owned());
            let other = !self.request.axes.is_empty() && !self.request.axes.iter().any(|wanted| wanted == axis);
            if judgement.is_simulated() && !self.request.simulated {
                self.dropped.add(Reason::Simulated, &place);
            } else if other {
                self.dropped.add(Reason::OtherAxis, &place);
            } else {
                self.ranked(&judgement, &place, &mut pairs);
            }
        }
        Ok((rows, pairs))
    }

    /// The pairs of a ranking, which share its id.
    fn ranked(&mut self, judgement: &Judgement, place: &Place, pairs: &mut Vec<Placed>) {
        let Some(places) = judgement.places() else { return self.dropped.add(Reason::CantTell, place) };
        if places.windows(2).all(|two| two[0].total_cmp(&two[1]).is_eq()) {
            return self.dropped.add(Reason::AllLevel, place);
        }
        let scores = match judgement.verdict() {
            Verdict::Scores(scores) => scores,
            _ => Vec::new(),
        };
        let answers: Vec<(&str, f64)> =
            judgement.answers.iter().zip(&places).map(|(answer, place)| (answer.text.as_str(), *place)).collect();
        for (i, (chosen, better)) in answers.iter().enumerate() {
            for (j, (rejected, worse)) in answers.iter().enumerate() {
                if i < j && better.total_cmp(worse).is_eq() {
                    self.dropped.add(Reason::Level, place);
                }
                if better < worse {
                    let margin =
                        scores.get(i).zip(scores.get(j)).map(|(one, other)| f64::from(*one) - f64::from(*other));
                    let preference = Preference {
                        prompt: judgement.prompt.clone(),
                        chosen: (*chosen).to_owned(),
                        rejected: (*rejected).to_owned(),
                        margin,
                        group: Some(judgement.id.clone()),
                        axis: judgement.axis.clone(),
                        tags: judgement.tags.clone(),
                    };
                    pairs.push(Placed { preference, place: place.clone() });
                }
            }
        }
    }

    fn run(&mut self, path: &Path) -> Result<(usize, Vec<Placed>), Problems> {
        let Some(scorer) = self.request.scorer.clone() else {
            return Err(RankProblem::NoScorer.at(Place::file(path)).into());
        };
        let variants = self.request.variants.clone();
        let gathered = gather(path, &Pick { variants, limit: None, scorer: Some(scorer) })?;
        let place = Place::file(path);
        for _ in 0..gathered.single + gathered.without {
            self.dropped.add(Reason::OneAnswer, &place);
        }
        let rows = gathered.cases.len() + gathered.single + gathered.without;
        let mut pairs = Vec::new();
        for case in &gathered.cases {
            self.scored(case, &gathered, &place, &mut pairs);
        }
        Ok((rows, pairs))
    }

    /// Every pair of answers to a case that the scorer tells apart. What passes beats what fails; between numbers the margin
    /// is their difference.
    fn scored(&mut self, case: &CaseAnswers, run: &Gathered, place: &Place, pairs: &mut Vec<Placed>) {
        for (i, one) in case.answers.iter().enumerate() {
            for other in &case.answers[..i] {
                let Some((score, other_score)) = one.score.zip(other.score) else {
                    self.dropped.add(Reason::Unscored, place);
                    continue;
                };
                if score.total_cmp(&other_score).is_eq() {
                    self.dropped.add(Reason::Level, place);
                    continue;
                }
                let (chosen, rejected) = if score > other_score { (one, other) } else { (other, one) };
                let preference = Preference {
                    prompt: case.prompt.clone(),
                    chosen: chosen.answer.text.clone(),
                    rejected: rejected.answer.text.clone(),
                    margin: run.graded.then(|| (score - other_score).abs()),
                    group: Some(format!("{}/{}", run.run, case.case)),
                    axis: None,
                    tags: case.tags.clone(),
                };
                pairs.push(Placed { preference, place: place.clone() });
            }
        }
    }

    fn rows(&mut self, path: &Path, kind: Kind) -> Result<(usize, Vec<Placed>), Problems> {
        let (mut pairs, mut problems, mut rows) = (Vec::new(), Problems::new(), 0);
        each_line(path, |number, line| {
            rows += 1;
            match row(line) {
                Ok(Some(preference)) => pairs.push(Placed { preference, place: Place::new(path, number, 1) }),
                Ok(None) => self.dropped.add(Reason::Diverging, &Place::new(path, number, 1)),
                Err((reason, column)) => {
                    let problem = RankProblem::Line { kind: kind.name(), reason };
                    problems.push(problem.at(Place::new(path, number, column)));
                }
            }
            problems.len() < MOST
        })?;
        problems.or_ok((rows, pairs))
    }
}

/// Hands each line that is not blank to `each`, with its number, as long as that wants more. Compressed files (gzip, by
/// their first bytes) are read through.
fn each_line(path: &Path, mut each: impl FnMut(usize, &[u8]) -> bool) -> Result<(), Problems> {
    let unread = |e: std::io::Error| Problems::from(RankProblem::Read { reason: e.to_string() }.at(Place::file(path)));
    let mut file = BufReader::new(File::open(path).map_err(unread)?);
    let packed = file.fill_buf().map_err(unread)?.starts_with(&[0x1f, 0x8b]);
    let plain: Box<dyn Read> = if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut reader = BufReader::new(plain);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(unread)? == 0 {
            break;
        }
        if !line.trim_ascii().is_empty() && !each(number, &line) {
            break;
        }
    }
    Ok(())
}

/// What a file is, by its first row.
fn kind_of(path: &Path) -> Result<Kind, Problems> {
    let mut kind = Err("it has no rows".to_owned());
    each_line(path, |_, line| {
        kind = match serde_json::from_slice::<Value>(line) {
            Err(_) => Err("its first row is no JSON".to_owned()),
            Ok(Value::Object(row)) => kind_of_row(&row),
            Ok(_) => Err("its first row has no fields".to_owned()),
        };
        false
    })?;
    kind.map_err(|found| RankProblem::Kind { found }.at(Place::new(path, 1, 1)).into())
}

fn kind_of_row(row: &Map<String, Value>) -> Result<Kind, String> {
    let has = |key: &str| row.contains_key(key);
    let conversation = |key: &str| match row.get(key) {
        Some(Value::String(text)) => is_transcript(text),
        Some(Value::Array(_)) => true,
        _ => false,
    };
    if has("withdraws") || has("answers") && has("rater") {
        Ok(Kind::Rankings)
    } else if has("prompt") && has("chosen") && has("rejected") {
        Ok(Kind::Preferences)
    } else if conversation("chosen") && conversation("rejected") {
        Ok(Kind::Conversations)
    } else {
        let keys: Vec<String> = row.keys().take(8).map(|key| format!("`{key}`")).collect();
        Err(format!("its first row has {}", if keys.is_empty() { "no fields".to_owned() } else { keys.join(", ") }))
    }
}

/// What stands in `chosen` or `rejected`.
enum Side {
    Text(String),
    Turns(Vec<MessageRecord>),
}

/// The pair in a row; `None` if its conversations part before the last answer. An error has its column.
fn row(line: &[u8]) -> Result<Option<Preference>, (String, usize)> {
    let text = String::from_utf8_lossy(line);
    let mut row: Map<String, Value> = serde_json::from_slice(line).map_err(|e| {
        let reason = e.to_string();
        (reason.split(" at line ").next().unwrap_or_default().to_owned(), e.column())
    })?;
    let column = |key: &str| {
        let before = text.find(&format!("\"{key}\"")).and_then(|at| text.get(..at));
        before.map_or(1, |before| before.chars().count() + 1)
    };
    let whole_texts = !row.contains_key("prompt");
    let mut side = |key: &str| match row.remove(key) {
        Some(Value::String(text)) if whole_texts => {
            let no = (format!("`{key}` is neither a list of messages nor begins with `\\n\\nHuman:`"), column(key));
            turns(&text).map(Side::Turns).ok_or(no)
        }
        Some(Value::String(text)) => Ok(Side::Text(text)),
        Some(value) => messages(value).map(Side::Turns).map_err(|why| (format!("`{key}` {why}"), column(key))),
        None => Err((format!("`{key}` is missing"), 1)),
    };
    let (chosen, rejected) = (side("chosen")?, side("rejected")?);
    let prompt = match row.remove("prompt") {
        None => None,
        Some(Value::String(text)) => Some(PromptText::Text(text)),
        Some(value) => {
            let read = messages(value).map_err(|why| (format!("`prompt` {why}"), column("prompt")))?;
            Some(PromptText::Messages(read))
        }
    };
    let Some((prompt, chosen, rejected)) = joined(prompt, chosen, rejected) else { return Ok(None) };
    let margin = match row.get("margin") {
        None | Some(Value::Null) => None,
        Some(value) => Some(value.as_f64().ok_or_else(|| ("`margin` is no number".to_owned(), column("margin")))?),
    };
    let name = |key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
    let tags = row.get("tags").and_then(Value::as_array).into_iter().flatten();
    let tags = tags.filter_map(|tag| Some(tag.as_str()?.to_owned())).collect();
    Ok(Some(Preference { prompt, chosen, rejected, margin, group: name("group"), axis: name("axis"), tags }))
}

/// A list of `{role, content}`.
fn messages(value: Value) -> Result<Vec<MessageRecord>, &'static str> {
    let read: Result<Vec<MessageRecord>, _> = serde_json::from_value(value);
    read.map_err(|_| "is neither a text nor a list of messages, each with `role` and `content`")
}

/// A prompt and two answers; what conversations share at their beginning is (the rest of) the prompt.
fn joined(prompt: Option<PromptText>, chosen: Side, rejected: Side) -> Option<(PromptText, String, String)> {
    let (chosen, rejected) = match (chosen, rejected) {
        (Side::Text(chosen), Side::Text(rejected)) => return Some((prompt?, chosen, rejected)),
        (Side::Turns(chosen), Side::Turns(rejected)) => (chosen, rejected),
        _ => return None,
    };
    let ((last, begun), (other_last, other_begun)) = (chosen.split_last()?, rejected.split_last()?);
    if begun != other_begun || last.role != "assistant" || other_last.role != "assistant" {
        return None;
    }
    // A conversation may hold the prompt or go on from it.
    let prompt = match prompt {
        Some(PromptText::Messages(before)) if !begun.starts_with(&before) => [before, begun.to_vec()].concat(),
        Some(PromptText::Text(text)) if begun.is_empty() => {
            vec![MessageRecord { role: "user".to_owned(), content: text }]
        }
        _ => begun.to_vec(),
    };
    Some((PromptText::Messages(prompt), last.content.clone(), other_last.content.clone()))
}
