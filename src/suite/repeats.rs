//! Asking a case several times, and making one score of it.

use super::error::SuiteProblem;
use super::file::{SuiteFile, VariantEntry};
use super::load::Loader;
use super::shape::KindEntry;
use crate::error::did_you_mean;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_untagged::UntaggedEnumVisitor;
use serde_untagged::de::Error;

/// Most repeats of a case.
const MAX_REPEATS: u32 = 10_000;

/// How the scores of a case's repeats become one.
///
/// ```
/// use tripos::suite::Reduce;
/// assert_eq!(serde_json::to_string(&Reduce::Majority)?, r#""majority""#);
/// assert_eq!(serde_json::to_string(&Reduce::PassAt(4))?, r#"{"pass_at":4}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduce {
    /// Their mean.
    #[default]
    Mean,
    /// The score of the answer given most often (Wang et al. 2023).
    Majority,
    /// The best of them.
    Max,
    /// The chance that one of so many repeats passes (Chen et al. 2021).
    PassAt(u32),
    /// The scores of the answer that a reward model, a scorer by its name, finds best.
    BestOf(String),
    /// The score of the answer for which most votes are given, each as heavy as that reward model finds it good.
    Weighted(String),
}

impl Reduce {
    /// Whether it is what a variant has that says nothing.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// As a suite writes it.
    fn name(&self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Majority => "majority",
            Self::Max => "max",
            Self::PassAt(_) => "pass_at",
            Self::BestOf(_) => "best_of",
            Self::Weighted(_) => "weighted",
        }
    }

    /// The reward scorer that decides.
    fn by(&mut self) -> Option<&mut String> {
        match self {
            Self::BestOf(by) | Self::Weighted(by) => Some(by),
            Self::Mean | Self::Majority | Self::Max | Self::PassAt(_) => None,
        }
    }
}

/// What else may be written, for errors.
const WRITTEN: &str = "mean, majority, max, best_of, weighted or {pass_at: k}";

impl<'de> Deserialize<'de> for Reduce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Named {
            PassAt(u32),
            BestOf(String),
            Weighted(String),
        }
        UntaggedEnumVisitor::new()
            .expecting(WRITTEN)
            .string(|word| match word {
                "mean" => Ok(Self::Mean),
                "majority" => Ok(Self::Majority),
                "max" => Ok(Self::Max),
                // The suite's only reward model: `repeats` fills in its name.
                "best_of" => Ok(Self::BestOf(String::new())),
                "weighted" => Ok(Self::Weighted(String::new())),
                other => Err(Error::custom(format!("found the text \"{other}\", expected {WRITTEN}"))),
            })
            .map(|map| {
                Ok(match map.deserialize::<Named>()? {
                    Named::PassAt(k) => Self::PassAt(k),
                    Named::BestOf(by) => Self::BestOf(by),
                    Named::Weighted(by) => Self::Weighted(by),
                })
            })
            .deserialize(deserializer)
    }
}

impl Loader<'_> {
    /// How often a variant asks, and how it reduces; what does not fit together is reported.
    pub(super) fn repeats(&mut self, path: &str, entry: &VariantEntry, file: &SuiteFile) -> (u32, Reduce) {
        let repeats = entry.repeats.unwrap_or(1);
        let mut reduce = entry.reduce.clone().unwrap_or_default();
        if !(1..=MAX_REPEATS).contains(&repeats) {
            let what = format!("`repeats` is {repeats}");
            let help = format!("it is a number from 1 to {MAX_REPEATS}");
            self.fail(&format!("{path}.repeats"), SuiteProblem::Contradiction { what, help });
            return (1, reduce);
        }
        let at = format!("{path}.reduce");
        if entry.reduce.is_some() && repeats == 1 && !self.refused(&format!("{path}.repeats")) {
            let what = "`reduce` makes one score of several, and the variant asks each case once".into();
            let help = "add `repeats: 8`, or leave `reduce` out".into();
            self.fail(&at, SuiteProblem::Contradiction { what, help });
        } else if let Reduce::PassAt(k) = reduce
            && !(1..=repeats).contains(&k)
        {
            let what = format!("`pass_at` is {k}, and `repeats` is {repeats}");
            let help = "`pass_at` is a number from 1 to `repeats`".into();
            self.fail(&at, SuiteProblem::Contradiction { what, help });
        }
        self.decided_by(&at, &mut reduce, file);
        if matches!(reduce, Reduce::Max | Reduce::PassAt(_)) {
            for scorer in file.scorers.iter().filter(|scorer| matches!(scorer.kind, KindEntry::Label(_))) {
                let name = scorer.name.as_deref().unwrap_or(scorer.kind.name());
                let what = format!("`{}` has no meaning for the labels of scorer `{name}`", reduce.name());
                let help = "no label is more than another: use `majority` or `mean`".into();
                self.fail(&at, SuiteProblem::Contradiction { what, help });
            }
        }
        (repeats, reduce)
    }

    /// Fills in the name of the reward scorer that decides, where there is one; what is missing is reported.
    fn decided_by(&mut self, at: &str, reduce: &mut Reduce, file: &SuiteFile) {
        let how = reduce.name();
        let Some(by) = reduce.by() else { return };
        let rewards = file.scorers.iter().filter(|scorer| matches!(scorer.kind, KindEntry::Reward(_)));
        let names: Vec<&str> = rewards.map(|scorer| scorer.name.as_deref().unwrap_or(scorer.kind.name())).collect();
        let (what, help) = match (&names[..], by.as_str()) {
            ([], _) => (
                format!("`{how}` asks which answer a reward model finds best, and the suite has none"),
                "add a scorer: `reward: {model: FILE}`".to_owned(),
            ),
            ([only], "") => return (*only).clone_into(by),
            (_, "") => (
                format!("`{how}` does not say by which of {} reward models", names.len()),
                format!("write `{how}: NAME` with one of {}: `reduce: {{{how}: {}}}`", names.join(", "), names[0]),
            ),
            (_, name) if names.contains(&name) => return,
            (_, name) => (format!("there is no reward scorer `{name}`"), did_you_mean(name, &names)),
        };
        self.fail(at, SuiteProblem::Contradiction { what, help });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduce_is_a_word_or_pass_at() {
        let read = |yaml: &str| serde_yaml::from_str::<Reduce>(yaml).map_err(|e| e.to_string());
        assert_eq!(read("majority").unwrap(), Reduce::Majority);
        assert_eq!(read("{pass_at: 4}").unwrap(), Reduce::PassAt(4));
        assert!(
            read("median").unwrap_err().contains("expected mean, majority, max, best_of, weighted or {pass_at: k}")
        );
        assert_eq!(read("best_of").unwrap(), Reduce::BestOf(String::new()));
        assert_eq!(read("{weighted: kind}").unwrap(), Reduce::Weighted("kind".into()));
        assert!(read("{pass_at: 4, best_of: x}").is_err());
    }
}
