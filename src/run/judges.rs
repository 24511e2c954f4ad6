//! Other models judge trials: what was said (the scorers `judge_model` and `reward`), or the prompt (`label` with a
//! `classifier`).

use super::asking::Asking;
use super::classify::Reader;
use super::prepare::Prepared;
use super::rewards::Rewarder;
use super::underway::Underway;
use super::want::{self, Unfit, Want, gathered};
use crate::engine::cache::Identity;
use crate::engine::{Answer, Engine};
use crate::error::Problems;
use crate::prompt::Renderer;
use crate::score::{Found, Judge, Likelihood, Verdict};

/// What the judges found about one trial.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    pub(super) found: Vec<Verdict>,
    /// Tokens that they decoded for it.
    pub(super) tokens_decoded: usize,
    /// The run was to stop before all of them had answered.
    pub(super) cut_off: bool,
    /// States that classifiers read: those that came from the cache, and all.
    pub(super) states: (usize, usize),
    /// A judge gave no answer, for a reason outside the model: the trial is asked again when the run goes on.
    pub(super) unanswered: bool,
}

impl Verdicts {
    /// Whether there are states, and all of them came from the cache.
    pub(super) fn is_cached(&self) -> bool {
        self.states.1 > 0 && self.states.0 == self.states.1
    }
}

/// The judges, classifiers and reward models of a suite, each with its model.
pub(super) struct Judges<'a> {
    prepared: &'a Prepared<'a>,
    benches: Vec<Bench<'a>>,
    readers: Vec<Reader<'a>>,
    rewarders: Vec<Rewarder<'a>>,
}

/// One judge with what its questions are put to.
pub(super) struct Bench<'a> {
    pub(super) judge: Judge<'a>,
    pub(super) renderer: Renderer<'a>,
    pub(super) engine: &'a dyn Engine,
    pub(super) identity: Identity,
}

impl<'a> Judges<'a> {
    pub(super) fn new(prepared: &'a Prepared<'a>) -> Result<Self, Problems> {
        let (benches, readers, rewarders) = (prepared.judges()?, prepared.readers(), prepared.rewarders()?);
        Ok(Self { prepared, benches, readers, rewarders })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.benches.is_empty() && self.readers.is_empty() && self.rewarders.is_empty()
    }

    /// Each trial with what the judges found. What a judge cannot be asked is said in its verdict.
    pub(super) fn judge(&self, trials: Vec<Underway>, asking: &Asking) -> Result<Vec<(Underway, Verdicts)>, Problems> {
        let mut judged: Vec<(Underway, Verdicts)> =
            trials.into_iter().map(|trial| (trial, Verdicts::default())).collect();
        for bench in &self.benches {
            bench.judge(self.prepared, &mut judged, asking)?;
        }
        for reader in &self.readers {
            reader.read(&mut judged, asking)?;
        }
        for rewarder in &self.rewarders {
            rewarder.read(self.prepared, &mut judged, asking)?;
        }
        Ok(judged)
    }
}

impl Bench<'_> {
    fn judge(&self, prepared: &Prepared, trials: &mut [(Underway, Verdicts)], asking: &Asking) -> Result<(), Problems> {
        let asked: Vec<Result<Vec<Want>, String>> =
            trials.iter().map(|(trial, _)| self.questions(prepared, trial)).collect();
        let mut answers: Vec<Vec<_>> =
            asked.iter().map(|wants| vec![None; wants.as_ref().map_or(0, Vec::len)]).collect();
        let mut places = Vec::new();
        let mut requests = Vec::new();
        for (trial, want, one) in asked
            .iter()
            .enumerate()
            .flat_map(|(trial, wants)| wants.iter().flatten().enumerate().map(move |(want, one)| (trial, want, one)))
        {
            places.push((trial, want));
            requests.push((one.request.clone(), 0));
        }
        asking.answer(self.engine, &self.identity, requests, &mut |id, answer, _| {
            let Some(&(trial, want)) = places.get(id) else { return };
            if let Some(place) = answers.get_mut(trial).and_then(|answers| answers.get_mut(want)) {
                *place = Some(answer);
            }
        })?;
        for (((_, found), wants), answers) in trials.iter_mut().zip(asked).zip(&answers) {
            found.cut_off |= answers.iter().any(Option::is_none);
            let failed = answers.iter().flatten().find_map(|answer| match answer {
                Answer::Failed { reason, help } => Some(format!("{reason}; {help}")),
                _ => None,
            });
            found.unanswered |= failed.is_some();
            let asked = wants.and_then(|wants| failed.map_or(Ok(wants), Err)).map(|wants| {
                let told = wants.iter().zip(answers).filter_map(|(want, answer)| Some((want, answer.as_ref()?)));
                let each = told.map(|told| {
                    let (_, likelihoods, cost) = gathered(std::iter::once(told));
                    found.tokens_decoded += cost.map_or(0, |cost| cost.prompt_tokens_decoded);
                    likelihoods
                });
                Found::Likelihoods(each.collect::<Vec<Vec<Likelihood>>>())
            });
            found.found.push(Verdict { scorer: self.judge.name().to_owned(), asked });
        }
        Ok(())
    }

    /// What a judge is asked about a trial: one question, or one in each order.
    fn questions(&self, prepared: &Prepared, trial: &Underway) -> Result<Vec<Want>, String> {
        let (Some(said), Some(case)) = (trial.completion(), prepared.suite.cases.get(trial.cell().case)) else {
            return Ok(Vec::new());
        };
        let mut wants = Vec::new();
        for case in self.judge.asks(case, said) {
            let prompt = self.renderer.render(&case).map_err(|error| error.to_string())?;
            let tokens = self.engine.tokenize(&prompt.text, &prompt.quoted);
            let candidates = self.judge.candidates(&prompt.text);
            wants.extend(want::candidates(self.engine, (&prompt, &tokens), &candidates).map_err(
                |unfit| match unfit {
                    Unfit::TooLong { prompt, candidate } => {
                        let context = self.engine.context();
                        format!("the judge's prompt does not fit: {prompt} + {candidate} > {context} context tokens")
                    }
                    Unfit::NoTokens { text } => format!("the verdict `{text}` adds no token to the judge's prompt"),
                    Unfit::ShortText => "the judge's prompt is empty".to_owned(),
                },
            )?);
        }
        Ok(wants)
    }
}
