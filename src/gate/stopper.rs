//! Early stopping: the rules of a suite while its cases come in, asked in a random order.
//!
//! A rule is watched where its metric is a mean of one number a case, better when higher: what a scorer says itself, the
//! accuracies of choices and labels. Each rule sees the completed beginning of the order and nothing behind it: short answers
//! are done first, and a rule that looked at what happens to be done would be biased. Rules that cannot be watched (F1,
//! perplexity, latency) let their variant run to its end. One rule that fails decides the gate, and all stop.

use super::early_stop::{Certainty, Sequential, Watched};
use super::evidence::figure;
use super::judge::Early;
use super::record::Decision;
use super::reference::Reference;
use crate::stats::{Direction, MetricKind, MetricSpec, Row, mean, metrics_of};
use crate::store::{Header, Repeat, Sample, Score};
use crate::suite::{Bound, Rule, Suite};
use crate::summary::{RunSummary, case_hash};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The rules of a suite, watched while it is asked.
#[derive(Debug)]
pub struct Stopper {
    /// The place of each case in the order.
    places: HashMap<String, usize>,
    variants: BTreeMap<String, Progress>,
    watching: Vec<Watching>,
    /// Rules of which no early decision is made, by their variant.
    unwatched: Vec<(usize, String)>,
}

/// How far a variant has come.
#[derive(Debug, Default)]
struct Progress {
    /// Trials that make a case.
    repeats: usize,
    /// What the repeats come to counts, rather than each of them.
    reduced: bool,
    /// The scores of cases that are not complete.
    open: HashMap<usize, Vec<Scored>>,
    complete: usize,
}

/// The scores of a trial, and the target that they were held against.
type Scored = (Vec<Score>, Option<String>);

/// One rule, watched.
#[derive(Debug)]
struct Watching {
    rule: usize,
    variant: String,
    metric: String,
    spec: MetricSpec,
    confidence: f64,
    sequential: Sequential,
    /// The baseline's value of each case, in the order.
    baseline: Vec<Option<f64>>,
    /// Values of cases behind one that is still missing.
    waiting: BTreeMap<usize, Option<f64>>,
    /// The values of the cases seen, and the baseline's beside them where the rule has one.
    seen: Vec<f64>,
    before: Vec<f64>,
    decided: Option<(Decision, Certainty)>,
    /// A value outside 0 to 1 was seen, of which the bounds know nothing.
    unbounded: bool,
}

impl Stopper {
    /// Watches a suite's rules. `order` are the ids of the cases as they will be asked; `header` that of the run to come.
    #[must_use]
    pub fn new(
        suite: &Suite,
        header: &Header,
        order: &[String],
        (reference, unchanged): (Option<Reference>, &BTreeSet<String>),
    ) -> Self {
        let empty = RunSummary::empty(header.clone());
        let specs = empty.specs();
        let (mut watching, mut unwatched) = (Vec::new(), Vec::new());
        for (at, rule) in suite.gate.iter().enumerate() {
            let settled = matches!(rule.bound, Bound::NoWorseBy(_)) && unchanged.contains(&rule.variant);
            if settled || !header.models.contains_key(&rule.variant) {
                continue;
            }
            let spec = specs.iter().find(|spec| is_watched(spec, &rule.metric));
            match spec.and_then(|spec| Some((spec, watched(suite, rule, spec, (order, reference))?))) {
                Some((spec, (watched, once))) => watching.push(Watching {
                    baseline: baseline_of(&watched),
                    rule: at,
                    variant: rule.variant.clone(),
                    metric: rule.metric.clone(),
                    spec: spec.clone(),
                    confidence: rule.confidence,
                    sequential: sequential(watched, order.len(), rule.confidence, once && is_of_passes(spec)),
                    waiting: BTreeMap::new(),
                    seen: Vec::new(),
                    before: Vec::new(),
                    decided: None,
                    unbounded: false,
                }),
                None => unwatched.push((at, rule.variant.clone())),
            }
        }
        let asked = suite.variants.iter().filter(|variant| header.models.contains_key(&variant.name));
        let variants = asked.map(|variant| {
            let reduced = variant.repeats > 1 && !variant.reduce.is_default();
            let repeats = if reduced { 1 } else { variant.repeats as usize };
            (variant.name.clone(), Progress { repeats, reduced, ..Progress::default() })
        });
        let places = order.iter().enumerate().map(|(place, id)| (id.clone(), place)).collect();
        Self { places, variants: variants.collect(), watching, unwatched }
    }

    /// Takes in a sample.
    pub fn sample(&mut self, sample: &Sample) {
        let Some(&place) = self.places.get(&sample.trial.case) else { return };
        let Some(progress) = self.variants.get_mut(&sample.trial.variant) else { return };
        if (sample.trial.repeat == Repeat::Reduced) != progress.reduced {
            return;
        }
        let rows = progress.open.entry(place).or_default();
        rows.push((sample.scores.clone(), sample.case.target.clone()));
        if rows.len() < progress.repeats {
            return;
        }
        let rows = progress.open.remove(&place).unwrap_or_default();
        progress.complete += 1;
        let case = sample.trial.case.as_str();
        let rows: Vec<Row> = rows
            .iter()
            .map(|(scores, truth)| Row { case, scores, truth: truth.as_deref(), cut: false, windows: &[] })
            .collect();
        for watching in self.watching.iter_mut().filter(|watching| watching.variant == sample.trial.variant) {
            watching.complete(place, value(&rows, &watching.spec, &watching.metric));
        }
    }

    /// Whether what is left of a variant need not be asked: a rule has failed, or the variant has rules and all are decided.
    /// A variant without rules is asked whole.
    #[must_use]
    pub fn is_decided(&self, variant: &str) -> bool {
        let failed =
            self.watching.iter().any(|one| one.decided.is_some_and(|(decision, _)| decision == Decision::Fail));
        let mut own = self.watching.iter().filter(|one| one.variant == variant).peekable();
        let unwatched = self.unwatched.iter().any(|(_, other)| other == variant);
        failed || (!unwatched && own.peek().is_some() && own.all(|one| one.decided.is_some()))
    }

    /// What was decided before the last case, and what was left open when another rule failed.
    #[must_use]
    pub fn finish(&self) -> Early {
        let n = self.places.len();
        let seen = |variant: &str| self.variants.get(variant).map_or(0, |progress| progress.complete);
        let decided = self.watching.iter().filter_map(|one| match one.decided {
            Some((decision, certainty)) if one.sequential.seen() < n => {
                Some((one.rule, (decision, one.evidence(certainty, n))))
            }
            _ => None,
        });
        let mut early: Early = decided.collect();
        let open = self.watching.iter().map(|one| (one.rule, &one.variant));
        for (rule, variant) in open.chain(self.unwatched.iter().map(|(rule, variant)| (*rule, variant))) {
            if seen(variant) < n {
                let left = format!("left open after {} of {n} cases: another rule had failed", seen(variant));
                early.entry(rule).or_insert((Decision::Undecided, left));
            }
        }
        early
    }

    /// Cases asked, and cases that there are, over all variants.
    #[must_use]
    pub fn saved(&self) -> (usize, usize) {
        let asked = self.variants.values().map(|progress| progress.complete).sum();
        (asked, self.variants.len() * self.places.len())
    }
}

impl Watching {
    /// A case is complete; the rule sees it as soon as all before it are.
    fn complete(&mut self, place: usize, value: Option<f64>) {
        self.waiting.insert(place, value);
        while self.decided.is_none()
            && let Some(value) = self.waiting.remove(&self.sequential.seen())
        {
            let before = self.baseline.get(self.sequential.seen()).copied().flatten();
            self.unbounded |= value.is_some_and(|value| !(0.0..=1.0).contains(&value));
            self.sequential.push(value.map(|value| value.clamp(0.0, 1.0)));
            if before.is_some() || self.baseline.is_empty() {
                self.seen.extend(value);
                self.before.extend(before.filter(|_| value.is_some()));
            }
            if !self.unbounded {
                self.decided = self.sequential.decision();
            }
        }
    }

    fn evidence(&self, certainty: Certainty, n: usize) -> String {
        let seen = self.sequential.seen();
        let mean = |values: &[f64]| mean(values, self.confidence).value.map_or_else(|| "–".to_owned(), figure);
        let before = if self.baseline.is_empty() { String::new() } else { format!("{} → ", mean(&self.before)) };
        let value = format!("{before}{}", mean(&self.seen));
        let level = (self.confidence * 1e6).round() / 1e4;
        let why = match certainty {
            Certainty::Exact => format!("no outcome of the other {} can change it", n - seen),
            Certainty::Sequence => format!("a confidence sequence at {level} % has decided"),
        };
        format!("{value} after {seen} of {n} cases, {why}")
    }
}

/// Whether a metric is a mean of one number a case that is better when higher.
fn is_watched(spec: &MetricSpec, metric: &str) -> bool {
    let name = spec.name.as_str();
    match &spec.kind {
        MetricKind::Proportion | MetricKind::Mean | MetricKind::Judge => metric == name,
        MetricKind::Choice => {
            ["acc", "acc_norm", "acc_bytes", "acc_mi"].iter().any(|p| metric == format!("{name}.{p}"))
        }
        MetricKind::Labels { .. } => metric == format!("{name}.accuracy"),
        MetricKind::Perplexity => false,
    }
}

/// The baseline that a rule compares with, case by case; empty where it has none.
fn baseline_of(watched: &Watched) -> Vec<Option<f64>> {
    match watched {
        Watched::NoWorse { baseline, .. } => baseline.clone(),
        Watched::AtLeast(_) | Watched::AtMost(_) => Vec::new(),
    }
}

/// The rule while its cases come in; where a case is a number rather than a pass, nothing exact can be said.
fn sequential(watched: Watched, n: usize, confidence: f64, passes: bool) -> Sequential {
    let sequential = Sequential::new(watched, n, confidence);
    if passes { sequential } else { sequential.of_numbers() }
}

/// Whether each value of the scorer's metric is right or wrong.
fn is_of_passes(spec: &MetricSpec) -> bool {
    matches!(spec.kind, MetricKind::Proportion | MetricKind::Choice | MetricKind::Labels { .. })
}

/// What is watched of a rule, and whether each case is asked once on either side; `None` where it lacks the baseline that it compares with.
fn watched(
    suite: &Suite,
    rule: &Rule,
    spec: &MetricSpec,
    (order, reference): (&[String], Option<Reference>),
) -> Option<(Watched, bool)> {
    let variant = suite.variants.iter().find(|variant| variant.name == rule.variant)?;
    let once = variant.repeats == 1;
    let margin = match rule.bound {
        Bound::AtLeast(least) => return Some((Watched::AtLeast(least), once)),
        Bound::AtMost(most) => return Some((Watched::AtMost(most), once)),
        Bound::NoWorseBy(margin) => margin,
    };
    let cases: HashMap<&str, _> = suite.cases.iter().map(|case| (case.id.as_str(), case)).collect();
    let truths = cases.iter().filter_map(|(id, case)| Some((*id, case.target.as_deref()?))).collect();
    let sheet = reference.as_ref()?.sheet_with(&rule.variant, &truths)?;
    let mut rows: HashMap<&str, Vec<Row>> = HashMap::new();
    for row in &sheet.rows {
        rows.entry(row.case).or_default().push(*row);
    }
    let asks_the_same = |id: &str| match (sheet.cases.get(id), cases.get(id)) {
        (Some(Some(was)), Some(case)) => *was == case_hash(&case.vars, case.target.as_deref()),
        (Some(None), _) => true,
        _ => false,
    };
    let baseline = order.iter().map(|id| {
        let rows = rows.get(id.as_str()).filter(|_| asks_the_same(id))?;
        value(rows, spec, &rule.metric)
    });
    let once = once && rows.values().all(|rows| rows.len() == 1);
    Some((Watched::NoWorse { margin, baseline: baseline.collect() }, once))
}

/// The value of a metric over the trials of one case; `None` where it is unscored.
fn value(rows: &[Row], spec: &MetricSpec, metric: &str) -> Option<f64> {
    let found = metrics_of(rows, std::slice::from_ref(spec)).metrics.into_iter().find(|one| one.name == metric)?;
    debug_assert_eq!(found.direction, Direction::Higher);
    found.value
}
