//! What a resolved suite must fulfil beyond its shape: names, ranges, rules, targets.

use super::error::{SuiteError, SuiteProblem};
use super::rows::Placed;
use super::run_metrics::{self, RUN_METRICS};
use super::scorer::{Label, ScorerKind, ScorerSpec};
use super::yaml::Document;
use super::{Answer, Bound, Case, Suite};
use crate::error::Place;
use crate::sampling::Sampling;
use std::collections::{BTreeSet, HashMap};

/// The names in a suite's file, which may be more than could be read.
pub(super) struct Written {
    /// Every variant.
    pub variants: Vec<String>,
    /// Whether those are all.
    pub variants_known: bool,
    /// Whether every scorer could be read, and so every metric is known.
    pub metrics_known: bool,
}

/// Ids are unique.
pub(super) fn cases(what: &'static str, cases: &[Placed], problems: &mut Vec<SuiteError>) {
    let mut first: HashMap<&str, &Place> = HashMap::new();
    for (case, place) in cases {
        if let Some(earlier) = first.insert(&case.id, place) {
            let problem = SuiteProblem::Duplicate { what, name: case.id.clone(), first: earlier.line.to_string() };
            problems.push(SuiteError::new(place.clone(), problem));
        }
    }
}

/// The problem of an expression that does not compile, or that lacks the group asked for.
pub(super) fn expression(answer: &Answer) -> Option<SuiteProblem> {
    let Answer::Pattern { regex, group, .. } = answer else { return None };
    match regex::Regex::new(regex) {
        Err(error) => Some(SuiteProblem::Regex { regex: regex.clone(), reason: regex_reason(&error) }),
        Ok(compiled) => match group {
            Some(group) if *group >= compiled.captures_len() => Some(SuiteProblem::Contradiction {
                what: format!("`{regex}` has {} groups, and `group` is {group}", compiled.captures_len() - 1),
                help: "group 0 is the whole match; each (…) is one more".into(),
            }),
            _ => None,
        },
    }
}

/// The last line of the regex crate's drawing says what is wrong.
fn regex_reason(error: &regex::Error) -> String {
    error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// All that needs the whole suite.
pub(super) fn suite(
    suite: &Suite,
    document: &Document,
    written: &Written,
    strict: bool,
    problems: &mut Vec<SuiteError>,
) {
    let mut check = Check { suite, document, problems };
    check.names();
    check.numbers();
    check.scorers(written.metrics_known);
    check.rules(written);
    check.targets(strict);
    check.examples();
    check.repeats();
}

struct Check<'a> {
    suite: &'a Suite,
    document: &'a Document,
    problems: &'a mut Vec<SuiteError>,
}

impl Check<'_> {
    fn fail(&mut self, place: &Place, problem: SuiteProblem) {
        self.problems.push(SuiteError::new(place.clone(), problem));
    }

    fn refuse(&mut self, path: &str, what: String, help: &str) {
        let place = self.document.place(path);
        self.fail(&place, SuiteProblem::Contradiction { what, help: help.to_owned() });
    }

    fn names(&mut self) {
        let name = &self.suite.name;
        let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || !name.chars().all(plain) || name.starts_with('.') {
            let what = format!("`{name}` cannot name a suite: its runs are folders of that name");
            self.refuse("suite", what, "use letters, digits, `-`, `_` and `.`");
        }
        let suite = self.suite;
        self.unique("variant", suite.variants.iter().map(|v| (v.name.as_str(), &v.place)));
        self.unique("scorer", suite.scorers.iter().map(|s| (s.name.as_str(), &s.place)));
        for variant in &suite.variants {
            if variant.name.is_empty() || variant.name.contains(':') {
                let what = format!("`{}` cannot name a variant", variant.name);
                self.fail(&variant.place, SuiteProblem::Contradiction { what, help: "use a name without `:`".into() });
            }
        }
    }

    fn unique<'b>(&mut self, what: &'static str, names: impl Iterator<Item = (&'b str, &'b Place)>) {
        let mut first: HashMap<&str, &Place> = HashMap::new();
        for (name, place) in names {
            if let Some(earlier) = first.insert(name, place) {
                let problem = SuiteProblem::Duplicate { what, name: name.to_owned(), first: earlier.line.to_string() };
                self.fail(place, problem);
            }
        }
    }

    fn numbers(&mut self) {
        if let Some(share) = self.suite.max_unscored
            && !(0.0..=1.0).contains(&share)
        {
            self.refuse("max_unscored", format!("`max_unscored` is {share}"), "it is a share from 0 to 1");
        }
        if let Some(date) = &self.suite.date
            && !is_date(date)
        {
            self.refuse("date", format!("`date` is `{date}`"), "write it as YYYY-MM-DD, for example 2026-01-31");
        }
    }

    fn scorers(&mut self, metrics_known: bool) {
        if self.suite.scorers.is_empty() && metrics_known {
            let help = "write at least one: `- exact`".into();
            let place = self.document.place("scorers");
            self.fail(&place, SuiteProblem::Empty { what: "`scorers`".into(), help });
        }
        self.problems.extend(run_metrics::taken(self.suite));
        for scorer in &self.suite.scorers {
            self.reads_what_there_is(scorer);
            if !(scorer.weight.is_finite() && scorer.weight > 0.0) {
                let what = format!("`weight` is {}", scorer.weight);
                self.fail(&scorer.place, SuiteProblem::Contradiction { what, help: "it is a number above 0".into() });
            }
            if (scorer.weight - 1.0).abs() > f64::EPSILON && scorer.group.is_none() {
                let what = format!("scorer `{}` has a `weight` and no `group`", scorer.name);
                let help = "a weight counts within a group: add `group: NAME` to each scorer of it".into();
                self.fail(&scorer.place, SuiteProblem::Contradiction { what, help });
            }
            if let Some(group) = scorer.group.as_ref().filter(|g| self.suite.scorers.iter().any(|s| s.name == **g)) {
                let what = format!("`{group}` names a group and a scorer");
                let help = "each gives a metric of its name: choose another".into();
                self.fail(&scorer.place, SuiteProblem::Contradiction { what, help });
            }
        }
    }

    /// Nobody answers a long text: only its perplexity can be judged.
    fn reads_what_there_is(&mut self, scorer: &ScorerSpec) {
        let kind = scorer.kind.name();
        if self.suite.text.is_some() && kind != "perplexity" {
            let what = format!("scorer `{kind}` judges answers, and the cases are texts");
            let help = "texts take the scorer `perplexity` only".into();
            self.fail(&scorer.place, SuiteProblem::Contradiction { what, help });
        }
    }

    fn rules(&mut self, written: &Written) {
        let own = self.suite.metric_names();
        let metrics: Vec<String> = own.into_iter().chain(RUN_METRICS.map(|metric| metric.name.to_owned())).collect();
        for rule in &self.suite.gate {
            let unknown = |what, name: &String, known: &[String]| {
                (!known.contains(name)).then(|| SuiteProblem::Unknown {
                    what,
                    name: name.clone(),
                    known: known.to_vec(),
                })
            };
            // A variant or scorer that could not be read has its own error.
            let variant = unknown("variant", &rule.variant, &written.variants).filter(|_| written.variants_known);
            if let Some(problem) = variant {
                self.fail(&rule.place, problem);
            }
            if let Some(problem) = unknown("metric", &rule.metric, &metrics).filter(|_| written.metrics_known) {
                self.fail(&rule.place, problem);
            }
            let (name, value) = match rule.bound {
                Bound::NoWorseBy(value) => ("no_worse_by", value),
                Bound::AtLeast(value) => ("at_least", value),
                Bound::AtMost(value) => ("at_most", value),
            };
            if !value.is_finite() || (name == "no_worse_by" && value < 0.0) {
                let help = "it is a number; a margin is 0 or more".into();
                self.fail(&rule.place, SuiteProblem::Contradiction { what: format!("`{name}` is {value}"), help });
            }
            if let Some(problem) = run_metrics::fault(rule) {
                self.fail(&rule.place, problem);
            }
            if !(0.5..1.0).contains(&rule.confidence) {
                let what = format!("`confidence` is {}", rule.confidence);
                self.fail(
                    &rule.place,
                    SuiteProblem::Contradiction { what, help: "it lies from 0.5 to below 1".into() },
                );
            }
        }
    }

    fn targets(&mut self, strict: bool) {
        let suite = self.suite;
        // Of texts, such a scorer is the mistake, and not the target that is missing.
        let asked = suite.text.is_none();
        let Some(scorer) = suite.scorers.iter().find(|s| asked && s.kind.needs_target()) else { return };
        let missing: Vec<&Case> = suite.cases.iter().filter(|case| case.target.is_none()).collect();
        if missing.is_empty() {
            return;
        }
        let name = scorer.name.clone();
        let problem = if missing.len() == suite.cases.len() {
            SuiteProblem::NoTargets { scorer: name }
        } else {
            let cases = missing.iter().take(5).map(|case| case.id.clone()).collect();
            SuiteProblem::MissingTargets { scorer: name, count: missing.len(), cases, strict }
        };
        let place = self.document.place("cases");
        self.fail(&place, problem);
    }

    /// Greedy repeats of a case are one answer, said several times.
    fn repeats(&mut self) {
        for variant in self.suite.variants.iter().filter(|variant| variant.repeats > 1) {
            let then = variant.then.as_ref().map(|stage| &stage.sampling);
            if [Some(&variant.sampling), then].into_iter().flatten().all(Sampling::is_greedy) {
                let problem = SuiteProblem::SameRepeats { variant: variant.name.clone(), repeats: variant.repeats };
                self.problems.push(SuiteError::new(variant.place.clone(), problem));
            }
        }
    }

    fn examples(&mut self) {
        let pool = &self.suite.examples;
        for variant in &self.suite.variants {
            let Some(choice) = variant.examples.as_ref().filter(|_| !pool.is_empty()) else { continue };
            let own = |case: &&Case| pool.iter().filter(|e| e.vars == case.vars).count();
            let most = if choice.count >= pool.len() { self.suite.cases.iter().map(|c| own(&c)).max() } else { None };
            let dropped = most.unwrap_or(0);
            let available = pool.len() - dropped;
            if available < choice.count {
                let cases =
                    if pool.len() < choice.count { 0 } else { self.suite.cases.iter().filter(|c| own(c) > 0).count() };
                let count = choice.count;
                let problem = SuiteProblem::FewExamples { variant: variant.name.clone(), count, available, cases };
                self.problems.push(SuiteError::new(variant.place.clone(), problem));
            }
        }
    }
}

/// `YYYY-MM-DD` with a month and a day that exist somewhere.
fn is_date(text: &str) -> bool {
    let parts: Vec<Option<u32>> = text.split('-').map(|p| p.parse().ok()).collect();
    text.len() == 10 && matches!(parts[..], [Some(_), Some(1..=12), Some(1..=31)])
}

impl Suite {
    /// Every metric that its scorers give (contract.md, section 3), for rules and their errors.
    #[must_use]
    pub fn metric_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.scorers.iter().flat_map(|scorer| metric_names(scorer, self)).collect();
        let groups: BTreeSet<&String> = self.scorers.iter().filter_map(|s| s.group.as_ref()).collect();
        names.extend(groups.into_iter().cloned());
        names
    }
}

fn metric_names(scorer: &ScorerSpec, suite: &Suite) -> Vec<String> {
    let name = &scorer.name;
    let parts = |parts: &[&str]| parts.iter().map(|part| format!("{name}.{part}")).collect::<Vec<_>>();
    match &scorer.kind {
        ScorerKind::Label(label) => label_metric_names(name, label, suite),
        ScorerKind::Choice(_) => parts(&["acc", "acc_norm", "acc_bytes", "acc_mi", "brier", "ece", "confidence"]),
        ScorerKind::Perplexity(_) => vec![name.clone(), format!("{name}.bits_per_byte")],
        ScorerKind::JudgeModel(judge) if judge.against_target => vec![name.clone(), format!("{name}.position_bias")],
        _ => vec![name.clone()],
    }
}

fn label_metric_names(name: &str, label: &Label, suite: &Suite) -> Vec<String> {
    let labels = if label.labels.is_empty() { suite.targets() } else { label.labels.clone() };
    let whole =
        ["accuracy", "precision_macro", "recall_macro", "f1_macro", "precision_micro", "recall_micro", "f1_micro"];
    let each = ["precision", "recall", "f1"];
    let calibration = if label.has_probabilities() { ["brier", "ece", "confidence"].as_slice() } else { &[] };
    whole
        .iter()
        .map(|part| format!("{name}.{part}"))
        .chain(labels.iter().flat_map(|l| each.map(|part| format!("{name}.{part}.{l}"))))
        .chain(calibration.iter().map(|part| format!("{name}.{part}")))
        .collect()
}
