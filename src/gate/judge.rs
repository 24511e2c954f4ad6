//! Rules, judged: each with the evidence that it rests on.

use super::baseline::Baseline;
use super::compare::{How, adjusted, compare};
use super::decide::{at_least, at_most, no_worse_by};
use super::error::GateError;
use super::evidence;
use super::over_optimised::over_optimised;
use super::own_judge::own_judges;
use super::record::{Comparison, Decision, GateRecord, RuleRecord, SCHEMA};
use super::reference::Reference;
use super::run_metrics::{Measured, is_unscored};
use super::sheet::Sheet;
use crate::error::{Place, Problems};
use crate::stats::{Compared, Direction, Estimate, LEVEL, MetricSpec, fewest_signs, metrics_at};
use crate::suite::{Bound, Rule, RunMetric, Suite};
use crate::summary::RunSummary;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What is said of a variant that was not asked again.
const UNCHANGED: &str = "nothing that it asks has changed: not asked again";

/// What early stopping has decided, by the rule's place in the suite: the decision, and how it came about.
pub type Early = BTreeMap<usize, (Decision, String)>;

/// What is judged, by which rules, against what.
#[derive(Debug)]
pub struct Gate<'a> {
    /// The run judged.
    pub candidate: &'a RunSummary,
    /// What it is compared with.
    pub reference: Option<Reference<'a>>,
    /// The suite's rules. Where it has none, nothing may be worse than the reference.
    pub rules: &'a [Rule],
    /// The most cases that may be unscored, a share.
    pub max_unscored: Option<f64>,
    /// Variants of which nothing changed since the reference, and which are not asked again.
    pub unchanged: &'a BTreeSet<String>,
    /// What the run would be as a baseline file, where it is compared with one: the file's numbers are rounded, and a
    /// difference in what was rounded away is none.
    pub as_kept: Option<&'a Baseline>,
    /// Rules that were decided before every case was asked.
    pub early: &'a Early,
    /// The suite's file.
    pub place: Place,
}

/// A rule on its way to a decision.
struct Asked<'r> {
    rule: Cow<'r, Rule>,
    /// What early stopping has decided of it.
    early: Option<&'r (Decision, String)>,
    /// Of a rule that nobody wrote: its comparison, and Holm's p-value.
    unwritten: Option<(Compared<'static>, Option<f64>)>,
}

/// The two sides of a variant, and the cases that are in neither since they ask something else now.
struct Sides<'a> {
    before: Sheet<'a>,
    after: Sheet<'a>,
    changed: Vec<String>,
}

impl Gate<'_> {
    /// Every rule with its evidence, and every comparison behind them.
    ///
    /// # Errors
    /// A rule that cannot be judged: without a baseline, of a variant or metric that is not there; more unscored cases than
    /// the suite allows; no common case.
    pub fn judge(&self) -> Result<GateRecord, Problems> {
        let mut problems = too_many_unscored(self.candidate, self.max_unscored, &self.place);
        let asked = self.asked();
        if asked.is_empty() && !self.unchanged.is_empty() {
            // What is new has nothing to be compared with, and the rest is as it was.
        } else if asked.is_empty() && self.rules.is_empty() {
            problems.push(GateError::NothingInCommon {
                what: "the run and its baseline have no variant of one name".into(),
                help: "make the baseline again with --update-baseline FILE".into(),
                place: self.place.clone(),
            });
        } else if asked.is_empty() {
            problems.push(GateError::NothingInCommon {
                what: "no rule is about a variant that was asked".into(),
                help: "leave --variant out, or pick a variant that a rule names".into(),
                place: self.place.clone(),
            });
        }
        let judged: Vec<&Rule> = asked.iter().map(|asked| asked.rule.as_ref()).collect();
        problems.extend(own_judges(&self.candidate.header, &judged, &self.place));
        let mut rules = Vec::new();
        for asked in &asked {
            match self.rule(asked) {
                Ok(record) => rules.push(record),
                Err(error) => problems.push(error),
            }
        }
        let comparisons = self.comparisons();
        let over_optimised = over_optimised(&comparisons, &self.candidate.header.rewards());
        let verdict = overall(&rules);
        problems.or_ok(GateRecord {
            schema: SCHEMA,
            run: self.candidate.header.run.clone(),
            suite: self.candidate.header.suite_name.clone(),
            baseline: self.reference.map(|reference| reference.name()),
            verdict,
            rules,
            comparisons,
            over_optimised,
        })
    }

    /// The suite's rules on the variants that were asked; where it has none, one for every metric of both sides.
    fn asked(&self) -> Vec<Asked<'_>> {
        let is_there = |variant: &str| {
            self.candidate.variants.iter().any(|v| v.name == variant) || self.unchanged.contains(variant)
        };
        if self.rules.is_empty() {
            return self.unwritten();
        }
        let rules = self.rules.iter().enumerate().filter(|(_, rule)| is_there(&rule.variant));
        rules
            .map(|(at, rule)| Asked { rule: Cow::Borrowed(rule), early: self.early.get(&at), unwritten: None })
            .collect()
    }

    /// A rule for every metric that both sides have scored: nothing may be proven worse. Holm over all of them, headlines and
    /// details apart: whoever asks for every metric at once would otherwise be alarmed by chance.
    fn unwritten(&self) -> Vec<Asked<'_>> {
        let specs = self.candidate.specs();
        let (mut variants, mut all) = (Vec::new(), Vec::new());
        for variant in &self.candidate.variants {
            let Ok(Sides { before, after, .. }) = self.sheets(&variant.name) else { continue };
            for compared in crate::stats::compare(&before.rows, &after.rows, &specs, LEVEL) {
                if compared.difference.n > 0 {
                    variants.push(variant.name.clone());
                    all.push(owned(compared));
                }
            }
        }
        let headline = |metric: &str| self.candidate.variants.iter().all(|variant| variant.is_headline(metric));
        let adjusted = adjusted(&all, &headline);
        let rule = |variant, metric| Rule {
            variant,
            metric,
            bound: Bound::NoWorseBy(0.0),
            confidence: LEVEL,
            place: self.place.clone(),
        };
        let asked = variants.into_iter().zip(all).zip(adjusted).map(|((variant, compared), p)| Asked {
            rule: Cow::Owned(rule(variant, compared.metric.clone())),
            early: None,
            unwritten: Some((compared, p)),
        });
        asked.collect()
    }

    fn rule(&self, asked: &Asked) -> Result<RuleRecord, GateError> {
        let rule = asked.rule.as_ref();
        let written = asked.unwritten.is_none();
        let (decision, evidence) = match (asked.early, rule.bound) {
            (_, Bound::NoWorseBy(_)) if self.unchanged.contains(&rule.variant) => {
                (Decision::Pass, UNCHANGED.to_owned())
            }
            (Some((decision, evidence)), _) => (*decision, evidence.clone()),
            (None, Bound::NoWorseBy(margin)) => {
                let (compared, p) = if let Some((compared, p)) = &asked.unwritten {
                    (Cow::Borrowed(compared), *p)
                } else {
                    let compared = self.against(rule)?;
                    let p = compared.difference.p_value;
                    (Cow::Owned(compared), p)
                };
                // So few cases could not prove a drop even if all of them failed.
                let few = fewest_signs(rule.confidence).is_none_or(|fewest| compared.difference.n < fewest);
                let decision = match no_worse_by(margin, &compared.difference, compared.direction, p) {
                    Decision::Pass if margin <= 0.0 && few && !compared.difference.identical => Decision::Undecided,
                    decision => decision,
                };
                (decision, evidence::of_change(&compared, p, margin, decision))
            }
            (None, Bound::AtLeast(least)) => {
                let (estimate, n) = self.value(rule)?;
                (at_least(least, estimate.value, estimate.ci), evidence::of_value(&estimate, n, rule.confidence))
            }
            (None, Bound::AtMost(most)) => {
                let (estimate, n) = self.value(rule)?;
                (at_most(most, estimate.value, estimate.ci), evidence::of_value(&estimate, n, rule.confidence))
            }
        };
        let place = &rule.place;
        Ok(RuleRecord {
            variant: rule.variant.clone(),
            metric: rule.metric.clone(),
            rule: evidence::of_bound(rule.bound),
            decision,
            evidence,
            file: place.file.clone(),
            line: if written { place.line } else { 0 },
            column: if written { place.column } else { 0 },
        })
    }

    /// The candidate's side of a variant.
    fn own(&self, variant: &str) -> Option<Sheet<'_>> {
        match self.as_kept {
            None => Sheet::of(self.candidate, variant),
            Some(kept) => {
                let run = self.candidate.header.run.clone();
                Some(Sheet { run, ..Reference::File(kept).sheet(variant, self.candidate)? })
            }
        }
    }

    /// The two sides of a variant, without the cases that ask something else.
    fn sheets(&self, variant: &str) -> Result<Sides<'_>, GateError> {
        let no_variant = |whose: String, known: Vec<String>| GateError::NoVariant {
            whose,
            name: variant.to_owned(),
            known,
            place: self.place.clone(),
        };
        let reference = self.reference.ok_or_else(|| GateError::NeedsBaseline {
            place: self.place.clone(),
            about: format!("variant `{variant}`"),
        })?;
        let own = || self.candidate.variants.iter().map(|v| v.name.clone()).collect();
        let after = self.own(variant).ok_or_else(|| no_variant(self.candidate.header.run.clone(), own()))?;
        let before = reference
            .sheet(variant, self.candidate)
            .ok_or_else(|| no_variant(reference.name(), reference.variants()))?;
        let changed = before.changed(&after);
        Ok(Sides { before: before.without(&changed), after: after.without(&changed), changed })
    }

    /// A rule's metric against the reference.
    fn against(&self, rule: &Rule) -> Result<Compared<'static>, GateError> {
        let placed = |error| match error {
            GateError::NeedsBaseline { .. } => GateError::NeedsBaseline {
                place: rule.place.clone(),
                about: format!("variant `{}`, metric `{}`", rule.variant, rule.metric),
            },
            GateError::NoVariant { whose, name, known, .. } => {
                GateError::NoVariant { whose, name, known, place: rule.place.clone() }
            }
            other => other,
        };
        let Sides { before, after, changed } = self.sheets(&rule.variant).map_err(placed)?;
        let compared = if RunMetric::named(&rule.metric).is_some() {
            self.against_run(rule, &changed)?
        } else {
            let specs = specs_of(&self.candidate.specs(), &rule.metric);
            let compared = crate::stats::compare(&before.rows, &after.rows, &specs, rule.confidence);
            let known: Vec<String> = compared.iter().map(|one| one.metric.clone()).collect();
            let found = compared.into_iter().find(|one| one.metric == rule.metric);
            owned(found.ok_or_else(|| no_metric(rule, known))?)
        };
        if compared.difference.n == 0 {
            return Err(GateError::NothingInCommon {
                what: format!(
                    "variant `{}` has no scored case in common with {}",
                    rule.variant,
                    self.reference.map(|reference| reference.name()).unwrap_or_default()
                ),
                help: "make the baseline again with --update-baseline FILE".into(),
                place: rule.place.clone(),
            });
        }
        Ok(compared)
    }

    /// One of the metrics of every suite, which only a run holds.
    fn against_run(&self, rule: &Rule, changed: &[String]) -> Result<Compared<'static>, GateError> {
        let Some(Reference::Run(run)) = self.reference else {
            return Err(GateError::Baseline {
                what: format!("a baseline file does not hold `{}`", rule.metric),
                help: "compare with a run (--baseline reports/…), or bound it by `at_most`".into(),
                place: rule.place.clone(),
            });
        };
        let of = |run| Some(Measured::of(run, &rule.variant, &rule.metric)?.without(changed));
        let (Some(before), Some(after)) = (of(run), of(self.candidate)) else {
            return Err(no_metric(rule, Vec::new()));
        };
        let specs = [after.spec().clone()];
        let compared = crate::stats::compare(&before.rows(), &after.rows(), &specs, rule.confidence);
        let found = compared.into_iter().next().ok_or_else(|| no_metric(rule, Vec::new()))?;
        Ok(Compared { direction: Direction::Lower, ..owned(found) })
    }

    /// A rule's metric at its confidence, and the cases behind it.
    fn value(&self, rule: &Rule) -> Result<(Estimate, usize), GateError> {
        if RunMetric::named(&rule.metric).is_some()
            && let Some(metric) = Measured::of(self.candidate, &rule.variant, &rule.metric)
        {
            return Ok((metric.estimate(rule.confidence), metric.n()));
        }
        let rows = self.candidate.rows(&rule.variant);
        let specs = specs_of(&self.candidate.specs(), &rule.metric);
        let metrics = metrics_at(&rows, &specs, rule.confidence).metrics;
        match metrics.iter().find(|metric| metric.name == rule.metric) {
            Some(metric) => Ok((Estimate { value: metric.value, stderr: metric.stderr, ci: metric.ci }, metric.n)),
            None => Err(no_metric(rule, metrics.into_iter().map(|metric| metric.name).collect())),
        }
    }

    /// Every metric of the variants that both sides have.
    fn comparisons(&self) -> Vec<Comparison> {
        let Some(reference) = self.reference else { return Vec::new() };
        let specs = self.candidate.specs();
        let mut all = Vec::new();
        for variant in &self.candidate.variants {
            let sides = (reference.sheet(&variant.name, self.candidate), self.own(&variant.name));
            let (Some(before), Some(after)) = sides else { continue };
            let headline = |metric: &str| variant.is_headline(metric);
            all.extend(compare(
                &before,
                &after,
                &How { specs: &specs, level: LEVEL, margin: 0.0, headline: &headline },
            ));
        }
        all
    }

    /// The cases that ask something else than they did, as a warning; of a record of this gate.
    #[must_use]
    pub fn changed_cases(&self, record: &GateRecord) -> Problems {
        let changed: BTreeSet<&String> = record.comparisons.iter().flat_map(|one| &one.changed).collect();
        let mut problems = Problems::new();
        if !changed.is_empty() {
            let ids: Vec<&str> = changed.iter().take(5).map(|id| id.as_str()).collect();
            let more = if changed.len() > ids.len() { ", …" } else { "" };
            let (count, place) = (changed.len(), self.place.clone());
            problems.push(GateError::ChangedCases { count, ids: ids.join(", ") + more, place });
        }
        problems
    }
}

/// The variants of a run with more unscored cases than its suite allows.
#[must_use]
pub fn too_many_unscored(run: &RunSummary, most: Option<f64>, place: &Place) -> Problems {
    let mut problems = Problems::new();
    let Some(most) = most else { return problems };
    for variant in &run.variants {
        let rows = run.rows(&variant.name);
        // Of the cases that there are, however many of them early stopping has left out.
        let all = run.header.cases.count;
        let unscored: BTreeSet<&str> = rows.iter().filter(|row| is_unscored(row)).map(|row| row.case).collect();
        if unscored.len() as f64 > most * all as f64 {
            problems.push(GateError::TooManyUnscored {
                variant: variant.name.clone(),
                unscored: unscored.len(),
                cases: all,
                most,
                place: place.clone(),
            });
        }
    }
    problems
}

/// What can be said of a suite's rules before anything is asked: nothing to judge, or a rule without what it needs.
///
/// # Errors
/// Every such rule, with its place.
pub fn check_rules(suite: &Suite, has_reference: bool) -> Result<(), Problems> {
    let mut problems = Problems::new();
    if suite.gate.is_empty() && !has_reference {
        problems.push(GateError::NoRules { suite: suite.name.clone(), place: Place::file(&suite.path) });
    }
    let needy = suite.gate.iter().filter(|rule| matches!(rule.bound, Bound::NoWorseBy(_)) && !has_reference);
    problems.extend(needy.map(|rule| GateError::NeedsBaseline {
        place: rule.place.clone(),
        about: format!("variant `{}`, metric `{}`", rule.variant, rule.metric),
    }));
    problems.or_ok(())
}

/// The verdict on variants of which nothing has changed since their reference: nothing is worse.
#[must_use]
pub fn nothing_changed(suite: &Suite, reference: Reference, unchanged: &BTreeSet<String>) -> GateRecord {
    let rules = suite.gate.iter().filter(|rule| unchanged.contains(&rule.variant)).map(|rule| RuleRecord {
        variant: rule.variant.clone(),
        metric: rule.metric.clone(),
        rule: evidence::of_bound(rule.bound),
        decision: Decision::Pass,
        evidence: UNCHANGED.to_owned(),
        file: rule.place.file.clone(),
        line: rule.place.line,
        column: rule.place.column,
    });
    GateRecord {
        schema: SCHEMA,
        run: String::new(),
        suite: suite.name.clone(),
        baseline: Some(reference.name()),
        verdict: Decision::Pass,
        rules: rules.collect(),
        comparisons: Vec::new(),
        over_optimised: Vec::new(),
    }
}

/// The scorer that a metric belongs to: the longest name that it begins with.
fn specs_of(specs: &[MetricSpec], metric: &str) -> Vec<MetricSpec> {
    let belongs = |spec: &&MetricSpec| {
        metric.strip_prefix(&spec.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let longest = specs.iter().filter(belongs).max_by_key(|spec| spec.name.len());
    longest.map_or_else(|| specs.to_vec(), |spec| vec![spec.clone()])
}

/// A comparison that has let go of the rows that it was made from.
fn owned(compared: Compared) -> Compared<'static> {
    Compared {
        metric: compared.metric,
        direction: compared.direction,
        difference: compared.difference,
        passes: compared.passes,
        values: Vec::new(),
        unscored: Vec::new(),
    }
}

fn no_metric(rule: &Rule, known: Vec<String>) -> GateError {
    let whose = format!("variant `{}`", rule.variant);
    GateError::NoMetric { whose, name: rule.metric.clone(), known, place: rule.place.clone() }
}

/// All rules together: one that fails fails all, and one that is undecided leaves all undecided.
fn overall(rules: &[RuleRecord]) -> Decision {
    let any = |decision| rules.iter().any(|rule| rule.decision == decision);
    match (any(Decision::Fail), any(Decision::Undecided)) {
        (true, _) => Decision::Fail,
        (false, true) => Decision::Undecided,
        (false, false) => Decision::Pass,
    }
}
