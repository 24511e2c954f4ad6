//! What is taught: the failing half, answered right; and what goes right, replayed.
//!
//! All of it is kept as one run, in the attempt's folder, so that `tripos show` can look into it: the prompts are those that were asked,
//! token by token. A reference is the case's target, where the scorer passes it. Where there is none, or where right answers show more
//! than the target (steps on the way to it), the model's own answers that pass are taught (rejection sampling; Yuan 2023, 2308.01825). Of
//! a counterfactual pair that fails on one side both sides are taught the same: pairs that are swapped.

use super::apart::{Apart, Prefixes};
use super::ask::Asker;
use super::error::FixError;
use super::outcome::{Outcome, outcomes, passed};
use crate::error::{Place, Problems};
use crate::score::{Judged, Scorers};
use crate::seed;
use crate::store::{Completion, Header, RunFolder, Sample, ScoreValue, Status, StopReason};
use crate::suite::{Case, Reduce, Suite, Variant};
use crate::summary::RunSummary;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::PathBuf;

/// Answers that are drawn to a case.
const DRAWN: u32 = 8;
/// So many times as many right answers as taught ones are replayed, at most.
const REPLAYED: usize = 2;

/// What is preferred.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    /// An answer that fails.
    pub failing: Sample,
    /// What should have been said.
    pub better: String,
}

/// Where what is taught lies.
#[derive(Debug, Clone, Default)]
pub(super) struct Lessons {
    /// Cases that fail.
    pub failing: usize,
    /// Cases that the scorer could not judge.
    pub unscored: usize,
    /// Cases that pass.
    pub passing: usize,
    /// References that are taught, own answers that pass, right answers that are replayed.
    pub taught: [usize; 3],
    /// Failing cases of which nothing is taught: they ask what is held out, or nobody knows what is right.
    pub left_out: usize,
    /// The run that holds all of it.
    pub run: PathBuf,
    /// Its header.
    pub header: Option<Header>,
    /// What is preferred to what.
    pub pairs: Vec<Pair>,
    /// The variant and the scorer.
    pub of: (String, String),
    /// It is the pairs that are taught.
    pub by_pairs: bool,
}

impl Lessons {
    /// Rows that are taught.
    pub(super) fn rows(&self) -> usize {
        if self.by_pairs { self.pairs.len() } else { self.taught.iter().sum() }
    }
}

impl fmt::Display for Lessons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [references, own, replayed] = self.taught;
        let taught = if self.by_pairs {
            vec![(self.pairs.len(), "pairs of what passes and what fails")]
        } else {
            vec![
                (references, "references"),
                (own, "of the model's own answers to them that pass"),
                (replayed, "right answers replayed"),
            ]
        };
        let told = |all: &[(usize, &str)]| {
            let some = all.iter().filter(|(count, _)| *count > 0);
            some.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
        };
        write!(f, "{} cases fail; learned from: {}", self.failing, told(&taught))?;
        let aside = told(&[(self.left_out, "left out"), (self.unscored, "not to be scored")]);
        if aside.is_empty() { Ok(()) } else { write!(f, " ({aside})") }
    }
}

/// What becomes of targets that are not taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Targets {
    /// There are none.
    None,
    /// So many are not what the scorer passes.
    Refused(usize),
    /// They are less than what the model says when it is right.
    Bare,
}

/// What lessons are made of.
pub(super) struct Class<'a> {
    /// The suite with the one variant.
    pub suite: &'a Suite,
    pub scorer: &'a str,
    /// What must not be taught.
    pub apart: &'a Apart,
    pub by_pairs: bool,
    /// Moves what is drawn.
    pub seed: u64,
}

impl Class<'_> {
    /// What is taught of a run of the learned half; nothing where it was stopped. Errors where nothing can be.
    pub(super) fn lessons(&self, asker: &Asker, before: &RunSummary) -> Result<Option<Lessons>, Problems> {
        let all = outcomes(&before.dir, self.scorer)?;
        let count = |passes: Option<bool>| all.iter().filter(|outcome| outcome.passes == passes).count();
        let variant = self.suite.variants.first().map(|variant| variant.name.clone()).unwrap_or_default();
        let mut lessons = Lessons {
            failing: count(Some(false)),
            unscored: count(None),
            passing: count(Some(true)),
            of: (variant, self.scorer.to_owned()),
            by_pairs: self.by_pairs,
            ..Lessons::default()
        };
        match (lessons.failing, lessons.passing) {
            (0, 0) => return Err(self.unscored(&all).into()),
            (0, _) => return Ok(Some(lessons)),
            _ => {}
        }
        let mut header = before.header.clone();
        let wrong = self.to_teach(&all, &header.prefixes);
        let leaked = lessons.failing - wrong.iter().filter(|outcome| fails(outcome)).count();
        let (mut taught, targets) = self.references(&all, &wrong, asker.machine.allow_commands)?;
        let rest: Vec<&Outcome> = wrong.iter().copied().filter(|outcome| answer(&taught, outcome).is_none()).collect();
        let Some(own) = self.draw(asker, &rest, &mut header.prefixes)? else { return Ok(None) };
        lessons.taught = [taught.len(), own.len(), 0];
        taught.extend(own);
        if taught.is_empty() {
            return Err(self.nothing((lessons.failing, leaked), targets).into());
        }
        let known = wrong.iter().filter(|outcome| fails(outcome) && answer(&taught, outcome).is_some());
        lessons.left_out = lessons.failing.saturating_sub(known.count());
        lessons.pairs = self.pairs(&wrong, &taught);
        if self.by_pairs && lessons.pairs.is_empty() {
            return Err(self.nothing((lessons.failing, leaked), targets).into());
        }
        let replayed = self.replayed(&all, &header.prefixes, REPLAYED * taught.len());
        lessons.taught[2] = replayed.len();
        taught.extend(replayed);
        let mut folder = RunFolder::create(&asker.folder.join("lessons"), header.clone())?;
        taught.iter().try_for_each(|sample| folder.append(sample))?;
        (lessons.run, lessons.header) = (folder.close(Status::Complete)?.0, Some(header));
        Ok(Some(lessons))
    }

    /// The cases that fail, and the other sides of a pair that does; none that asks what must not be taught.
    fn to_teach<'o>(&self, all: &'o [Outcome], prefixes: &Prefixes) -> Vec<&'o Outcome> {
        let pair = |outcome: &Outcome| Some(outcome.first()?.case.probe.as_ref()?.pair.clone());
        let failing: HashSet<String> = all.iter().filter(|outcome| fails(outcome)).filter_map(pair).collect();
        let in_pair = |outcome: &Outcome| pair(outcome).is_some_and(|pair| failing.contains(&pair));
        let apart = |outcome: &Outcome| outcome.first().is_some_and(|sample| self.apart.is(sample, prefixes));
        all.iter().filter(|outcome| (fails(outcome) || in_pair(outcome)) && apart(outcome)).collect()
    }

    /// The targets of cases as answers, where answers are targets, as far as the scorer passes them; and what of the others.
    fn references(
        &self,
        all: &[Outcome],
        wrong: &[&Outcome],
        allow_commands: bool,
    ) -> Result<(Vec<Sample>, Targets), Problems> {
        let (mut taught, mut refused) = (Vec::new(), 0);
        if !right_answers_are_targets(all, self.scorer) {
            return Ok((taught, Targets::Bare));
        }
        let space = begins_with_a_space(all);
        let spec: Vec<_> = self.suite.scorers.iter().filter(|spec| spec.name == self.scorer).cloned().collect();
        let answer = self.suite.variants.first().and_then(|variant| variant.answer.as_ref());
        let scorers = Scorers::new(&spec, answer, &self.suite.targets(), allow_commands)?;
        for sample in wrong.iter().filter_map(|outcome| outcome.first()) {
            match reference(sample, space).map(|sample| judged(&scorers, sample)) {
                Some(sample) if passed(&sample, self.scorer) == Some(true) => taught.push(sample),
                Some(_) => refused += 1,
                None => {}
            }
        }
        Ok((taught, if refused == 0 { Targets::None } else { Targets::Refused(refused) }))
    }

    /// The model's own answers to cases, drawn several times, as far as they pass and end; equal ones once. Nothing where it was stopped.
    fn draw(
        &self,
        asker: &Asker,
        cases: &[&Outcome],
        prefixes: &mut Prefixes,
    ) -> Result<Option<Vec<Sample>>, Problems> {
        if cases.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let ids = cases.iter().filter_map(|outcome| Some(outcome.first()?.trial.case.as_str()));
        let asked: HashSet<&str> = ids.collect();
        let hot = |variant: &Variant| {
            let mut variant = Variant { repeats: DRAWN, reduce: Reduce::default(), ..variant.clone() };
            // Those that failed were drawn by the suite's own seed.
            variant.sampling.seed = seed::key(self.seed, &["fix", "drawn"]);
            if variant.sampling.temperature <= 0.0 {
                variant.sampling.temperature = 1.0;
            }
            variant
        };
        let again = Suite {
            cases: self.suite.cases.iter().filter(|case| asked.contains(case.id.as_str())).cloned().collect(),
            variants: self.suite.variants.iter().map(hot).collect(),
            ..self.suite.clone()
        };
        let Some(run) = asker.run(&again, &format!("{DRAWN} answers to each"), None)? else { return Ok(None) };
        prefixes.extend(run.header.prefixes.clone());
        let drawn = outcomes(&run.dir, self.scorer)?.into_iter().flat_map(|outcome| outcome.answers);
        let mut known = HashSet::new();
        let mut fresh = |sample: &Sample| {
            let said = sample.completion.as_ref().map(|said| said.text.trim().to_owned());
            known.insert((sample.trial.case.clone(), said))
        };
        Ok(Some(drawn.filter(|sample| is_right(sample, self.scorer) && fresh(sample)).collect()))
    }

    /// Right answers, one to a case, spread by a hash.
    fn replayed(&self, all: &[Outcome], prefixes: &Prefixes, most: usize) -> Vec<Sample> {
        let right = all.iter().filter(|outcome| outcome.passes == Some(true));
        let right = right.filter_map(|outcome| outcome.answers.iter().find(|sample| is_right(sample, self.scorer)));
        let mut right: Vec<&Sample> = right.filter(|sample| self.apart.is(sample, prefixes)).collect();
        right.sort_by_key(|sample| seed::key(self.seed, &["replayed", &sample.trial.case]));
        right.into_iter().take(most).cloned().collect()
    }

    /// Of each failing case an answer that fails, with one that is taught.
    fn pairs(&self, wrong: &[&Outcome], taught: &[Sample]) -> Vec<Pair> {
        let of = |outcome: &&Outcome| {
            let failing = outcome.answers.iter().find(|sample| passed(sample, self.scorer) == Some(false))?;
            let better = answer(taught, outcome)?.completion.as_ref()?.text.clone();
            Some(Pair { failing: failing.clone(), better })
        };
        wrong.iter().filter(|outcome| fails(outcome)).filter_map(of).collect()
    }

    fn unscored(&self, all: &[Outcome]) -> FixError {
        let scores = all.iter().filter_map(Outcome::first).flat_map(|sample| &sample.scores);
        let reason = scores.filter(|score| score.scorer == self.scorer).find_map(|score| match &score.value {
            ScoreValue::Unscored(reason) => Some(reason.clone()),
            _ => None,
        });
        FixError::Unfit {
            what: format!(
                "`{}` could not judge a single answer: {}",
                self.scorer,
                reason.unwrap_or_else(|| "it gives numbers, and neither passes nor fails".to_owned())
            ),
            help: "mend what keeps it from judging, or name another scorer (--scorer)".into(),
            place: Place::file(&self.suite.path),
        }
    }

    fn nothing(&self, (cases, leaked): (usize, usize), targets: Targets) -> FixError {
        let place = Place::file(&self.suite.path);
        if leaked == cases {
            let what = format!(
                "nothing can be taught of {cases} failing cases: each asks what is held out, or what another suite asks"
            );
            let help =
                "leave examples that are cases out of the prompt, or another suite that asks the same out of --also"
                    .into();
            return FixError::Unfit { what, help, place };
        }
        let targets = match targets {
            Targets::None => "they have no target".to_owned(),
            Targets::Refused(refused) => format!("`{}` does not pass {refused} of their targets", self.scorer),
            Targets::Bare => "right answers show more than their target".to_owned(),
        };
        let aside = if leaked == 0 { String::new() } else { format!(" ({leaked} more ask what must not be taught)") };
        let cases = cases - leaked;
        let what = format!(
            "nothing can be taught of {cases} failing cases{aside}: none of {DRAWN} answers passed, and {targets}"
        );
        let help = "give the cases targets that pass, or teach what is right by a recipe of your own (`tripos train`)";
        FixError::Unfit { what, help: help.into(), place }
    }
}

fn fails(outcome: &Outcome) -> bool {
    outcome.passes == Some(false)
}

/// What is taught of a case.
fn answer<'t>(taught: &'t [Sample], outcome: &Outcome) -> Option<&'t Sample> {
    let case = &outcome.first()?.trial.case;
    taught.iter().find(|sample| sample.trial.case == *case)
}

/// Whether an answer passes, and was not cut.
fn is_right(sample: &Sample, scorer: &str) -> bool {
    let ended = sample.completion.as_ref().is_some_and(|said| said.stop_reason != StopReason::Length);
    ended && passed(sample, scorer) == Some(true)
}

/// Whether what the model says when it is right is the target and nothing more; where it shows steps on the way, a bare target would
/// teach it to leave them out. Of a model that is never right it is held to be so.
fn right_answers_are_targets(all: &[Outcome], scorer: &str) -> bool {
    let right = all.iter().filter_map(Outcome::first).filter(|sample| passed(sample, scorer) == Some(true));
    let (bare, all) = right
        .filter_map(|sample| Some((sample.completion.as_ref()?, sample.case.target.as_ref()?)))
        .fold((0, 0), |(bare, all), (said, target)| (bare + usize::from(said.text.trim() == target.trim()), all + 1));
    2 * bare >= all
}

/// Whether what the model says begins with a space, as it does behind a prompt that ends without one.
fn begins_with_a_space(all: &[Outcome]) -> bool {
    let said = all.iter().filter_map(|outcome| outcome.first()?.completion.as_ref());
    let (spaced, all) =
        said.fold((0, 0), |(spaced, all), said| (spaced + usize::from(said.text.starts_with(' ')), all + 1));
    2 * spaced > all
}

/// A sample with its target in the place of what was said; nothing where it has none.
fn reference(sample: &Sample, space: bool) -> Option<Sample> {
    let target = sample.case.target.as_deref().map(str::trim).filter(|target| !target.is_empty())?;
    let text = if space { format!(" {target}") } else { target.to_owned() };
    let said = sample.completion.clone()?;
    let said = Completion {
        text,
        tokens: Vec::new(),
        stop_reason: StopReason::Stop,
        completion_tokens: 0,
        logprobs: None,
        end: None,
        ..said
    };
    Some(Sample { completion: Some(said), pieces: BTreeMap::new(), ..sample.clone() })
}

/// A sample judged anew, by the one scorer.
fn judged(scorers: &Scorers, mut sample: Sample) -> Sample {
    let case = Case {
        id: sample.trial.case.clone(),
        vars: sample.case.vars.clone(),
        target: sample.case.target.clone(),
        tags: sample.case.tags.clone(),
        probe: sample.case.probe.clone(),
    };
    let prompt = sample.prompt.as_ref().map_or("", |prompt| prompt.text.as_str());
    let chat = sample.prompt.as_ref().is_some_and(|prompt| !prompt.messages.is_empty());
    let completion = sample.completion.as_ref();
    sample.scores = scorers.judge(&Judged { case: &case, prompt, chat, completion, likelihood: &[], verdicts: &[] });
    sample
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::CaseRecord;
    use crate::suite::Counterpart;
    use serde_json::json;

    fn outcome(case: &str, said: &str, target: &str, pass: bool) -> Outcome {
        let mut sample: Sample = serde_json::from_value(json!({
            "trial": {"variant": "v", "case": case, "repeat": 0},
            "case": {"vars": {"q": case}, "target": target, "tags": []},
            "prompt": {"text": case, "tokens": [], "case_start": 0},
            "completion": null,
            "scores": [{"scorer": "exact", "value": pass, "answer": null, "explanation": ""}],
        }))
        .unwrap();
        sample.completion = serde_json::from_value(json!({
            "text": said, "tokens": [], "stop_reason": "stop", "prompt_tokens": 1, "prompt_tokens_decoded": 1,
            "completion_tokens": 1, "elapsed_s": 0.0,
        }))
        .unwrap();
        Outcome { passes: Some(pass), answers: vec![sample] }
    }

    fn side(case: &str, pair: &str, group: &str, pass: bool) -> Outcome {
        let mut outcome = outcome(case, if pass { "yes" } else { "x" }, "yes", pass);
        let probe = Counterpart { unit: pair.into(), pair: pair.into(), group: group.into(), over: 0 };
        let sample = &mut outcome.answers[0];
        sample.case = CaseRecord { probe: Some(probe), ..sample.case.clone() };
        outcome
    }

    #[test]
    fn a_bare_target_is_taught_where_right_answers_are_bare() {
        let bare = [outcome("a", " 12", "12", true), outcome("b", "9", "8", false), outcome("c", "7", "7", true)];
        assert!(right_answers_are_targets(&bare, "exact"));
        let steps = [outcome("a", "5 + 7 = 12. The answer is 12.", "12", true), outcome("b", "9", "8", false)];
        assert!(!right_answers_are_targets(&steps, "exact"));
        assert!(right_answers_are_targets(&bare[1..2], "exact"), "never right: the target is all there is");
        assert!(begins_with_a_space(&bare[..1]) && !begins_with_a_space(&bare));
        let text = |space| reference(bare[0].first().unwrap(), space).unwrap().completion.unwrap().text;
        assert_eq!((text(true), text(false)), (" 12".into(), "12".into()));
    }

    #[test]
    fn what_was_cut_is_not_right() {
        let mut cut = outcome("a", "12", "12", true);
        assert!(is_right(cut.first().unwrap(), "exact"));
        cut.answers[0].completion.as_mut().unwrap().stop_reason = StopReason::Length;
        assert!(!is_right(cut.first().unwrap(), "exact"));
    }

    /// Lessons of outcomes, without a model.
    fn class(test: impl FnOnce(&Class, &Prefixes)) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("p.txt"), "{{ q }}\n").unwrap();
        std::fs::write(dir.path().join("m.yaml"), "otherwise: x\n").unwrap();
        let text = "suite: s\nmodel: {scripted: m.yaml}\ncases: [{vars: {q: a}, target: b}]\nscorers: [exact]\n\
                    variants: [{name: v, prompt: p.txt}]\n";
        std::fs::write(dir.path().join("s.yaml"), text).unwrap();
        let (suite, problems) = crate::suite::load(&dir.path().join("s.yaml"), &crate::suite::Overrides::default());
        let suite = suite.unwrap_or_else(|| panic!("{problems}"));
        let mut apart = Apart::default();
        apart.add(&suite, &[Case::new("h", [("q", "What is the capital of France")], Some("Paris"))]);
        let class = Class { suite: &suite, scorer: "exact", apart: &apart, by_pairs: false, seed: 0 };
        test(&class, &Prefixes::new());
    }

    #[test]
    fn of_a_pair_that_fails_on_one_side_both_are_taught_and_what_is_held_out_is_not() {
        class(|class, prefixes| {
            let all = [
                side("Ann cooks", "cooks", "women", false),
                side("Tom cooks", "cooks", "men", true),
                side("Ann runs", "runs", "women", true),
                side("Tom runs", "runs", "men", true),
                outcome("Tell me, what is the capital of France?", "x", "Paris", false),
                outcome("What is the capital of Spain", "x", "Madrid", false),
            ];
            let wrong = class.to_teach(&all, prefixes);
            let ids: Vec<&str> = wrong.iter().map(|outcome| outcome.answers[0].trial.case.as_str()).collect();
            assert_eq!(ids, ["Ann cooks", "Tom cooks", "What is the capital of Spain"]);
            let (taught, targets) = class.references(&all, &wrong, false).unwrap();
            assert_eq!((taught.len(), targets), (3, Targets::None));
            // Nothing that passes is held against anything.
            let pairs = class.pairs(&wrong, &taught);
            let failing: Vec<&str> = pairs.iter().map(|pair| pair.failing.trial.case.as_str()).collect();
            assert_eq!(failing, ["Ann cooks", "What is the capital of Spain"]);
            assert_eq!(class.replayed(&all, prefixes, 2).len(), 2);
        });
    }
}
