//! What is taught: the failing half, answered right; and what goes right, replayed.
//!
//! All of it is kept as runs, in the attempt's folder, so that `tripos show` can look into it: the prompts are those that were asked,
//! token by token. A reference is the case's target. Where there is none, or where right answers show more than the target (steps on the
//! way to it), the model's own answers that pass are taught (rejection sampling; Yuan 2023, 2308.01825). Of a
//! counterfactual pair that fails on one side both sides are taught the same: pairs that are swapped.

use super::ask::{Asker, passed};
use super::divide::Halves;
use super::error::FixError;
use crate::error::{Place, Problems};
use crate::store::{Completion, Repeat, RunFolder, Sample, ScoreValue, Status, StopReason, read_samples};
use crate::suite::{Case, Reduce, Suite, Variant};
use crate::summary::RunSummary;
use crate::train::clean::{Leaks, asked};
use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

/// Answers that are drawn to a case.
const DRAWN: u32 = 8;
/// So many times as many right answers as failing ones are replayed, at most.
const REPLAYED: usize = 2;

/// Where what is taught lies.
#[derive(Debug, Clone, Default)]
pub(super) struct Lessons {
    /// Cases that fail.
    pub failing: usize,
    /// The references, as a run.
    pub references: Option<PathBuf>,
    /// How many there are.
    pub referenced: usize,
    /// The model's own answers to cases without a target, some of which pass.
    pub drawn: Option<PathBuf>,
    /// How many pass.
    pub passing: usize,
    /// The run of the half that is learned from.
    pub asked: PathBuf,
    /// How many of its right answers are replayed.
    pub replayed: usize,
    /// What was preferred: (prompt, better, worse).
    pub pairs: Vec<(Sample, String, String)>,
    /// The variant and the scorer.
    pub of: (String, String),
}

impl fmt::Display for Lessons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taught = [
            (self.referenced, "references"),
            (self.passing, "of the model's own answers to them that pass"),
            (self.replayed, "right answers replayed"),
        ];
        let taught: Vec<String> =
            taught.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        write!(f, "{} cases fail; learned from: {}", self.failing, taught.join(", "))
    }
}

/// What is taught of a run of the learned half; nothing where it was stopped. Errors where nothing can be.
pub(super) fn of(
    asker: &Asker,
    (suite, halves): (&Suite, &Halves),
    (before, scorer): (&RunSummary, &str),
) -> Result<Option<Lessons>, Problems> {
    let samples = first_answers(before)?;
    let right = samples.iter().filter(|sample| passed(sample, scorer) == Some(true)).count();
    let failing = samples.iter().filter(|sample| passed(sample, scorer) == Some(false)).count();
    let variant = suite.variants.first().map(|variant| variant.name.clone()).unwrap_or_default();
    let of = (variant, scorer.to_owned());
    let mut lessons = Lessons { failing, asked: before.dir.clone(), of, ..Lessons::default() };
    if failing == 0 {
        return Ok(Some(lessons));
    }
    let wrong = to_teach(&samples, scorer, suite, &halves.held_out);
    let bare = right_answers_are_targets(&samples, scorer);
    let draws: Vec<&Sample> = wrong.iter().copied().filter(|sample| !(bare && has_target(sample))).collect();
    if !draws.is_empty() && !draw(asker, suite, &draws, &mut lessons)? {
        return Ok(None);
    }
    // Where the model cannot do it by itself, the bare target is what there is to teach.
    if bare || lessons.passing == 0 {
        let with: Vec<&Sample> = wrong.iter().copied().filter(|sample| has_target(sample)).collect();
        lessons.refer(asker, before, (&with, &samples))?;
    }
    lessons.replayed = right.min(REPLAYED * (lessons.referenced + lessons.passing));
    if lessons.referenced + lessons.passing == 0 {
        return Err(nothing(suite, draws.len()).into());
    }
    Ok(Some(lessons))
}

/// The first answer to each case of a run.
fn first_answers(run: &RunSummary) -> Result<Vec<Sample>, Problems> {
    let mut samples = Vec::new();
    read_samples(&run.dir, |sample| {
        if sample.trial.repeat == Repeat::Number(0) {
            samples.push(sample);
        }
    })?;
    Ok(samples)
}

fn has_target(sample: &Sample) -> bool {
    sample.case.target.as_deref().is_some_and(|target| !target.trim().is_empty())
}

/// Whether what the model says when it is right is the target and nothing more; where it shows steps on the way, a bare target would
/// teach it to leave them out. Of a model that is never right it is held to be so.
fn right_answers_are_targets(samples: &[Sample], scorer: &str) -> bool {
    let right = samples.iter().filter(|sample| has_target(sample) && passed(sample, scorer) == Some(true));
    let (bare, all) = right
        .filter_map(|sample| Some((sample.completion.as_ref()?, sample.case.target.as_ref()?)))
        .fold((0, 0), |(bare, all), (said, target)| (bare + usize::from(said.text.trim() == target.trim()), all + 1));
    2 * bare >= all
}

impl Lessons {
    /// The targets of failing cases, as answers.
    fn refer(
        &mut self,
        asker: &Asker,
        before: &RunSummary,
        (wrong, all): (&[&Sample], &[Sample]),
    ) -> Result<(), Problems> {
        if wrong.is_empty() {
            return Ok(());
        }
        let space = begins_with_a_space(all);
        self.referenced = wrong.len();
        self.references = Some(references(asker, before, (wrong, space), &self.of.1)?);
        for sample in wrong {
            self.prefer(sample, &reference(sample, space));
        }
        Ok(())
    }

    fn prefer(&mut self, sample: &Sample, better: &str) {
        let Some(said) = &sample.completion else { return };
        if said.text.trim() != better.trim() {
            self.pairs.push((sample.clone(), better.to_owned(), said.text.clone()));
        }
    }
}

fn nothing(suite: &Suite, cases: usize) -> FixError {
    FixError::Unfit {
        what: format!(
            "none of {DRAWN} answers to {cases} failing cases passed, and they have no target: nothing can be taught"
        ),
        help: "give the cases targets, or teach what is right by a recipe of your own (`tripos train`)".into(),
        place: Place::file(&suite.path),
    }
}

/// The samples that fail, and the other sides of a pair that does; none that asks what is held out, or of cases that nobody generated
/// leaks it.
fn to_teach<'s>(samples: &'s [Sample], scorer: &str, suite: &Suite, held_out: &[Case]) -> Vec<&'s Sample> {
    let fails = |sample: &Sample| passed(sample, scorer) == Some(false);
    let pair = |sample: &Sample| sample.case.probe.as_ref().map(|probe| probe.pair.clone());
    let failing: HashSet<String> = samples.iter().filter(|sample| fails(sample)).filter_map(pair).collect();
    let in_pair = |sample: &Sample| pair(sample).is_some_and(|pair| failing.contains(&pair));
    let known: HashSet<_> =
        held_out.iter().map(|case| serde_json::Value::Object(case.vars.clone()).to_string()).collect();
    let mut leaks = Leaks::default();
    if !suite.generated {
        for case in held_out {
            leaks.case(&suite.name, case);
        }
    }
    let apart = |sample: &Sample| {
        !known.contains(&serde_json::Value::Object(sample.case.vars.clone()).to_string())
            && leaks.find(asked(&sample.case.vars)).is_none()
    };
    samples.iter().filter(|sample| (fails(sample) || in_pair(sample)) && apart(sample)).collect()
}

/// Whether what the model says begins with a space, as it does behind a prompt that ends without one.
fn begins_with_a_space(samples: &[Sample]) -> bool {
    let said: Vec<&str> =
        samples.iter().filter_map(|sample| sample.completion.as_ref()).map(|said| said.text.as_str()).collect();
    2 * said.iter().filter(|text| text.starts_with(' ')).count() > said.len()
}

fn reference(sample: &Sample, space: bool) -> String {
    let target = sample.case.target.as_deref().unwrap_or_default().trim();
    if space { format!(" {target}") } else { target.to_owned() }
}

/// The samples with their targets in the place of what was said, as a run.
fn references(
    asker: &Asker,
    before: &RunSummary,
    (wrong, space): (&[&Sample], bool),
    scorer: &str,
) -> Result<PathBuf, Problems> {
    let mut folder = RunFolder::create(&asker.folder.join("references"), before.header.clone())?;
    for sample in wrong {
        let mut taught = (*sample).clone();
        let said = taught.completion.take();
        taught.completion = said.map(|said| Completion {
            text: reference(sample, space),
            tokens: Vec::new(),
            stop_reason: StopReason::Stop,
            completion_tokens: 0,
            logprobs: None,
            ..said
        });
        for score in taught.scores.iter_mut().filter(|score| score.scorer == scorer) {
            score.value = ScoreValue::Pass(true);
            score.explanation = "the reference".into();
        }
        folder.append(&taught)?;
    }
    Ok(folder.close(Status::Complete)?.0)
}

/// Has failing cases answered several times, and keeps what passes. False where it was stopped.
fn draw(asker: &Asker, suite: &Suite, without: &[&Sample], lessons: &mut Lessons) -> Result<bool, Problems> {
    let asked: HashSet<&str> = without.iter().map(|sample| sample.trial.case.as_str()).collect();
    let hot = |variant: &Variant| {
        let mut variant = Variant { repeats: DRAWN, reduce: Reduce::default(), ..variant.clone() };
        if variant.sampling.temperature <= 0.0 {
            variant.sampling.temperature = 1.0;
        }
        variant
    };
    let again = Suite {
        cases: suite.cases.iter().filter(|case| asked.contains(case.id.as_str())).cloned().collect(),
        variants: suite.variants.iter().map(hot).collect(),
        ..suite.clone()
    };
    let Some(run) = asker.run(&again, &format!("{DRAWN} answers to each"), None)? else { return Ok(false) };
    let scorer = lessons.of.1.clone();
    let mut passing: Vec<Sample> = Vec::new();
    read_samples(&run.dir, |sample| {
        if sample.trial.repeat != Repeat::Reduced && passed(&sample, &scorer) == Some(true) {
            passing.push(sample);
        }
    })?;
    lessons.passing = passing.len();
    lessons.drawn = Some(run.dir.clone());
    for sample in without {
        let better = passing.iter().find(|other| other.trial.case == sample.trial.case);
        if let Some(said) = better.and_then(|better| better.completion.as_ref()) {
            lessons.prefer(sample, &said.text);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::CaseRecord;
    use crate::suite::Counterpart;
    use serde_json::json;

    fn sample(case: &str, said: &str, target: &str, pass: bool) -> Sample {
        let mut sample: Sample = serde_json::from_value(json!({
            "trial": {"variant": "v", "case": case, "repeat": 0},
            "case": {"vars": {"q": case}, "target": target, "tags": []},
            "prompt": null,
            "completion": null,
            "scores": [{"scorer": "exact", "value": pass, "answer": null, "explanation": ""}],
        }))
        .unwrap();
        sample.completion = serde_json::from_value(json!({
            "text": said, "tokens": [], "stop_reason": "stop", "prompt_tokens": 1, "prompt_tokens_decoded": 1,
            "completion_tokens": 1, "elapsed_s": 0.0,
        }))
        .unwrap();
        sample
    }

    fn suite(generated: bool) -> Suite {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("p.txt"), "{{ q }}\n").unwrap();
        std::fs::write(dir.path().join("m.yaml"), "otherwise: x\n").unwrap();
        let text = "suite: s\nmodel: {scripted: m.yaml}\ncases: [{vars: {q: a}, target: b}]\nscorers: [exact]\n\
                    variants: [{name: v, prompt: p.txt}]\n";
        std::fs::write(dir.path().join("s.yaml"), text).unwrap();
        let (suite, problems) = crate::suite::load(&dir.path().join("s.yaml"), &crate::suite::Overrides::default());
        Suite { generated, ..suite.unwrap_or_else(|| panic!("{problems}")) }
    }

    fn ids(taught: &[&Sample]) -> Vec<String> {
        taught.iter().map(|sample| sample.trial.case.clone()).collect()
    }

    #[test]
    fn what_is_held_out_is_not_taught_under_another_id_nor_within_a_longer_text() {
        let held_out = [Case::new("h", [("q", "what is the capital of France")], Some("Paris"))];
        let all = [
            sample("What is the capital of France", "x", "Paris", false),
            sample("Tell me: what is the capital of France?", "x", "Paris", false),
            sample("What is the capital of Spain", "x", "Madrid", false),
            sample("What is the capital of Italy", "Rome", "Rome", true),
        ];
        assert_eq!(ids(&to_teach(&all, "exact", &suite(false), &held_out)), ["What is the capital of Spain"]);
        // What a rule makes shares its words with all that it makes: there the same question is the same, and no other.
        assert_eq!(to_teach(&all, "exact", &suite(true), &held_out).len(), 3);
        let held_out = [Case::new("h", [("q", "What is the capital of Spain")], None)];
        assert_eq!(to_teach(&all, "exact", &suite(true), &held_out).len(), 2);
    }

    #[test]
    fn of_a_pair_that_fails_on_one_side_both_are_taught() {
        let side = |case: &str, pair: &str, group: &str, pass: bool| {
            let probe = Counterpart { unit: pair.into(), pair: pair.into(), group: group.into() };
            let sample = sample(case, "x", "yes", pass);
            Sample { case: CaseRecord { probe: Some(probe), ..sample.case.clone() }, ..sample }
        };
        let all = [
            side("Ann cooks", "cooks", "women", false),
            side("Tom cooks", "cooks", "men", true),
            side("Ann runs", "runs", "women", true),
            side("Tom runs", "runs", "men", true),
        ];
        assert_eq!(ids(&to_teach(&all, "exact", &suite(true), &[])), ["Ann cooks", "Tom cooks"]);
    }

    #[test]
    fn a_bare_target_is_taught_where_right_answers_are_bare() {
        let bare = [sample("a", " 12", "12", true), sample("b", "9", "8", false), sample("c", "7", "7", true)];
        assert!(right_answers_are_targets(&bare, "exact"));
        let steps = [sample("a", "5 + 7 = 12. The answer is 12.", "12", true), sample("b", "9", "8", false)];
        assert!(!right_answers_are_targets(&steps, "exact"));
        assert!(right_answers_are_targets(&bare[1..2], "exact"), "never right: the target is all there is");
        assert!(begins_with_a_space(&bare[..1]) && !begins_with_a_space(&bare));
        assert_eq!((reference(&bare[0], true), reference(&bare[0], false)), (" 12".into(), "12".into()));
    }
}
