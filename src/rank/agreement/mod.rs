//! What rankings come to: how far raters agree with each other and with themselves, whether the place on the screen sways
//! them, how long they take, and which variants win.
//!
//! Agreement is Krippendorff's alpha ([`crate::stats::alpha`], ordinal), whose units are the answers shown: the value of an
//! answer is its place in the ranking (1, 2, …; the mean where answers are level) or, where all of an axis was judged so,
//! its score. Beside it stands what a reward model will see: of the pairs that two raters both put in an order, the share
//! that both put in the same. Cases are resampled whole. Simulated raters have lines of their own and count nowhere else.

mod text;

pub use text::tables;

use super::file::Rankings;
use super::record::{Answer, Judgement, SCHEMA, Verdict};
use crate::seed;
use crate::stats::{
    Bout, DRAWS, Estimate, LEVEL, Scale, alpha, bootstrap_each, clustered_proportion, percentile, percentile_estimate,
    win_rates,
};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that a file of rankings comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankReport {
    /// The version of this shape.
    pub schema: u32,
    /// Judgements that stand.
    pub judgements: usize,
    /// Judgements that were taken back.
    pub withdrawn: usize,
    /// Cases judged.
    pub cases: usize,
    /// People, by name.
    pub raters: Vec<Rater>,
    /// Scorers, by name.
    pub simulated: Vec<Rater>,
    /// Each axis (`null` for overall judgements), by name.
    pub axes: Vec<ByAxis>,
}

/// One rater.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rater {
    /// The name.
    pub name: String,
    /// Judgements that stand.
    pub judgements: usize,
    /// Those that say it cannot be told.
    pub cant_tell: usize,
    /// Median and upper quartile of the seconds a judgement took.
    pub seconds: Option<[f64; 2]>,
    /// How far the rater agrees with himself when the same answers come back.
    pub again: Agreement,
    /// Whether the place on the screen sways him.
    pub leaning: Leaning,
}

/// One axis, people only.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ByAxis {
    /// Its name.
    pub axis: Option<String>,
    /// How far raters agree with each other.
    pub agreement: Agreement,
    /// The variants, the best first.
    pub standings: Vec<Standing>,
    /// The same by simulated raters.
    pub simulated: Vec<Standing>,
}

/// How far judgements of the same answers agree.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Agreement {
    /// Cases that were judged twice or more.
    pub cases: usize,
    /// Krippendorff's alpha.
    pub alpha: Option<f64>,
    /// Its interval.
    pub alpha_ci: Option<[f64; 2]>,
    /// Pairs of answers that two judgements both put in an order.
    pub pairs: usize,
    /// The share that both put in the same.
    pub agreed: Option<f64>,
    /// Its interval.
    pub agreed_ci: Option<[f64; 2]>,
}

/// How often the answer that is shown first of two wins: a half, where the place does not matter.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Leaning {
    /// Pairs in an order.
    pub pairs: usize,
    /// The share won by the one shown first.
    pub first: Option<f64>,
    /// Its interval.
    pub first_ci: Option<[f64; 2]>,
}

/// How a variant stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// The variant.
    pub variant: String,
    /// Comparisons with answers of other variants.
    pub bouts: usize,
    /// The chance to win against one of the others (Bradley-Terry); absent where comparisons do not connect all variants.
    pub wins: Option<f64>,
    /// Its interval.
    pub wins_ci: Option<[f64; 2]>,
}

/// Values of the answers to a case, by each who judged them.
type Judged = Vec<Vec<f64>>;

impl RankReport {
    /// Sums files up.
    #[must_use]
    pub fn of(files: &[Rankings]) -> Self {
        let all = latest(files);
        let (simulated, people): (Vec<&Judgement>, Vec<&Judgement>) = all.iter().partition(|one| one.is_simulated());
        let axes: BTreeSet<&Option<String>> = all.iter().map(|one| &one.axis).collect();
        let cases: BTreeSet<(&str, &str)> = all.iter().map(|one| (one.run.as_str(), one.case.as_str())).collect();
        Self {
            schema: SCHEMA,
            judgements: all.len(),
            withdrawn: files.iter().map(|file| file.withdrawn).sum(),
            cases: cases.len(),
            raters: raters(&people),
            simulated: raters(&simulated),
            axes: axes.into_iter().map(|axis| ByAxis::of(axis.as_deref(), &people, &simulated)).collect(),
        }
    }
}

/// The judgements that stand: of one rater's several on the same showing the last.
fn latest(files: &[Rankings]) -> Vec<&Judgement> {
    let mut found = BTreeMap::new();
    for (_, one) in files.iter().flat_map(|file| &file.judgements) {
        found.insert((&one.run, &one.case, &one.axis, one.again, &one.rater, texts(one)), one);
    }
    found.into_values().collect()
}

/// The answers, whatever their order.
fn texts(one: &Judgement) -> Vec<&str> {
    let mut texts: Vec<&str> = one.answers.iter().map(|answer| answer.text.trim()).collect();
    texts.sort_unstable();
    texts
}

fn raters(all: &[&Judgement]) -> Vec<Rater> {
    let names: BTreeSet<&str> = all.iter().map(|one| one.rater.as_str()).collect();
    let rater = |name: &str| {
        let own: Vec<&Judgement> = all.iter().copied().filter(|one| one.rater == name).collect();
        let mut seconds: Vec<f64> = own.iter().map(|one| one.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        Rater {
            name: name.to_owned(),
            judgements: own.len(),
            cant_tell: own.iter().filter(|one| one.cant_tell).count(),
            seconds: percentile(&seconds, 0.5).zip(percentile(&seconds, 0.75)).map(|(half, most)| [half, most]),
            again: Agreement::of(&by_case(&own, own.iter().all(|one| one.scores.is_some() || one.cant_tell), true)),
            leaning: Leaning::of(&own),
        }
    };
    names.into_iter().map(rater).collect()
}

/// The values of judgements of the same answers, case by case; those of one judge alone are left out. `scores`: values are
/// scores and no places. `again`: second showings count, and axes stay apart.
fn by_case(all: &[&Judgement], scores: bool, again: bool) -> Vec<Judged> {
    let mut found: BTreeMap<_, Judged> = BTreeMap::new();
    for one in all.iter().filter(|one| again || !one.again) {
        let values = match one.verdict() {
            Verdict::Scores(given) if scores => Some(given.iter().map(|score| -f64::from(*score)).collect()),
            _ => one.places(),
        };
        let Some(values) = values else { continue };
        let mut pairs: Vec<(&str, f64)> = one.answers.iter().map(|answer| answer.text.trim()).zip(values).collect();
        pairs.sort_by(|a, b| a.0.cmp(b.0));
        let key = (&one.run, &one.case, &one.axis, texts(one));
        found.entry(key).or_default().push(pairs.into_iter().map(|(_, value)| value).collect());
    }
    found.into_values().filter(|judges| judges.len() > 1).collect()
}

impl Agreement {
    /// Of cases with the values that each judge gave to their answers.
    fn of(cases: &[Judged]) -> Self {
        let units = |case: &Judged| -> Vec<Vec<f64>> {
            let answers = case.first().map_or(0, Vec::len);
            (0..answers).map(|i| case.iter().filter_map(|values| values.get(i).copied()).collect()).collect()
        };
        let units: Vec<Vec<Vec<f64>>> = cases.iter().map(units).collect();
        let found = |picked: &mut dyn Iterator<Item = &Vec<Vec<f64>>>| {
            alpha(&picked.flatten().cloned().collect::<Vec<_>>(), Scale::Ordinal)
        };
        let value = found(&mut units.iter());
        let key = seed::key(0, &["rank", "alpha"]);
        let spread = value.map(|value| {
            let draws = bootstrap_each(units.len(), DRAWS, key, |picked| {
                found(&mut picked.iter().filter_map(|i| units.get(*i))).unwrap_or(f64::NAN)
            });
            percentile_estimate(value, draws, LEVEL)
        });
        let (mut same, mut of_case) = (Vec::new(), Vec::new());
        for (number, case) in cases.iter().enumerate() {
            let agreed = agreed_pairs(case);
            of_case.extend(std::iter::repeat_n(number, agreed.len()));
            same.extend(agreed);
        }
        let share = clustered_proportion(&same, &of_case, LEVEL);
        Self {
            cases: cases.len(),
            alpha: value,
            alpha_ci: spread.and_then(|estimate| estimate.ci),
            pairs: same.len(),
            agreed: share.value,
            agreed_ci: share.ci,
        }
    }
}

/// For each pair of answers and each pair of judges that both put it in an order: whether it is the same (1) or not (0).
fn agreed_pairs(case: &Judged) -> Vec<f64> {
    let mut found = Vec::new();
    for (at, one) in case.iter().enumerate() {
        for other in &case[at + 1..] {
            for i in 0..one.len().min(other.len()) {
                for j in 0..i {
                    let (first, second) = (one[i].total_cmp(&one[j]), other[i].total_cmp(&other[j]));
                    if first != Ordering::Equal && second != Ordering::Equal {
                        found.push(f64::from(u8::from(first == second)));
                    }
                }
            }
        }
    }
    found
}

impl Leaning {
    fn of(all: &[&Judgement]) -> Self {
        let (mut won, mut of_judgement) = (Vec::new(), Vec::new());
        for (number, one) in all.iter().enumerate() {
            let Some(places) = one.places() else { continue };
            for (i, later) in places.iter().enumerate() {
                for earlier in places.iter().take(i).filter(|earlier| earlier.total_cmp(later) != Ordering::Equal) {
                    won.push(f64::from(u8::from(earlier < later)));
                    of_judgement.push(number);
                }
            }
        }
        let share = clustered_proportion(&won, &of_judgement, LEVEL);
        Self { pairs: won.len(), first: share.value, first_ci: share.ci }
    }
}

impl ByAxis {
    fn of(axis: Option<&str>, people: &[&Judgement], simulated: &[&Judgement]) -> Self {
        let [people, simulated] = [people, simulated]
            .map(|all| all.iter().copied().filter(|one| one.axis.as_deref() == axis).collect::<Vec<&Judgement>>());
        let scores = people.iter().all(|one| one.scores.is_some() || one.cant_tell);
        Self {
            axis: axis.map(str::to_owned),
            agreement: Agreement::of(&by_case(&people, scores, false)),
            standings: standings(&people),
            simulated: standings(&simulated),
        }
    }
}

/// How the variants stand: every answer against every other of another variant; an answer that both gave is a tie. Second
/// showings do not count.
fn standings(all: &[&Judgement]) -> Vec<Standing> {
    let first = || all.iter().filter(|one| !one.again && !one.cant_tell);
    let named: BTreeSet<&str> = first().flat_map(|one| one.answers.iter().flat_map(Answer::variants)).collect();
    let names: Vec<&str> = named.into_iter().collect();
    let at = |name: &str| names.binary_search(&name).unwrap_or(0);
    let mut cases: BTreeMap<(&str, &str), Vec<Bout>> = BTreeMap::new();
    for one in first() {
        let Some(places) = one.places() else { continue };
        let given: Vec<(usize, f64)> =
            one.answers.iter().zip(&places).flat_map(|(a, place)| a.variants().map(|v| (at(v), *place))).collect();
        let bouts = cases.entry((&one.run, &one.case)).or_default();
        for (i, (variant, place)) in given.iter().enumerate() {
            for (other, other_place) in given[..i].iter().filter(|(other, _)| other != variant) {
                let share = match place.total_cmp(other_place) {
                    Ordering::Less => 1.0,
                    Ordering::Equal => 0.5,
                    Ordering::Greater => 0.0,
                };
                bouts.push((*variant, *other, share));
            }
        }
    }
    if names.len() < 2 {
        return Vec::new();
    }
    let cases: Vec<Vec<Bout>> = cases.into_values().collect();
    let rates: Vec<Estimate> = win_rates(names.len(), &cases, seed::key(0, &["rank", "wins"]));
    let bouts = |i: usize| cases.iter().flatten().filter(|(one, other, _)| *one == i || *other == i).count();
    let standing = |(i, (name, rate)): (usize, (&&str, Estimate))| Standing {
        variant: (*name).to_owned(),
        bouts: bouts(i),
        wins: rate.value,
        wins_ci: rate.ci,
    };
    let mut standings: Vec<Standing> = names.iter().zip(rates).enumerate().map(standing).collect();
    standings.sort_by(|a, b| b.wins.partial_cmp(&a.wins).unwrap_or(Ordering::Equal));
    standings
}

#[cfg(test)]
mod tests;
