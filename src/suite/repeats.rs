//! Asking a case several times, and making one score of it.

use super::error::SuiteProblem;
use super::file::{SuiteFile, VariantEntry};
use super::load::Loader;
use super::shape::KindEntry;
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
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
}

impl Reduce {
    /// Whether it is what a variant has that says nothing.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's shape")]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// As a suite writes it.
    fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Majority => "majority",
            Self::Max => "max",
            Self::PassAt(_) => "pass_at",
        }
    }
}

impl<'de> Deserialize<'de> for Reduce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct PassAt {
            pass_at: u32,
        }
        UntaggedEnumVisitor::new()
            .expecting("mean, majority, max or {pass_at: k}")
            .string(|word| match word {
                "mean" => Ok(Self::Mean),
                "majority" => Ok(Self::Majority),
                "max" => Ok(Self::Max),
                other => {
                    let message = format!("found the text \"{other}\", expected mean, majority, max or {{pass_at: k}}");
                    Err(Error::custom(message))
                }
            })
            .map(|map| Ok(Self::PassAt(map.deserialize::<PassAt>()?.pass_at)))
            .deserialize(deserializer)
    }
}

impl Loader<'_> {
    /// How often a variant asks, and how it reduces; what does not fit together is reported.
    pub(super) fn repeats(&mut self, path: &str, entry: &VariantEntry, file: &SuiteFile) -> (u32, Reduce) {
        let repeats = entry.repeats.unwrap_or(1);
        let reduce = entry.reduce.unwrap_or_default();
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduce_is_a_word_or_pass_at() {
        let read = |yaml: &str| serde_yaml::from_str::<Reduce>(yaml).map_err(|e| e.to_string());
        assert_eq!(read("majority").unwrap(), Reduce::Majority);
        assert_eq!(read("{pass_at: 4}").unwrap(), Reduce::PassAt(4));
        assert!(read("median").unwrap_err().contains("expected mean, majority, max or {pass_at: k}"));
        assert!(read("{pass_at: 4, of: 8}").unwrap_err().contains("unknown field `of`"));
    }
}
