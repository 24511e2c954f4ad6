//! How often the intervals of differences of aggregates cover the truth, and how often their test raises a false alarm:
//! simulated, since no formula says.

use super::aggregate::{Aggregate, CasePair};
use super::calibration::Forecast;
use super::compare::{OfForecasts, OfLabels, OfTexts};
use super::labels::Judged;
use super::paired::{Difference, tested_aggregates};
use super::perplexity::Surprise;
use crate::seed;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;
use statrs::distribution::{ContinuousCDF, Normal};

const LEVEL: f64 = 0.95;
const RUNS: usize = 200;

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0
}

/// The differences of one metric in each of the runs.
fn simulate<A: Aggregate<Item: Send + Clone>>(
    aggregate: &A,
    n: usize,
    column: usize,
    draw: impl Fn(usize, &mut ChaCha8Rng) -> [A::Item; 2] + Sync,
) -> Vec<Difference> {
    let root = seed::rng(seed::key(1, &["coverage", &n.to_string()]));
    let one = |run: usize| {
        let mut rng = root.clone();
        rng.set_stream(run as u64);
        let pairs: Vec<[A::Item; 2]> = (0..n).map(|case| draw(case, &mut rng)).collect();
        let cases: Vec<CasePair<'_, A::Item>> =
            pairs.iter().map(|[one, other]| [std::slice::from_ref(one), std::slice::from_ref(other)]).collect();
        tested_aggregates(&run.to_string(), aggregate, &cases, 1_000, LEVEL).swap_remove(column).0
    };
    (0..RUNS).into_par_iter().map(one).collect()
}

/// The difference over so many cases that it is the truth.
fn truth<A: Aggregate>(aggregate: &A, column: usize, draw: impl Fn(usize, &mut ChaCha8Rng) -> [A::Item; 2]) -> f64 {
    let mut rng = seed::rng(seed::key(1, &["truth"]));
    let (baseline, candidate): (Vec<_>, Vec<_>) = (0..200_000).map(|case| draw(case, &mut rng).into()).unzip();
    aggregate.values(candidate.iter())[column] - aggregate.values(baseline.iter())[column]
}

/// One case of three labels, the last of them rare; each side is right with its own share, and both share a mood.
fn labelled(right: [f64; 2]) -> impl Fn(usize, &mut ChaCha8Rng) -> [Judged; 2] {
    move |case, rng| {
        let truth = [0, 0, 0, 1, 1, 1, 1, 0, 2, 2][case % 10];
        let mood = uniform(rng);
        right.map(|right| {
            let luck = if uniform(rng) < 0.5 { mood } else { uniform(rng) };
            let wrong = (truth + 1 + usize::from(uniform(rng) < 0.5)) % 3;
            Judged {
                case,
                truth,
                predicted: if luck < right { Some(truth) } else { Some(wrong).filter(|_| luck < 0.95) },
            }
        })
    }
}

/// One text of 20 to 60 tokens, harder or easier on both sides.
fn text(shift: f64) -> impl Fn(usize, &mut ChaCha8Rng) -> [Surprise; 2] {
    move |_, rng| {
        let tokens = 20.0 + (40.0 * uniform(rng)).floor();
        let normal = |rng: &mut ChaCha8Rng| Normal::standard().inverse_cdf(uniform(rng).max(1e-16));
        let hard = 2.0 + 0.5 * normal(rng);
        [0.0, shift].map(|shift| {
            let each = hard + shift + 0.1 * normal(rng);
            Surprise { logprob: -each * tokens, tokens, bytes: 4.0 * tokens }
        })
    }
}

/// One answer, right as often as its confidence says, or less often by `too_sure`.
fn forecast(too_sure: [f64; 2]) -> impl Fn(usize, &mut ChaCha8Rng) -> [Forecast; 2] {
    move |case, rng| {
        too_sure.map(|too_sure| {
            let confidence = 0.3 + 0.7 * uniform(rng);
            Forecast { case, confidence, right: uniform(rng) < confidence - too_sure }
        })
    }
}

/// Of the intervals that there are, the share that holds the truth; and the share of runs whose test rejects. Where no draw
/// changes the metric there is no interval, and nothing is claimed.
fn shares(all: &[Difference], truth: f64) -> [f64; 2] {
    let bounds: Vec<[f64; 2]> = all.iter().filter_map(|d| d.ci).collect();
    let covers = bounds.iter().filter(|[low, high]| *low <= truth && truth <= *high).count();
    let rejects = all.iter().filter(|d| d.p_value.is_some_and(|p| d.rejects(p))).count();
    [covers as f64 / bounds.len() as f64, rejects as f64 / RUNS as f64]
}

#[test]
fn aggregates_cover_the_truth_and_keep_their_level() {
    let mut covered = Vec::new();
    for n in [20, 60] {
        let mut check = |what: &str, [cover, reject]: [f64; 2], null: bool| {
            eprintln!("aggregates, {what}, n {n}: covered {cover:.3}, rejected {reject:.3}");
            covered.push(cover);
            // Three standard errors of a share among 200.
            assert!(!null || reject <= 0.05 + 0.046, "{what} {n}: {reject}");
        };
        for (column, name) in [(3, "f1_macro"), (9, "f1 of a label"), (7, "precision of a label")] {
            for right in [[0.8, 0.8], [0.8, 0.65]] {
                let of = OfLabels(3);
                let all = simulate(&of, n, column, labelled(right));
                check(name, shares(&all, truth(&of, column, labelled(right))), right[0] <= right[1]);
            }
        }
        for shift in [0.0, 0.05] {
            let all = simulate(&OfTexts, n, 0, text(shift));
            check("perplexity", shares(&all, truth(&OfTexts, 0, text(shift))), shift <= 0.0);
        }
        let all = simulate(&OfForecasts, n, 0, forecast([0.1, 0.1]));
        check("ece", shares(&all, 0.0), true);
    }
    let (mean, least) =
        (covered.iter().sum::<f64>() / covered.len() as f64, covered.iter().copied().fold(1.0, f64::min));
    eprintln!("coverage of aggregates: mean {mean:.4}, least {least:.4}");
    // The calibration error is biased upwards on both sides, which makes its interval wide: conservative is allowed.
    assert!(mean >= 0.94 && least >= 0.9, "{mean} {least}");
}
