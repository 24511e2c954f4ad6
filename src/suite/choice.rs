//! Multiple choice: what a case must hold for a `choice` scorer.

use super::case::{Case, text_of};
use serde::{Deserialize, Serialize};

/// Multiple choice by likelihood: the model's answer is the choice that it finds likeliest behind the prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Choice {
    /// The variable of a case that holds the list of choices, texts or numbers.
    pub choices: String,
    /// How the target names the right one.
    pub target: ChoiceTarget,
    /// What stands between the prompt and a choice; by the rule of [`crate::score::Candidate`] where absent.
    pub delimiter: Option<String>,
}

impl Default for Choice {
    fn default() -> Self {
        Self { choices: "choices".into(), target: ChoiceTarget::Text, delimiter: None }
    }
}

/// How a target names the right choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceTarget {
    /// By its text, outer spaces aside; a target that is none of the texts may be its letter.
    #[default]
    Text,
    /// By its letter: A (or a) is the first.
    Letter,
    /// By its position, from 0.
    Index,
}

/// The choices of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choices {
    /// Their texts as written; two or more, none empty, no two alike.
    pub texts: Vec<String>,
    /// The position of the right one.
    pub right: usize,
}

/// Why a case cannot be asked as multiple choice, or (the last one) not quite fairly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceFault {
    /// The variable is not there.
    #[error("the case has no variable `{variable}` with its choices")]
    NoVariable {
        /// Its name.
        variable: String,
    },
    /// The variable is no list of texts or numbers.
    #[error("the variable `{variable}` is not a list of texts or numbers")]
    NotAList {
        /// Its name.
        variable: String,
    },
    /// There is nothing to choose between.
    #[error("{}", if *count == 0 { "there are no choices" } else { "there is only one choice" })]
    TooFew {
        /// How many there are.
        count: usize,
    },
    /// A choice is empty.
    #[error("choice {} is empty", position + 1)]
    Empty {
        /// Its position, from 0.
        position: usize,
    },
    /// Two choices are the same text, outer spaces aside.
    #[error("the choice `{text}` is there twice")]
    Twice {
        /// The text.
        text: String,
    },
    /// The case has no target.
    #[error("the case has no target")]
    NoTarget,
    /// The target names none of the choices.
    #[error("the target `{target}` names none of the choices {}", listed(choices))]
    NotAmong {
        /// The target.
        target: String,
        /// The choices.
        choices: Vec<String>,
    },
    /// One choice begins another.
    #[error("the choice `{short}` begins the choice `{long}`, so its log-probability can only be the higher one")]
    Begins {
        /// The shorter one.
        short: String,
        /// The longer one.
        long: String,
    },
}

impl ChoiceFault {
    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::NoVariable { .. } => {
                "write `vars: {choices: [yes, no]}` in each case, or name the variable: `choice: {choices: NAME}`"
            }
            Self::NotAList { .. } => "write a list: `choices: [yes, no]`; a CSV file cannot hold one, JSON lines can",
            Self::TooFew { .. } => "write two choices or more",
            Self::Empty { .. } => "write a text for each choice",
            Self::Twice { .. } => "choices are told apart by their text: write each once",
            Self::NoTarget => "give the case a `target`",
            Self::NotAmong { .. } => {
                "a target is the text of a choice or its letter from A; with `target: index` its position from 0"
            }
            Self::Begins { .. } => "look at `acc_norm`, which sets the length aside, or write the choices otherwise",
        }
    }
}

impl Choice {
    /// The choices of a case and which of them is right, or the first thing that is wrong with them.
    pub fn of(&self, case: &Case) -> Result<Choices, ChoiceFault> {
        let variable = || self.choices.clone();
        let value = case.vars.get(&self.choices).ok_or_else(|| ChoiceFault::NoVariable { variable: variable() })?;
        let items = value.as_array().into_iter().flatten().map(text_of).collect::<Option<Vec<String>>>();
        let texts = items.filter(|_| value.is_array()).ok_or_else(|| ChoiceFault::NotAList { variable: variable() })?;
        if texts.len() < 2 {
            return Err(ChoiceFault::TooFew { count: texts.len() });
        }
        if let Some(position) = texts.iter().position(|text| text.trim().is_empty()) {
            return Err(ChoiceFault::Empty { position });
        }
        if let Some((text, _)) = pair(&texts, |one, other| one == other) {
            return Err(ChoiceFault::Twice { text });
        }
        let target = case.target.as_deref().ok_or(ChoiceFault::NoTarget)?.trim();
        match self.target.position(target, &texts) {
            Some(right) => Ok(Choices { texts, right }),
            None => Err(ChoiceFault::NotAmong { target: target.to_owned(), choices: texts }),
        }
    }
}

impl ChoiceTarget {
    fn position(self, target: &str, texts: &[String]) -> Option<usize> {
        let by_letter = || {
            let mut letters = target.chars();
            let letter = letters.next().filter(char::is_ascii_alphabetic).filter(|_| letters.next().is_none())?;
            Some(usize::from(u8::try_from(letter.to_ascii_uppercase()).ok()? - b'A'))
        };
        let found = match self {
            Self::Text => texts.iter().position(|text| text.trim() == target).or_else(by_letter),
            Self::Letter => by_letter(),
            Self::Index => target.parse().ok(),
        };
        found.filter(|position| *position < texts.len())
    }
}

/// The first text that begins another one, and that other one: the sum over the longer one's tokens can then only be
/// lower.
pub(super) fn beginning(texts: &[String]) -> Option<(String, String)> {
    pair(texts, |one, other| other.starts_with(one))
}

/// The first two trimmed texts of different positions that stand so to each other.
fn pair(texts: &[String], so: impl Fn(&str, &str) -> bool) -> Option<(String, String)> {
    let trimmed = || texts.iter().map(|text| text.trim()).enumerate();
    trimmed().find_map(|(at, one)| {
        let other = trimmed().find(|(place, other)| *place != at && so(one, other))?.1;
        Some((one.to_owned(), other.to_owned()))
    })
}

fn listed(choices: &[String]) -> String {
    let all: Vec<String> = choices.iter().take(6).map(|choice| format!("`{}`", choice.trim())).collect();
    all.join(", ") + if choices.len() > 6 { ", …" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn list(texts: &[&str]) -> Value {
        texts.to_vec().into()
    }

    fn case(choices: Value, target: Option<&str>) -> Case {
        Case::new("c", [("choices", choices)], target)
    }

    fn right(target: ChoiceTarget, named: &str) -> Option<usize> {
        let spec = Choice { target, ..Choice::default() };
        spec.of(&case(json!(["Paris", "B", " 7", 12]), Some(named))).ok().map(|choices| choices.right)
    }

    #[test]
    fn a_target_names_a_choice_by_text_letter_or_position() {
        assert_eq!(right(ChoiceTarget::Text, " Paris\n"), Some(0));
        assert_eq!(right(ChoiceTarget::Text, "12"), Some(3));
        assert_eq!(right(ChoiceTarget::Text, "B"), Some(1), "a text before a letter");
        assert_eq!(right(ChoiceTarget::Text, "c"), Some(2));
        assert_eq!(right(ChoiceTarget::Text, "paris"), None);
        assert_eq!(right(ChoiceTarget::Letter, "D"), Some(3));
        assert_eq!(right(ChoiceTarget::Letter, "Paris"), None);
        assert_eq!(right(ChoiceTarget::Letter, "E"), None);
        assert_eq!(right(ChoiceTarget::Index, "0"), Some(0));
        assert_eq!(right(ChoiceTarget::Index, "4"), None);
        assert_eq!(right(ChoiceTarget::Index, "A"), None);
    }

    #[test]
    fn says_what_is_wrong_with_the_choices_of_a_case() {
        let said = |choices: Value, target| Choice::default().of(&case(choices, target)).unwrap_err().to_string();
        insta::assert_snapshot!(Choice { choices: "options".into(), ..Choice::default() }
            .of(&case(list(&["a", "b"]), Some("a"))).unwrap_err(), @"the case has no variable `options` with its choices");
        insta::assert_snapshot!(said("a, b".into(), Some("a")), @"the variable `choices` is not a list of texts or numbers");
        insta::assert_snapshot!(said(json!(["a", {}]), Some("a")), @"the variable `choices` is not a list of texts or numbers");
        insta::assert_snapshot!(said(json!(["a"]), Some("a")), @"there is only one choice");
        insta::assert_snapshot!(said(json!([]), Some("a")), @"there are no choices");
        insta::assert_snapshot!(said(list(&["a", " "]), Some("a")), @"choice 2 is empty");
        insta::assert_snapshot!(said(list(&["a", "b", " a"]), Some("a")), @"the choice `a` is there twice");
        insta::assert_snapshot!(said(list(&["a", "b"]), None), @"the case has no target");
        insta::assert_snapshot!(said(list(&["4", "5"]), Some("6")), @"the target `6` names none of the choices `4`, `5`");
    }

    #[test]
    fn finds_a_choice_that_begins_another() {
        let texts = |all: &[&str]| all.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        assert_eq!(beginning(&texts(&["no", "yes"])), None);
        assert_eq!(beginning(&texts(&["42", "4"])), Some(("4".into(), "42".into())));
    }
}
