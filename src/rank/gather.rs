//! The answers of a run, case by case: equal ones once, with what was asked.

use super::error::RankProblem;
use super::record::{Answer, PromptText, Source};
use crate::error::{Place, Problems};
use crate::store::{Header, PromptRecord, Repeat, Sample, ScoreValue, ScorerRecord, read_header, read_samples};
use std::collections::BTreeMap;
use std::path::Path;

/// Which answers of a run count.
#[derive(Debug, Clone, Default)]
pub struct Pick {
    /// Only these variants; all where there are none.
    pub variants: Vec<String>,
    /// Only the first so many cases.
    pub limit: Option<usize>,
    /// The scorer whose scores are read.
    pub scorer: Option<String>,
}

/// The answers of one run.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    /// The run's id.
    pub run: String,
    /// The cases that have two different answers or more, in the order of the run.
    pub cases: Vec<CaseAnswers>,
    /// Cases whose answers are all equal, or that have one.
    pub single: usize,
    /// Cases that nobody answered.
    pub without: usize,
    /// The scores are numbers (of which a difference says how much), and not passes and failures.
    pub graded: bool,
    /// Cases whose answers are to different prompts; the prompt is then that of the first variant.
    pub differ: usize,
}

/// What was answered to a case.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseAnswers {
    /// The case's id.
    pub case: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// What was asked: see [`gather()`].
    pub prompt: PromptText,
    /// Where the case itself begins in the prompt, behind its examples: a byte of a text, or a message of a chat.
    pub start: usize,
    /// Different answers, in the order of the variants and repeats.
    pub answers: Vec<ScoredAnswer>,
}

/// An answer and what the scorer asked for says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredAnswer {
    /// The answer.
    pub answer: Answer,
    /// More is better; the mean where several equal answers were scored. `None` where it is unscored or no scorer was named.
    pub score: Option<f64>,
}

/// What one trial asked.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    prompt: PromptText,
    start: usize,
}

/// One answer as a trial gave it.
struct Given {
    source: Source,
    text: String,
    asked: Asked,
    score: Option<f64>,
}

/// Reads the answers of a run.
///
/// The prompt of a case is the one that all its answers are to. Where variants asked differently, it is what they share
/// behind their examples (for a chat: from the last message of the user on); where they share not even that, it is the
/// prompt of the first variant, and the case is counted in [`Gathered::differ`]. The first words of a prefilled answer, and
/// what a first stage wrote, are part of the answer where the prompt ends before them.
pub fn gather(run: &Path, pick: &Pick) -> Result<Gathered, Problems> {
    let header = read_header(run)?;
    let known = variants(&header);
    check(run, &header, pick, &known)?;
    let mut order: Vec<String> = Vec::new();
    let mut found: BTreeMap<String, (Vec<String>, Vec<Given>)> = BTreeMap::new();
    read_samples(run, |sample| {
        let Repeat::Number(repeat) = sample.trial.repeat else { return };
        if !pick.variants.is_empty() && !pick.variants.contains(&sample.trial.variant) {
            return;
        }
        let case = sample.trial.case.clone();
        let of_case = found.entry(case.clone()).or_insert_with(|| {
            order.push(case);
            (sample.case.tags.clone(), Vec::new())
        });
        of_case.1.extend(given(&header, &sample, repeat, pick.scorer.as_deref()));
    })?;
    order.truncate(pick.limit.unwrap_or(usize::MAX));
    let mut gathered = Gathered { run: header.run.clone(), graded: graded(&header, pick), ..Gathered::default() };
    for case in order {
        let Some((tags, mut answers)) = found.remove(&case) else { continue };
        let place = |given: &Given| known.iter().position(|name| *name == given.source.variant);
        answers.sort_by_key(|given| (place(given), given.source.repeat));
        gathered.add(case, tags, answers);
    }
    Ok(gathered)
}

/// The names of a run's variants, in the suite's order.
fn variants(header: &Header) -> Vec<String> {
    let listed = header.suite.get("variants").and_then(|variants| variants.as_array()).into_iter().flatten();
    listed.filter_map(|variant| Some(variant.get("name")?.as_str()?.to_owned())).collect()
}

fn name_of(record: &ScorerRecord) -> &str {
    match record {
        ScorerRecord::Pass { name }
        | ScorerRecord::Number { name }
        | ScorerRecord::Labels { name, .. }
        | ScorerRecord::Choice { name }
        | ScorerRecord::Perplexity { name }
        | ScorerRecord::Judge { name }
        | ScorerRecord::Reward { name } => name,
    }
}

/// Whether the scorer asked for gives numbers.
fn graded(header: &Header, pick: &Pick) -> bool {
    use ScorerRecord::{Judge, Number, Perplexity, Reward};
    let of_name = |record: &&ScorerRecord| pick.scorer.as_deref() == Some(name_of(record));
    header
        .scorers
        .iter()
        .find(of_name)
        .is_some_and(|r| matches!(r, Number { .. } | Perplexity { .. } | Judge { .. } | Reward { .. }))
}

/// Names that the run does not know are errors.
fn check(run: &Path, header: &Header, pick: &Pick, known: &[String]) -> Result<(), Problems> {
    let mut problems = Problems::new();
    let mut unknown = |what, name: &String, known: Vec<String>| {
        problems.push(RankProblem::Unknown { what, name: name.clone(), known }.at(Place::file(run)));
    };
    for name in pick.variants.iter().filter(|name| !known.contains(name)) {
        unknown("variant", name, known.to_vec());
    }
    let scorers: Vec<String> = header.scorers.iter().map(|record| name_of(record).to_owned()).collect();
    if let Some(name) = pick.scorer.as_ref().filter(|name| !scorers.contains(name)) {
        unknown("scorer", name, scorers.clone());
    }
    problems.or_ok(())
}

/// The answer of a sample, if it has one.
fn given(header: &Header, sample: &Sample, repeat: u32, scorer: Option<&str>) -> Option<Given> {
    let said = &sample.completion.as_ref()?.text;
    let last = sample.prompt.as_ref()?;
    let whole = whole_text(header, last);
    let first = sample.before.first().map(|stage| (whole_text(header, &stage.prompt), &stage.prompt));
    let (asked, text) = match (&last.messages[..], first) {
        // What an earlier stage said is part of the answer where the last prompt goes on from the first.
        ([], Some((first, record))) if whole.starts_with(&first) => {
            let text = format!("{}{said}", whole.get(first.len()..).unwrap_or_default());
            (Asked { start: record.case_start.min(first.len()), prompt: PromptText::Text(first) }, text)
        }
        ([], _) => (Asked { start: last.case_start.min(whole.len()), prompt: PromptText::Text(whole) }, said.clone()),
        ([before @ .., prefill], _) if prefill.role == "assistant" && !before.is_empty() => {
            (chat(before), format!("{}{said}", prefill.content))
        }
        (messages, _) => (chat(messages), said.clone()),
    };
    let source = Source { variant: sample.trial.variant.clone(), repeat };
    Some(Given { source, text, asked, score: scorer.and_then(|scorer| score(header, sample, scorer)) })
}

fn chat(messages: &[crate::store::MessageRecord]) -> Asked {
    let start = messages.iter().rposition(|message| message.role == "user").unwrap_or(0);
    Asked { prompt: PromptText::Messages(messages.to_vec()), start }
}

fn whole_text(header: &Header, prompt: &PromptRecord) -> String {
    let prefix = prompt.prefix.as_ref().and_then(|id| header.prefixes.get(id));
    format!("{}{}", prefix.map_or("", String::as_str), prompt.text)
}

/// What a scorer says of a sample, as a number of which more is better.
fn score(header: &Header, sample: &Sample, scorer: &str) -> Option<f64> {
    let lower = header.scorers.iter().any(|r| matches!(r, ScorerRecord::Perplexity { name } if name == scorer));
    let value = &sample.scores.iter().find(|score| score.scorer == scorer)?.value;
    match value {
        ScoreValue::Label(label) => {
            let target = sample.case.target.as_deref()?;
            Some(f64::from(u8::from(target.trim().eq_ignore_ascii_case(label.trim()))))
        }
        value => value.as_number().map(|number| if lower { -number } else { number }),
    }
}

impl Gathered {
    /// Adds a case with its answers, equal ones once.
    fn add(&mut self, case: String, tags: Vec<String>, given: Vec<Given>) {
        let mut kept: Vec<(Given, Vec<Source>, Vec<f64>)> = Vec::new();
        for one in given {
            let scores: Vec<f64> = one.score.into_iter().collect();
            match kept.iter_mut().find(|(other, ..)| other.text.trim() == one.text.trim()) {
                Some((_, also, all)) => {
                    also.push(one.source);
                    all.extend(scores);
                }
                None => kept.push((one, Vec::new(), scores)),
            }
        }
        if kept.len() < 2 {
            *(if kept.is_empty() { &mut self.without } else { &mut self.single }) += 1;
            return;
        }
        let asked: Vec<&Asked> = kept.iter().map(|(one, ..)| &one.asked).collect();
        let (Asked { prompt, start }, differ) = shared(&asked);
        self.differ += usize::from(differ);
        let answer = |(one, also, scores): (Given, Vec<Source>, Vec<f64>)| {
            let Source { variant, repeat } = one.source;
            let score = (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64);
            ScoredAnswer { answer: Answer { variant, repeat, text: one.text, also }, score }
        };
        let answers = kept.into_iter().map(answer).collect();
        self.cases.push(CaseAnswers { case, tags, prompt, start, answers });
    }
}

/// The prompt that answers share, and whether they share none.
fn shared(asked: &[&Asked]) -> (Asked, bool) {
    let Some(first) = asked.first() else { return (Asked { prompt: PromptText::Text(String::new()), start: 0 }, true) };
    if asked.iter().all(|one| one.prompt == first.prompt) {
        return ((*first).clone(), false);
    }
    let rest = |one: &Asked| match &one.prompt {
        PromptText::Text(text) => PromptText::Text(text.get(one.start..).unwrap_or_default().to_owned()),
        PromptText::Messages(messages) => PromptText::Messages(messages.get(one.start..).unwrap_or_default().to_vec()),
    };
    let prompt = rest(first);
    if !prompt.is_empty() && asked.iter().all(|one| rest(one) == prompt) {
        return (Asked { prompt, start: 0 }, false);
    }
    ((*first).clone(), true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MessageRecord;

    fn given(variant: &str, text: &str, prompt: &str, start: usize) -> Given {
        let source = Source { variant: variant.into(), repeat: 0 };
        let asked = Asked { prompt: PromptText::Text(prompt.into()), start };
        Given { source, text: text.into(), asked, score: Some(1.0) }
    }

    #[test]
    fn equal_answers_are_one_and_a_case_with_one_is_counted() {
        let mut gathered = Gathered::default();
        gathered.add("one".into(), vec![], vec![given("a", " 2", "Q", 0), given("b", "2\n", "Q", 0)]);
        gathered.add("none".into(), vec![], vec![]);
        gathered.add(
            "two".into(),
            vec![],
            vec![given("a", " 2", "Q", 0), given("b", "2", "Q", 0), given("c", "3", "Q", 0)],
        );
        assert_eq!((gathered.single, gathered.without, gathered.cases.len()), (1, 1, 1));
        let answers = &gathered.cases[0].answers;
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[0].answer.variants().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn the_prompt_is_what_all_answers_are_to() {
        let of = |givens: Vec<Given>| {
            let mut gathered = Gathered::default();
            gathered.add("c".into(), vec![], givens);
            (gathered.cases[0].prompt.clone(), gathered.cases[0].start, gathered.differ)
        };
        let text = |text: &str| PromptText::Text(text.into());
        assert_eq!(of(vec![given("a", "1", "E Q", 2), given("b", "2", "E Q", 2)]), (text("E Q"), 2, 0));
        assert_eq!(of(vec![given("a", "1", "Q", 0), given("b", "2", "E Q", 2)]), (text("Q"), 0, 0), "behind examples");
        assert_eq!(of(vec![given("a", "1", "E Q", 2), given("b", "2", "Say Q", 0)]), (text("E Q"), 2, 1));
    }

    #[test]
    fn chats_share_what_the_user_said_last() {
        let said = |role: &str, content: &str| MessageRecord { role: role.into(), content: content.into() };
        let short = chat(&[said("user", "Q")]);
        let long = chat(&[said("system", "S"), said("user", "E"), said("assistant", "A"), said("user", "Q")]);
        assert_eq!(long.start, 3);
        assert_eq!(shared(&[&long, &short]), (short.clone(), false));
        assert_eq!(shared(&[&long, &long]), (long, false));
    }
}
