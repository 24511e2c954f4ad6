//! What keeps two runs from being compared, or a rule from being judged.

use crate::error::{Explain, Level, Place, did_you_mean};

/// A problem of a comparison or of a gate.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GateError {
    /// Two runs that have nothing to do with each other.
    #[error("these are runs of different suites: `{baseline}` and `{candidate}`")]
    OtherSuite {
        /// The baseline's suite.
        baseline: String,
        /// The candidate's suite.
        candidate: String,
        /// The candidate.
        place: Place,
    },
    /// Nothing to pair.
    #[error("{what}")]
    NothingInCommon {
        /// What is not shared.
        what: String,
        /// How to mend it.
        help: String,
        /// The candidate.
        place: Place,
    },
    /// A variant that a run or a baseline does not have.
    #[error("{whose} has no variant `{name}`")]
    NoVariant {
        /// The run or file.
        whose: String,
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
        /// Who asked.
        place: Place,
    },
    /// A metric that a variant does not have.
    #[error("{whose} has no metric `{name}`")]
    NoMetric {
        /// The run or file.
        whose: String,
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
        /// Who asked.
        place: Place,
    },
    /// Cases that ask something else under the same id. They are left out.
    #[error("{} asked something else in the baseline: left out of the comparison ({ids})", if *count == 1 { "a case".to_owned() } else { format!("{count} cases") })]
    ChangedCases {
        /// How many.
        count: usize,
        /// The first of them.
        ids: String,
        /// The candidate.
        place: Place,
    },
    /// The two runs were not made alike.
    #[error("{what}")]
    Unlike {
        /// What differs.
        what: String,
        /// What follows from it.
        help: String,
        /// The candidate.
        place: Place,
    },
    /// A baseline file that cannot be used.
    #[error("{what}")]
    Baseline {
        /// What is wrong.
        what: String,
        /// How to mend it.
        help: String,
        /// The file.
        place: Place,
    },
    /// A rule that needs a baseline, and none is given.
    #[error("this rule compares with a baseline, and none is given")]
    NeedsBaseline {
        /// The rule.
        place: Place,
        /// Variant and metric.
        about: String,
    },
    /// Nothing to judge.
    #[error("suite `{suite}` has no rules, and without a baseline there is nothing to judge")]
    NoRules {
        /// The suite.
        suite: String,
        /// Its file.
        place: Place,
    },
    /// A policy that only the reward model judges that it was trained by.
    #[error("`{metric}` alone judges variant `{variant}`, and is the reward model that its model was trained by")]
    OwnJudge {
        /// The variant.
        variant: String,
        /// The reward's metric.
        metric: String,
        /// Its first rule.
        place: Place,
    },
    /// More cases unscored than the suite allows.
    #[error("{unscored} of {cases} cases of variant `{variant}` are unscored: more than `max_unscored: {most}`")]
    TooManyUnscored {
        /// The variant.
        variant: String,
        /// Cases that some scorer could not judge.
        unscored: usize,
        /// All of them.
        cases: usize,
        /// The most that is allowed, a share.
        most: f64,
        /// The suite.
        place: Place,
    },
}

impl Explain for GateError {
    fn level(&self) -> Level {
        match self {
            Self::ChangedCases { .. } | Self::Unlike { .. } => Level::Warning,
            _ => Level::Error,
        }
    }

    fn at(&self) -> Option<&Place> {
        let (Self::OtherSuite { place, .. }
        | Self::NothingInCommon { place, .. }
        | Self::NoVariant { place, .. }
        | Self::NoMetric { place, .. }
        | Self::ChangedCases { place, .. }
        | Self::Unlike { place, .. }
        | Self::Baseline { place, .. }
        | Self::NeedsBaseline { place, .. }
        | Self::NoRules { place, .. }
        | Self::OwnJudge { place, .. }
        | Self::TooManyUnscored { place, .. }) = self;
        Some(place)
    }

    fn about(&self) -> Option<String> {
        match self {
            Self::NeedsBaseline { about, .. } => Some(about.clone()),
            _ => None,
        }
    }

    fn help(&self) -> Option<String> {
        let known =
            |name: &str, known: &[String]| did_you_mean(name, &known.iter().map(String::as_str).collect::<Vec<_>>());
        Some(match self {
            Self::OtherSuite { .. } => {
                "give two runs of one suite; to compare two suites, put both ways of asking into one as variants".into()
            }
            Self::NothingInCommon { help, .. } | Self::Unlike { help, .. } | Self::Baseline { help, .. } => {
                help.clone()
            }
            Self::NoVariant { name, known: all, .. } | Self::NoMetric { name, known: all, .. } => known(name, all),
            Self::ChangedCases { .. } => {
                "give a case a new id when what it asks or its target changes; run the baseline again to compare them"
                    .into()
            }
            Self::NeedsBaseline { .. } => {
                "give --baseline FILE (make one with --update-baseline FILE), --base GIT-REF, or a rule with `at_least`"
                    .into()
            }
            Self::NoRules { .. } => {
                "add `gate: [{variant: …, metric: …, at_least: 0.8}]` to the suite, or give --baseline FILE".into()
            }
            Self::OwnJudge { variant, .. } => {
                format!(
                    "add a rule about a scorer that did not train it: `{{variant: {variant}, metric: exact, no_worse_by: 0}}`"
                )
            }
            Self::TooManyUnscored { .. } => {
                "look at the reasons with `tripos show RUN --case ID`, mend them, or raise `max_unscored`".into()
            }
        })
    }
}
