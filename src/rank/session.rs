//! A rater at work: what comes next, what was said, what is taken back. The page and the terminal are two faces of it.

use super::error::{RankError, RankProblem};
use super::file::RankingFile;
use super::gather::CaseAnswers;
use super::plan::{Item, Plan, PlanSettings};
use super::record::{Answer, Entry, Judgement, PromptText, SCHEMA, SIMULATED, Verdict, Withdrawal};
use crate::error::Problems;
use crate::seed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest comment, in characters.
const COMMENT: usize = 4_000;
/// Longest time that one judgement is said to take, in seconds.
const DAY: f64 = 86_400.0;

/// One rater's work on one plan. Each judgement is in the file before [`Session::judge`] returns.
#[derive(Debug)]
pub struct Session {
    file: RankingFile,
    run: String,
    rater: String,
    scores: bool,
    items: Vec<Item>,
    /// The ids of the judgements of items that are done.
    done: BTreeMap<usize, String>,
    /// Items in the order in which they were done.
    history: Vec<usize>,
    /// What was taken back and is shown again.
    former: Option<Given>,
}

/// What a rater hands in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Given {
    /// Which item it is about.
    pub item: usize,
    /// Groups of answers from the best to the worst, by their places on the screen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<Vec<usize>>>,
    /// Or a score for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<Vec<u8>>,
    /// Or that it cannot be told.
    pub cant_tell: bool,
    /// A comment.
    pub comment: String,
    /// Seconds since the item was shown.
    pub seconds: f64,
}

/// Why what was handed in is not kept.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is done already, by another window.
    #[error("this was judged already")]
    Done,
    /// There is no such item.
    #[error("there is no such item")]
    NoItem,
    /// There is nothing to take back.
    #[error("there is nothing to undo")]
    NothingDone,
    /// It is no verdict on these answers.
    #[error("{0}")]
    Verdict(RankProblem),
    /// It could not be written.
    #[error("{0}")]
    File(RankError),
}

/// What is on the screen. It names neither variants nor runs: raters are blind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct View {
    /// Who judges.
    pub rater: String,
    /// Judgements made.
    pub done: usize,
    /// Judgements asked for.
    pub total: usize,
    /// Whether one can be taken back.
    pub can_undo: bool,
    /// Scores are asked for, and no order.
    pub scores: bool,
    /// What is to be judged; absent when all is done.
    pub item: Option<Shown>,
}

/// One item on the screen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// Its number.
    pub item: usize,
    /// What is judged by.
    pub axis: Option<String>,
    /// What stands in the prompt before the case: examples, mostly.
    pub before: Vec<Said>,
    /// The case.
    pub prompt: Vec<Said>,
    /// The answers.
    pub answers: Vec<String>,
    /// What was said before it was taken back.
    pub former: Option<Given>,
}

/// A piece of a prompt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Said {
    /// Who says it; empty where nobody is named.
    pub role: String,
    /// What is said.
    pub text: String,
}

impl Session {
    /// Opens the work of a rater: what the file holds of it is done.
    pub fn open(plan: Plan, settings: &PlanSettings, scores: bool, file: RankingFile) -> Result<Self, Problems> {
        let mut session = Self {
            file,
            run: plan.run,
            rater: settings.rater.clone(),
            scores,
            items: plan.items,
            done: BTreeMap::new(),
            history: Vec::new(),
            former: None,
        };
        for (_, judgement) in session.file.read()?.judgements {
            if judgement.rater == session.rater
                && judgement.run == session.run
                && let Some(at) = session.items.iter().position(|item| item.is_judged_in(&judgement))
            {
                session.history.retain(|other| *other != at);
                session.history.push(at);
                session.done.insert(at, judgement.id);
            }
        }
        Ok(session)
    }

    /// The name of a rater, which must not be a scorer's.
    pub fn check_name(name: &str) -> Result<(), RankError> {
        let length = name.trim().chars().count();
        if name.starts_with(SIMULATED) || !(1..=60).contains(&length) || name.chars().any(char::is_control) {
            return Err(RankProblem::RaterName { name: name.to_owned() }.into());
        }
        Ok(())
    }

    /// Who judges.
    #[must_use]
    pub fn rater(&self) -> &str {
        &self.rater
    }

    /// Where judgements are kept.
    #[must_use]
    pub fn file(&self) -> &std::path::Path {
        self.file.path()
    }

    /// Judgements made, and asked for.
    #[must_use]
    pub fn progress(&self) -> (usize, usize) {
        (self.done.len(), self.items.len())
    }

    /// The item that comes next: what was just taken back, else the first that is not done.
    #[must_use]
    pub fn next(&self) -> Option<(usize, &Item)> {
        let back = self.former.as_ref().map(|former| former.item);
        let open = || (0..self.items.len()).find(|at| !self.done.contains_key(at));
        let at = back.or_else(open)?;
        Some((at, self.items.get(at)?))
    }

    /// What the screen shows now.
    #[must_use]
    pub fn view(&self) -> View {
        let shown = |(at, item): (usize, &Item)| {
            let (before, prompt) = item.case.pieces();
            Shown {
                item: at,
                axis: item.axis.clone(),
                before,
                prompt,
                answers: item.answers().map(|answer| answer.text.clone()).collect(),
                former: self.former.clone(),
            }
        };
        View {
            rater: self.rater.clone(),
            done: self.done.len(),
            total: self.items.len(),
            can_undo: !self.history.is_empty(),
            scores: self.scores,
            item: self.next().map(shown),
        }
    }

    /// Keeps a judgement: it is on disk when this returns.
    pub fn judge(&mut self, given: &Given) -> Result<(), Refusal> {
        let item = self.items.get(given.item).ok_or(Refusal::NoItem)?;
        if self.done.contains_key(&given.item) {
            return Err(Refusal::Done);
        }
        let answers: Vec<Answer> = item.answers().cloned().collect();
        let verdict = given.verdict(self.scores).map_err(Refusal::Verdict)?;
        if let Some(problem) = verdict.problem(answers.len()) {
            return Err(Refusal::Verdict(problem));
        }
        let time = jiff::Timestamp::now();
        let id = seed::key(0, &["judgement", &self.rater, &time.to_string(), &std::process::id().to_string()]);
        let id = format!("{:016x}", id ^ given.item as u64);
        let judgement = Judgement {
            schema: SCHEMA,
            id: id.clone(),
            run: self.run.clone(),
            case: item.case.case.clone(),
            tags: item.case.tags.clone(),
            rater: self.rater.clone(),
            axis: item.axis.clone(),
            prompt: item.case.prompt.clone(),
            answers,
            order: given.order.clone(),
            scores: given.scores.clone(),
            cant_tell: given.cant_tell,
            comment: given.comment.trim().chars().take(COMMENT).collect(),
            seconds: (given.seconds.clamp(0.0, DAY) * 1_000.0).round() / 1_000.0,
            time: time.to_string(),
            again: item.again,
        };
        self.file.append(&[Entry::Judgement(Box::new(judgement))]).map_err(Refusal::File)?;
        self.done.insert(given.item, id);
        self.history.push(given.item);
        self.former = None;
        Ok(())
    }

    /// Takes the last judgement back; it is shown again as it was.
    pub fn undo(&mut self) -> Result<(), Refusal> {
        let at = *self.history.last().ok_or(Refusal::NothingDone)?;
        let id = self.done.get(&at).cloned().ok_or(Refusal::NothingDone)?;
        let former = self.file.read().ok().and_then(|read| read.judgements.into_iter().rfind(|(_, one)| one.id == id));
        let time = jiff::Timestamp::now().to_string();
        let back = Withdrawal { schema: SCHEMA, withdraws: id, rater: self.rater.clone(), time };
        self.file.append(&[Entry::Withdrawal(back)]).map_err(Refusal::File)?;
        self.history.pop();
        self.done.remove(&at);
        self.former = Some(Given { item: at, ..former.map(|(_, one)| Given::of(&one)).unwrap_or_default() });
        Ok(())
    }
}

impl Given {
    /// What was handed in, as one verdict.
    fn verdict(&self, scores: bool) -> Result<Verdict, RankProblem> {
        if !self.seconds.is_finite() {
            return Err(RankProblem::Shape { what: "`seconds` is no number".into() });
        }
        match (&self.order, &self.scores, self.cant_tell) {
            (None, None, true) => Ok(Verdict::CantTell),
            (Some(order), None, false) if !scores => Ok(Verdict::Order(order.clone())),
            (None, Some(given), false) if scores => Ok(Verdict::Scores(given.clone())),
            _ => {
                let wanted = if scores { "`scores`" } else { "`order`" };
                Err(RankProblem::Shape { what: format!("give {wanted} or `cant_tell`, and no more") })
            }
        }
    }

    /// What a judgement says; the screen's order is the judgement's own.
    fn of(judgement: &Judgement) -> Self {
        let Judgement { order, scores, cant_tell, comment, seconds, .. } = judgement.clone();
        Self { item: 0, order, scores, cant_tell, comment, seconds }
    }
}

impl Item {
    /// The answers in their order on the screen.
    pub fn answers(&self) -> impl Iterator<Item = &Answer> {
        self.shown.iter().filter_map(|i| self.case.answers.get(*i)).map(|scored| &scored.answer)
    }

    /// Whether a judgement is of this item: the same case, axis and showing, and the same answers in any order.
    pub(super) fn is_judged_in(&self, judgement: &Judgement) -> bool {
        self.case.case == judgement.case
            && self.axis == judgement.axis
            && self.again == judgement.again
            && sorted(self.answers()) == sorted(judgement.answers.iter())
    }
}

/// The texts of some answers, whatever their order.
fn sorted<'a>(answers: impl Iterator<Item = &'a Answer>) -> Vec<&'a str> {
    let mut texts: Vec<&str> = answers.map(|answer| answer.text.as_str()).collect();
    texts.sort_unstable();
    texts
}

impl CaseAnswers {
    /// The prompt as pieces: what stands before the case, and the case.
    fn pieces(&self) -> (Vec<Said>, Vec<Said>) {
        match &self.prompt {
            PromptText::Text(text) => {
                let (before, case) = text.split_at_checked(self.start).unwrap_or(("", text));
                let piece = |text: &str| Said { role: String::new(), text: text.to_owned() };
                let before = Some(before).filter(|before| !before.trim().is_empty()).map(piece);
                (before.into_iter().collect(), vec![piece(case)])
            }
            PromptText::Messages(messages) => {
                let said = |message: &crate::store::MessageRecord| Said {
                    role: message.role.clone(),
                    text: message.content.clone(),
                };
                let (before, case) = messages.split_at(self.start.min(messages.len()));
                (before.iter().map(said).collect(), case.iter().map(said).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::{gathered, settings};
    use super::*;

    fn open(dir: &tempfile::TempDir, rater: &str) -> Session {
        let settings = settings(rater);
        let plan = Plan::new(gathered(20, 2), &settings).unwrap();
        Session::open(plan, &settings, false, RankingFile::new(dir.path().join("r.jsonl"))).unwrap()
    }

    fn first(session: &Session) -> Given {
        let item = session.next().unwrap().0;
        Given { item, order: Some(vec![vec![1], vec![0]]), seconds: 1.5, ..Given::default() }
    }

    #[test]
    fn goes_on_where_the_rater_stopped_and_keeps_raters_apart() {
        let dir = tempfile::tempdir().unwrap();
        let mut ann = open(&dir, "ann");
        for _ in 0..7 {
            ann.judge(&first(&ann)).unwrap();
        }
        let next = ann.view();
        assert_eq!(open(&dir, "ann").view(), next);
        assert_eq!(open(&dir, "bob").progress(), (0, 22));
        assert_eq!(next.done, 7);
    }

    #[test]
    fn undo_shows_what_was_said_and_can_go_back_to_the_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let mut ann = open(&dir, "ann");
        let given = Given { comment: "hm".into(), ..first(&ann) };
        ann.judge(&given).unwrap();
        ann.judge(&first(&ann)).unwrap();
        ann.undo().unwrap();
        ann.undo().unwrap();
        assert!(matches!(ann.undo(), Err(Refusal::NothingDone)));
        let shown = ann.view().item.unwrap();
        assert_eq!(shown.former, Some(given));
        let read = ann.file.read().unwrap();
        assert_eq!((read.judgements.len(), read.withdrawn, ann.progress().0), (0, 2, 0));
        ann.judge(&first(&ann)).unwrap();
        assert_eq!(open(&dir, "ann").progress().0, 1);
        open(&dir, "ann").undo().unwrap();
        assert_eq!(open(&dir, "ann").progress().0, 0, "also of an earlier sitting");
    }

    #[test]
    fn refuses_what_is_done_or_no_verdict() {
        let dir = tempfile::tempdir().unwrap();
        let mut ann = open(&dir, "ann");
        let given = first(&ann);
        ann.judge(&given).unwrap();
        assert!(matches!(ann.judge(&given), Err(Refusal::Done)));
        let wrong = |given: Given| matches!(open(&dir, "bob").judge(&given), Err(Refusal::Verdict(_)));
        assert!(matches!(ann.judge(&Given { item: 99, ..given.clone() }), Err(Refusal::NoItem)));
        assert!(wrong(Given { order: None, ..given.clone() }));
        assert!(wrong(Given { cant_tell: true, ..given.clone() }));
        assert!(wrong(Given { order: None, scores: Some(vec![1, 2]), ..given.clone() }));
        assert!(wrong(Given { order: Some(vec![vec![0]]), ..given.clone() }));
        assert!(wrong(Given { seconds: f64::NAN, ..given }));
        assert_eq!(ann.file.read().unwrap().judgements.len(), 1);
    }

    #[test]
    fn the_screen_names_no_variant() {
        let dir = tempfile::tempdir().unwrap();
        let text = serde_json::to_string(&open(&dir, "ann").view()).unwrap();
        assert!(!text.contains("\"v0\"") && !text.contains("\"v1\"") && !text.contains("again"), "{text}");
    }

    #[test]
    fn a_rater_has_a_name_that_is_no_scorers() {
        assert!(Session::check_name("Ann Lee").is_ok());
        for name in ["", " ", "simulated:exact", "a\nb", &"x".repeat(61)] {
            assert!(Session::check_name(name).is_err(), "{name:?}");
        }
    }
}
