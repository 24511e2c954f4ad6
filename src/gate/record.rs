//! What comparisons and gates say, as plain data: contract.md, section 4.

use super::over_optimised::OverOptimised;
use crate::stats::{Direction, Test};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// The version of these shapes.
pub const SCHEMA: u32 = 1;

/// What a gate says of a rule, or of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The bound holds.
    Pass,
    /// The bound is broken.
    Fail,
    /// The cases cannot tell.
    Undecided,
}

/// What a comparison says of the candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The test says so.
    Better,
    /// The test says so.
    Worse,
    /// Not worse by more than the margin.
    NoWorse,
    /// The cases cannot tell.
    Undecided,
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// The run's id, or the baseline's file.
    pub run: String,
    /// The variant.
    pub variant: String,
    /// The metric over the cases that both sides have scored.
    pub value: Option<f64>,
}

/// A case whose value is another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flip {
    /// The case.
    pub case: String,
    /// The baseline's value: a boolean or a number.
    pub from: Value,
    /// The candidate's.
    pub to: Value,
}

/// One metric of two variants, compared case by case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// `scorer` or `scorer.part`.
    pub metric: String,
    /// Which way is better.
    pub direction: Direction,
    /// What was.
    pub baseline: Side,
    /// What is.
    pub candidate: Side,
    /// Cases that both sides have scored.
    pub n: usize,
    /// Of pass and fail: cases that only the baseline, and only the candidate, passes.
    pub discordant: Option<[usize; 2]>,
    /// Candidate less baseline.
    pub difference: Option<f64>,
    /// Its interval at `level`.
    pub ci: Option<[f64; 2]>,
    /// Confidence of the interval, and 1 less the level of the test.
    pub level: f64,
    /// What gave the p-value.
    pub test: Test,
    /// Two-sided.
    pub p_value: Option<f64>,
    /// After Holm, over the metrics compared together.
    pub p_adjusted: Option<f64>,
    /// The smallest difference that so many cases show in four of five tries; `None` where none is that large.
    pub minimum_detectable: Option<f64>,
    /// Cases that a difference of three points needs.
    pub cases_for_three_points: Option<usize>,
    /// What it comes to.
    pub verdict: Standing,
    /// Cases whose value changed, the worst first.
    pub flipped: Vec<Flip>,
    /// Cases that only the baseline was asked.
    pub only_baseline: Vec<String>,
    /// Cases that only the candidate was asked.
    pub only_candidate: Vec<String>,
    /// Cases that only one of the two sides could score.
    pub unscored: Vec<String>,
    /// Cases that ask something else under the same id, and are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
}

/// One rule, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleRecord {
    /// The variant judged.
    pub variant: String,
    /// The metric judged.
    pub metric: String,
    /// What was demanded: `no_worse_by 0.02`.
    pub rule: String,
    /// What came out.
    pub decision: Decision,
    /// Why, with the figures.
    pub evidence: String,
    /// The suite's file.
    pub file: PathBuf,
    /// Where the rule stands in it; 0 for a rule that nobody wrote.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// What a gate said of a run; kept beside it as `gate.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The run judged.
    pub run: String,
    /// The suite.
    pub suite: String,
    /// What it was compared with: a file, a run, a git ref; `None` where no rule needs one.
    pub baseline: Option<String>,
    /// All rules together.
    pub verdict: Decision,
    /// Each rule.
    pub rules: Vec<RuleRecord>,
    /// What the rules rest on.
    pub comparisons: Vec<Comparison>,
    /// Rewards that rose while something else fell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over_optimised: Vec<OverOptimised>,
}
