//! Seeded simulations of the gate's own functions: how often they raise false alarms, catch a planted drop, and cover the
//! truth. Each has a control that does it wrong on purpose and fails the same check.
//!
//! What they find is printed: `cargo test --release --lib simulation -- --nocapture`.

use super::{Decision, Standing, no_worse_by, standing};
use crate::seed;
use crate::stats::{Difference, Direction, holm, mcnemar_power, minimum_detectable, minimum_detectable_mean};
use crate::stats::{tested_counts, tested_numbers};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;
use statrs::distribution::{ContinuousCDF, Normal};
use std::collections::HashMap;

const LEVEL: f64 = 0.95;
const DRAWS: usize = 10_000;
/// Four standard errors of a share of 5 % among 10,000.
const NOISE: f64 = 0.009;
const SIZES: [usize; 3] = [20, 100, 500];
const DISCORDANCE: [f64; 5] = [0.02, 0.05, 0.1, 0.2, 0.5];

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0
}

/// How often each pair of discordant counts came up: only the baseline passes `(psi − delta)/2`, only the candidate
/// `(psi + delta)/2`.
fn tables(n: usize, psi: f64, delta: f64) -> HashMap<[usize; 2], usize> {
    let key = seed::key(1, &["simulation", &n.to_string(), &psi.to_string(), &delta.to_string()]);
    let mut rng = seed::rng(key);
    // 32 bits are enough for shares like these.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2³²")]
    let below = |share: f64| (share * 4_294_967_296.0) as u64;
    let (lost, discordant) = (below(f64::midpoint(psi, -delta)), below(psi));
    let mut counts = HashMap::new();
    for _ in 0..DRAWS {
        let mut table = [0, 0];
        for _ in 0..n {
            let drawn = u64::from(rng.next_u32());
            table[0] += usize::from(drawn < lost);
            table[1] += usize::from(drawn >= lost && drawn < discordant);
        }
        *counts.entry(table).or_insert(0) += 1;
    }
    counts
}

/// The share of draws whose difference has a property.
fn share(tables: &HashMap<[usize; 2], usize>, n: usize, holds: impl Fn(&Difference) -> bool) -> f64 {
    let count = |(table, count): (&[usize; 2], &usize)| {
        let both = n - table[0] - table[1];
        if holds(&tested_counts(both, *table, n, LEVEL)) { *count } else { 0 }
    };
    tables.iter().map(count).sum::<usize>() as f64 / DRAWS as f64
}

fn alarm(difference: &Difference, p_value: Option<f64>) -> bool {
    matches!(standing(difference, Direction::Higher, p_value, 0.02), Standing::Better | Standing::Worse)
}

/// For each n and discordance without a true difference: alarms of the comparison, and failures of `no_worse_by 0`.
fn false_alarms(p_value: impl Fn(&Difference) -> Option<f64> + Sync) -> Vec<[f64; 2]> {
    let grid: Vec<(usize, f64)> = SIZES.iter().flat_map(|n| DISCORDANCE.map(|psi| (*n, psi))).collect();
    let rates = |(n, psi): &(usize, f64)| {
        let tables = tables(*n, *psi, 0.0);
        let fails = |d: &Difference| no_worse_by(0.0, d, Direction::Higher, p_value(d)) == Decision::Fail;
        [share(&tables, *n, |d| alarm(d, p_value(d))), share(&tables, *n, fails)]
    };
    grid.par_iter().map(rates).collect()
}

fn worst(rates: &[[f64; 2]], column: usize) -> f64 {
    rates.iter().map(|rate| rate[column]).fold(0.0, f64::max)
}

#[test]
fn passes_without_a_true_difference_raise_no_more_alarms_than_the_level_says() {
    let rates = false_alarms(|d| d.p_value);
    let (alarms, fails) = (worst(&rates, 0), worst(&rates, 1));
    eprintln!("false alarms of passes: at most {alarms:.4} (better or worse), {fails:.4} (no_worse_by 0)");
    assert!(alarms <= 1.0 - LEVEL && fails <= (1.0 - LEVEL) / 2.0, "{alarms} {fails}");
    let one_sided = false_alarms(|d| d.p_value.map(|p| p / 2.0));
    assert!(worst(&one_sided, 0) > 1.0 - LEVEL, "the control, at twice the level: {}", worst(&one_sided, 0));
}

#[test]
fn a_drop_of_the_margin_passes_no_more_often_than_the_level_says() {
    let grid: Vec<(usize, f64)> = SIZES.iter().flat_map(|n| DISCORDANCE.map(|psi| (*n, psi))).collect();
    let rates = |(n, psi): &(usize, f64)| {
        let margin = psi / 2.0;
        let tables = tables(*n, *psi, -margin);
        let decided = |wanted| share(&tables, *n, |d| no_worse_by(margin, d, Direction::Higher, d.p_value) == wanted);
        // The tables with no discordant case pass, since nothing is worse.
        let identical = share(&tables, *n, |d| d.identical);
        [decided(Decision::Pass) - identical, decided(Decision::Fail)]
    };
    let rates: Vec<[f64; 2]> = grid.par_iter().map(rates).collect();
    let (passes, fails) = (worst(&rates, 0), worst(&rates, 1));
    eprintln!("a drop of exactly the margin: passed by at most {passes:.4}, failed by at most {fails:.4}");
    assert!(passes <= 1.0 - LEVEL && fails <= 1.0 - LEVEL, "{passes} {fails}");
}

#[test]
fn a_planted_drop_of_the_least_detectable_size_is_caught_as_often_as_promised() {
    let (mut compared, mut apart) = (0, 0.0_f64);
    for n in SIZES {
        for psi in DISCORDANCE {
            let Some(least) = minimum_detectable(n, psi, LEVEL) else {
                // None at this n: not even if all discordant cases were lost.
                let tables = tables(n, psi, -psi);
                let caught = share(&tables, n, |d| standing(d, Direction::Higher, d.p_value, 0.0) == Standing::Worse);
                assert!(caught < 0.8 + 0.02, "{n} {psi}: {caught}");
                continue;
            };
            let tables = tables(n, psi, -least);
            let caught = share(&tables, n, |d| standing(d, Direction::Higher, d.p_value, 0.0) == Standing::Worse);
            let failed = share(&tables, n, |d| no_worse_by(0.0, d, Direction::Higher, d.p_value) == Decision::Fail);
            let promised = mcnemar_power(n, psi, least, LEVEL);
            apart = apart.max((caught - promised).abs());
            assert!(
                (caught - promised).abs() < 0.03 && (failed - caught).abs() < 1e-12,
                "{n} {psi}: {caught} for {promised}"
            );
            compared += 1;
        }
    }
    eprintln!(
        "power of passes: {compared} of 15 settings detect something; simulated and exact at most {apart:.4} apart"
    );
    assert!(compared >= 7);
    // The control: the usual approximation promises what the exact test does not hold.
    let usual = 2.80 * (0.2_f64 / 20.0).sqrt();
    let tables = tables(20, 0.3, -usual);
    let caught = share(&tables, 20, |d| standing(d, Direction::Higher, d.p_value, 0.0) == Standing::Worse);
    assert!((caught - 0.8).abs() > 0.03, "{caught}");
}

/// Mean and least coverage of an interval of passes over n, discordance and drops of 0 to 90 % of it.
fn coverage(interval: impl Fn(&Difference) -> Option<[f64; 2]> + Sync) -> [f64; 2] {
    let settings = [20, 50, 100, 500].into_iter().flat_map(|n| DISCORDANCE.map(|psi| (n, psi)));
    let grid: Vec<(usize, f64, f64)> =
        settings.flat_map(|(n, psi)| [0.0, 0.5, 0.9].map(|part| (n, psi, -psi * part))).collect();
    let covered = |(n, psi, delta): &(usize, f64, f64)| {
        let holds = |d: &Difference| interval(d).is_some_and(|[low, high]| low <= *delta && *delta <= high);
        share(&tables(*n, *psi, *delta), *n, holds)
    };
    summed(&grid.par_iter().map(covered).collect::<Vec<f64>>())
}

fn summed(shares: &[f64]) -> [f64; 2] {
    [shares.iter().sum::<f64>() / shares.len() as f64, shares.iter().copied().fold(1.0, f64::min)]
}

fn well_covered([mean, least]: [f64; 2]) -> bool {
    (0.94..=0.97).contains(&mean) && least >= 0.9
}

#[test]
fn the_interval_of_passes_covers_the_truth_as_often_as_it_says() {
    let score = coverage(|d| d.ci);
    eprintln!("coverage of Tango's interval: mean {:.4}, least {:.4}", score[0], score[1]);
    assert!(well_covered(score), "{score:?}");
    let wald = coverage(|d| {
        let ([b, c], n) = (d.discordant?.map(|count| count as f64), d.n as f64);
        let half = 1.96 * (b + c - (c - b).powi(2) / n).sqrt() / n;
        Some([d.difference? - half, d.difference? + half])
    });
    assert!(!well_covered(wald), "the control collapses without discordant cases: {wald:?}");
}

/// Pairs of numbers, by name; the true difference is beside them. Those without one have sides that could be swapped.
type Shape = (&'static str, f64, fn(&mut ChaCha8Rng) -> (f64, f64));

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    Normal::standard().inverse_cdf(uniform(rng).max(1e-16))
}

/// The mean of three passes.
fn repeats(rng: &mut ChaCha8Rng, p: f64) -> f64 {
    (0..3).map(|_| f64::from(u8::from(uniform(rng) < p))).sum::<f64>() / 3.0
}

/// The same on both sides but for a share of cases.
fn sparse(rng: &mut ChaCha8Rng, differ: f64, gains: f64) -> (f64, f64) {
    let (changed, gain) = (uniform(rng) < differ, uniform(rng) < gains);
    let size = (1.0 + (3.0 * uniform(rng)).floor()) / 3.0;
    if changed && gain {
        (0.0, size)
    } else if changed {
        (size, 0.0)
    } else {
        (0.5, 0.5)
    }
}

const SHAPES: [Shape; 9] = [
    ("normal", 0.0, |rng| (normal(rng), normal(rng))),
    ("three repeats", 0.0, |rng| {
        let p = uniform(rng);
        (repeats(rng, p), repeats(rng, p))
    }),
    ("one in twenty differs", 0.0, |rng| sparse(rng, 0.05, 0.5)),
    ("one in five differs", 0.0, |rng| sparse(rng, 0.2, 0.5)),
    ("a drop, skewed", -1.0, |rng| (-uniform(rng).max(1e-16).ln(), 0.0)),
    ("a drop of repeats", -0.1, |rng| {
        let p = 0.1 + 0.9 * uniform(rng);
        (repeats(rng, p), repeats(rng, p - 0.1))
    }),
    ("one in twenty is mostly lost", -0.05 * 0.5 * 2.0 / 3.0, |rng| sparse(rng, 0.05, 0.25)),
    ("one in fifty is mostly lost", -0.02 * 0.8 * 2.0 / 3.0, |rng| sparse(rng, 0.02, 0.1)),
    ("one in five is lost", -0.2 * 2.0 / 3.0, |rng| sparse(rng, 0.2, 0.0)),
];

/// Differences of so many runs of a shape.
fn numbers(shape: &Shape, n: usize, runs: usize) -> Vec<Difference> {
    let root = seed::rng(seed::key(1, &["simulation", shape.0, &n.to_string()]));
    let one = |run: usize| {
        let mut rng = root.clone();
        rng.set_stream(run as u64);
        let pairs: Vec<(f64, f64)> = (0..n).map(|_| (shape.2)(&mut rng)).collect();
        tested_numbers(&run.to_string(), &pairs, 1_000, LEVEL)
    };
    (0..runs).into_par_iter().map(one).collect()
}

fn rate(all: &[Difference], holds: impl Fn(&Difference) -> bool) -> f64 {
    all.iter().filter(|one| holds(one)).count() as f64 / all.len() as f64
}

#[test]
fn numbers_keep_their_level_and_cover_the_truth() {
    let (mut alarms, mut covered, mut naive) = (0.0_f64, Vec::new(), Vec::new());
    for (n, runs) in [(20, 1_500), (100, 800), (500, 400)] {
        for shape in &SHAPES {
            let all = numbers(shape, n, runs);
            let inside = |[low, high]: [f64; 2]| low - 1e-12 <= shape.1 && shape.1 <= high + 1e-12;
            covered.push(rate(&all, |d| d.ci.is_some_and(inside)));
            // The control: half of the interval that it is.
            naive.push(rate(&all, |d| {
                let middle = d.difference.unwrap_or_default();
                d.ci.is_some_and(|ci| inside(ci.map(|bound| f64::midpoint(bound, middle))))
            }));
            if shape.1 == 0.0 {
                let raised = rate(&all, |d| alarm(d, d.p_value));
                let noise = 3.0 * (0.05 * 0.95 / runs as f64).sqrt();
                assert!(raised <= 1.0 - LEVEL + noise, "{} {n}: {raised}", shape.0);
                alarms = alarms.max(raised);
            }
            eprintln!("numbers, {}, n {n}: covered {:.4}", shape.0, covered[covered.len() - 1]);
        }
    }
    let of = summed(&covered);
    eprintln!("coverage of numbers: mean {:.4}, least {:.4}; false alarms at most {alarms:.4}", of[0], of[1]);
    assert!(well_covered(of), "{of:?}");
    assert!(!well_covered(summed(&naive)), "the control");
}

#[test]
fn a_planted_drop_of_numbers_is_caught_as_often_as_promised() {
    for (n, runs) in [(20, 3_000), (100, 2_000)] {
        let least = minimum_detectable_mean(n, 1.0, LEVEL).unwrap();
        let root = seed::rng(seed::key(1, &["simulation", "drop", &n.to_string()]));
        let one = |run: usize| {
            let mut rng = root.clone();
            rng.set_stream(run as u64);
            let pairs: Vec<(f64, f64)> = (0..n).map(|_| (0.0, normal(&mut rng) - least)).collect();
            tested_numbers(&run.to_string(), &pairs, 1_000, LEVEL)
        };
        let all: Vec<Difference> = (0..runs).into_par_iter().map(one).collect();
        let caught = rate(&all, |d| standing(d, Direction::Higher, d.p_value, 0.0) == Standing::Worse);
        eprintln!("power of numbers, n {n}: {caught:.4} for 0.8");
        assert!((caught - 0.8).abs() < 0.03, "{n}: {caught}");
    }
}

#[test]
fn six_metrics_together_raise_no_more_alarms_than_one_may_once_adjusted() {
    let mut rng = seed::rng(seed::key(1, &["simulation", "family"]));
    let (mut adjusted, mut raw) = (0, 0);
    let runs = 4_000;
    for _ in 0..runs {
        let family: Vec<Difference> = (0..6)
            .map(|_| {
                let lost = (0..60).filter(|_| uniform(&mut rng) < 0.5).count();
                tested_counts(100, [lost, 60 - lost], 300, LEVEL)
            })
            .collect();
        let p_values: Vec<Option<f64>> = family.iter().map(|d| d.p_value).collect();
        let any = |p_values: &[Option<f64>]| family.iter().zip(p_values).any(|(d, p)| alarm(d, *p));
        adjusted += usize::from(any(&holm(&p_values)));
        raw += usize::from(any(&p_values));
    }
    let [adjusted, raw] = [adjusted, raw].map(|count| count as f64 / f64::from(runs));
    eprintln!("six metrics without a difference: alarms {adjusted:.4} after Holm, {raw:.4} without");
    assert!(adjusted <= 1.0 - LEVEL + NOISE && raw > 0.1, "{adjusted} {raw}");
}
