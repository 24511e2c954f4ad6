//! Room 5: scores become [`Metric`]s, each with its standard error and an interval that says how far to trust it.
//!
//! One estimator a file, its source cited: [`wilson`] for proportions, [`mean()`] for numbers, [`clustered`] where a case
//! was tried several times, [`bootstrap()`] for everything that has no formula, [`Confusion`] for labels, [`reliability`]
//! for probabilities, [`perplexity()`] for corpora.
//! One quantity has one interval, whatever its name: what is a share of cases is treated as one among the labels, too.
//! [`metrics_of`] picks among them.
//! Two sides are compared case by case: [`mcnemar()`] and [`tango()`] for passes, [`sign_flip`] and a bootstrap for numbers, [`swap`]
//! for aggregates, [`holm()`] over several; [`mcnemar_power`] and [`t_power`] say what so many cases could have shown.
//! [`compare()`] picks among those. What people say of answers is read by [`alpha`] (do they agree?) and [`bradley_terry`]
//! (who wins?). [`Wager`] watches a mean while its cases come in. Nothing here is ever NaN: what cannot be computed is `None`, `null` in JSON.

mod aggregate;
mod betting;
mod binomial;
mod bootstrap;
mod bradley_terry;
mod calibration;
mod classification;
mod cluster;
mod compare;
#[cfg(test)]
mod coverage;
mod holm;
mod influence;
mod krippendorff;
mod labels;
mod mcnemar;
mod mean;
mod metric;
mod of_scorer;
mod paired;
mod paired_bootstrap;
mod permutation;
mod perplexity;
mod power;
mod power_mean;
mod summary;
mod tango;
mod wilson;

pub use aggregate::{Aggregate, CasePair};
pub use betting::{Wager, betting_interval};
pub use bootstrap::{bootstrap, bootstrap_each, bootstrap_strata, percentile, percentile_estimate};
pub use bradley_terry::{Bout, bradley_terry, chances, win_rates};
pub use calibration::{Forecast, ReliabilityBin, calibration_error, reliability};
pub use classification::{Averages, Classification, Confusion, LabelScores};
pub use cluster::{clustered, clustered_proportion};
pub use compare::{Compared, compare};
pub use holm::holm;
pub use krippendorff::{Scale, alpha};
pub use mcnemar::mcnemar;
pub use mean::{mean, t_interval};
pub use metric::{Counts, Direction, Estimate, Metric, better, tie};
pub(crate) use paired::tested_counts;
#[cfg(test)]
pub(crate) use paired::tested_numbers;
pub use paired::{Difference, Test, aggregate_differences, number_difference, of_counts, pass_difference};
pub use paired_bootstrap::resampled_means;
pub use permutation::{sign_flip, swap};
pub use perplexity::{Surprise, perplexity};
pub use power::{POWER, cases_needed, mcnemar_power, minimum_detectable};
pub use power_mean::{cases_needed_mean, fewest_signs, minimum_detectable_mean, t_power};
pub use summary::{MetricKind, MetricSpec, Row, Summary, metrics_at, metrics_of};
pub use tango::tango;
pub use wilson::{proportion, wilson, z_of};

/// The confidence level of every interval that a table shows.
pub const LEVEL: f64 = 0.95;

/// How many bootstrap draws stand behind an interval (Efron and Tibshirani 1993, chapter 12: 1,000 or more for percentiles).
pub const DRAWS: usize = 1_000;
