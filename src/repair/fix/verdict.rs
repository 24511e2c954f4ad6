//! What came of it: the held-out half and the other suites, without the adapter and with it, by the paired test.

use super::ask::Asker;
use super::attempts::{self, Attempt};
use super::divide::{self, Halves};
use super::error::FixError;
use crate::error::{Place, Problems};
use crate::gate::{Baseline, Comparison, How, Sheet, Standing, compare, probes, sha256, signed, too_many_unscored};
use crate::stats::{Direction, LEVEL};
use crate::suite::Suite;
use crate::summary::RunSummary;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Came {
    /// The held-out half is proven better, and nothing else proven worse.
    Fixed,
    /// The held-out half is not proven better.
    NotFixed,
    /// It is, but something else is proven worse.
    FixedButWorse,
}

impl Came {
    /// In words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::NotFixed => "not fixed",
            Self::FixedButWorse => "fixed, but something else got worse",
        }
    }
}

/// One suite, without the adapter and with it.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// The suite.
    pub suite: String,
    /// Its file.
    pub path: PathBuf,
    /// Whether it is the held-out half of what was to be fixed.
    pub held_out: bool,
    /// Every metric of every variant.
    pub comparisons: Vec<Comparison>,
    /// Of a probe, groups that the test tells apart with the adapter and did not without it, in words.
    pub told_apart: Vec<String>,
}

impl Found {
    /// The suite, and that it is held out.
    #[must_use]
    pub fn title(&self) -> String {
        if self.held_out { format!("{}, cases that were held out", self.suite) } else { self.suite.clone() }
    }

    /// Whether anything is proven worse: a metric, or a probe's groups that are told apart by now.
    fn worse(&self) -> bool {
        !self.told_apart.is_empty() || self.comparisons.iter().any(|one| one.verdict == Standing::Worse)
    }

    /// The comparisons of each variant.
    pub fn tables(&self) -> impl Iterator<Item = &[Comparison]> {
        self.comparisons.chunk_by(|one, next| one.candidate.variant == next.candidate.variant)
    }
}

/// An attempt, judged.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// What it came to.
    pub came: Came,
    /// The attempt, as it is logged.
    pub attempt: Attempt,
    /// What fails is said by this metric.
    pub metric: String,
    /// What was taught, in words.
    pub lessons: String,
    /// The training run.
    pub training: PathBuf,
    /// The adapter.
    pub adapter: PathBuf,
    /// The model that it belongs to.
    pub model: PathBuf,
    /// The suites.
    pub found: Vec<Found>,
    /// Where the baseline for later gates is; there is one of what is fixed.
    pub baseline: Option<PathBuf>,
    /// The suite has rules, and none about the variant: a gate has nothing to judge.
    pub unruled: bool,
}

/// What is judged.
pub(super) struct Bench<'a> {
    pub asker: &'a Asker<'a>,
    pub suite: &'a Suite,
    pub halves: &'a Halves,
    pub also: &'a [Suite],
    pub scorer: &'a str,
    /// The attempt, opened.
    pub attempt: Attempt,
}

impl Bench<'_> {
    /// Asks the held-out half and the other suites without the adapter and with it; nothing where it was stopped.
    pub(super) fn judge(self, adapter: &Path) -> Result<Option<Judged>, Problems> {
        let folder = self.asker.folder;
        let attempt = attempts::open(self.attempt.clone())?;
        let held_out = divide::with(self.suite, &self.halves.held_out);
        let Some(first) = self.both(&held_out, "held out", adapter)? else { return Ok(None) };
        let metric = metric(self.scorer, &first);
        let mut found = vec![Found { held_out: true, ..first }];
        for suite in self.also {
            let Some(one) = self.both(suite, "as another suite", adapter)? else { return Ok(None) };
            found.push(one);
        }
        let judged = found[0].comparisons.iter().find(|one| one.metric == metric);
        let fixed = judged.is_some_and(|one| is_better(one, attempt.level));
        let worse = found.iter().any(Found::worse);
        let came = match (fixed, worse) {
            (false, _) => Came::NotFixed,
            (true, true) => Came::FixedButWorse,
            (true, false) => Came::Fixed,
        };
        let p_value = judged.and_then(|one| one.p_value);
        let attempt = Attempt { p_value, verdict: Some(came.text().to_owned()), ..attempt };
        attempts::close(&attempt)?;
        let rules = &self.suite.gate;
        Ok(Some(Judged {
            came,
            unruled: !rules.is_empty() && rules.iter().all(|rule| rule.variant != attempt.variant),
            attempt,
            metric,
            found,
            baseline: None,
            adapter: folder.join("adapter.gguf"),
            model: super::ask::model(self.suite)?,
            lessons: String::new(),
            training: PathBuf::new(),
        }))
    }

    fn both(&self, suite: &Suite, what: &str, adapter: &Path) -> Result<Option<Found>, Problems> {
        let Some(before) = self.asker.run(suite, what, None)? else { return Ok(None) };
        let Some(after) = self.asker.run(suite, what, Some(adapter))? else { return Ok(None) };
        for run in [&before, &after] {
            too_many_unscored(run, suite.max_unscored, &Place::file(&suite.path)).or_ok(())?;
        }
        let (comparisons, told_apart) = (compared(&before, &after), told_apart(&before, &after));
        let (suite, path) = (suite.name.clone(), suite.path.clone());
        Ok(Some(Found { suite, path, held_out: false, comparisons, told_apart }))
    }
}

/// Writes what the suite comes to with the adapter, as the baseline of later gates; false where it was stopped.
pub(super) fn baseline(asker: &Asker, suite: &Suite, (adapter, file): (&Path, &Path)) -> Result<bool, Problems> {
    let Some(run) = asker.run(suite, "for the baseline", Some(adapter))? else { return Ok(false) };
    let hash = sha256(&std::fs::read(&suite.path).map_err(|e| FixError::read("the suite", &e, &suite.path))?);
    let text = Baseline::of(&run, hash, file).text();
    std::fs::write(file, text).map_err(|e| FixError::write("the baseline", &e, file))?;
    Ok(true)
}

/// The metric that says what fails: of a label scorer its accuracy.
fn metric(scorer: &str, held_out: &Found) -> String {
    let accuracy = format!("{scorer}.accuracy");
    let has = held_out.comparisons.iter().any(|one| one.metric == accuracy);
    if has { accuracy } else { scorer.to_owned() }
}

/// Whether a difference is one for the better, proven at a level.
fn is_better(one: &Comparison, level: f64) -> bool {
    let gain = one.difference.map(|difference| match one.direction {
        Direction::Higher => difference,
        Direction::Lower => -difference,
    });
    gain.is_some_and(|gain| gain > 0.0) && one.p_value.is_some_and(|p| p <= level)
}

/// Groups of a probe that are told apart afterwards and were not before.
fn told_apart(before: &RunSummary, after: &RunSummary) -> Vec<String> {
    let told = |run: &RunSummary| {
        let all = probes(run).into_iter();
        all.flat_map(|of| {
            let known = of.differences.into_iter().filter(|one| one.told_apart);
            known.map(move |one| ((of.variant.clone(), of.groups.clone(), one.metric.clone()), one)).collect::<Vec<_>>()
        })
        .collect::<BTreeMap<_, _>>()
    };
    let known = told(before);
    let fresh = told(after).into_iter().filter(|(what, _)| !known.contains_key(what));
    fresh
        .map(|((variant, [one, other], metric), found)| {
            let by = found.difference.map_or_else(String::new, |difference| format!(", by {}", signed(difference)));
            format!("{variant}: `{metric}` tells {one} and {other} apart{by}")
        })
        .collect()
}

/// Every metric that a table shows first, of every variant that both have.
fn compared(before: &RunSummary, after: &RunSummary) -> Vec<Comparison> {
    let specs = after.specs();
    let of = |variant: &crate::summary::VariantSummary| {
        let (one, other) = (Sheet::of(before, &variant.name)?, Sheet::of(after, &variant.name)?);
        let headline = |metric: &str| variant.is_headline(metric);
        let mut all = compare(&one, &other, &How { specs: &specs, level: LEVEL, margin: 0.0, headline: &headline });
        all.retain(|one| headline(&one.metric));
        Some(all)
    };
    after.variants.iter().filter_map(of).flatten().collect()
}
