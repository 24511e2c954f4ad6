//! `judge_model`: another local model judges, by the likelihood of its verdicts.

use super::error::SuiteProblem;
use super::file::ModelEntry;
use super::load::Loader;
use super::shape::Text;
use super::{ModelRef, PromptFile};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_untagged::UntaggedEnumVisitor;
use serde_yaml::Value;

/// Another local model as judge. Its value is the expected worth of its verdict, `Σ p(choice) · worth(choice)`, so
/// that it says how sure the judge is, and nothing has to be read from prose.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JudgeModel {
    /// The model that judges; `--model` does not change it.
    pub model: ModelRef,
    /// Its context length in tokens; `None` is the model's own, at most 4096.
    pub context: Option<u32>,
    /// What it is asked: sees the case's variables, `completion` and `target`; or `a` and `b` in their place.
    pub prompt: PromptFile,
    /// The verdicts it may give and what each is worth; two or more.
    pub choices: Vec<(String, f64)>,
    /// It compares the completion with the target, as `a` and `b`, in both orders.
    pub against_target: bool,
}

/// `judge_model:` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JudgeEntry {
    pub model: ModelEntry,
    pub prompt: String,
    pub choices: Verdicts,
    pub against: Option<Against>,
    pub context: Option<u32>,
}

/// What a completion is compared with.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Against {
    Target,
}

/// Verdicts with their worth: a list from best to worst, or a map.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdicts(pub Vec<(String, f64)>);

impl<'de> Deserialize<'de> for Verdicts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = |what: &str| serde_untagged::de::Error::custom(format!("`choices`: {what}"));
        UntaggedEnumVisitor::new()
            .expecting("`choices` as a list from best to worst, or a map of each choice to its worth")
            .seq(|list| {
                let texts: Vec<Text> = list.deserialize()?;
                let steps = texts.len().saturating_sub(1).max(1) as f64;
                let worth = |at: usize| 1.0 - at as f64 / steps;
                Ok(Self(texts.into_iter().enumerate().map(|(at, text)| (text.0, worth(at))).collect()))
            })
            .map(move |map| {
                let map: serde_yaml::Mapping = map.deserialize()?;
                let one = |(text, worth): (Value, Value)| {
                    let text = serde_yaml::from_value::<Text>(text).map_err(|_| wrong("a choice is a text"))?;
                    let worth = worth.as_f64().filter(|worth| worth.is_finite());
                    Ok((text.0, worth.ok_or_else(|| wrong("what a choice is worth is a number"))?))
                };
                map.into_iter().map(one).collect::<Result<_, _>>().map(Self)
            })
            .deserialize(deserializer)
    }
}

impl Loader<'_> {
    /// A judge with its files. `None` where one of them cannot be read, which is then reported.
    pub(super) fn judge(&mut self, path: &str, entry: &JudgeEntry) -> Option<JudgeModel> {
        let path = format!("{path}.judge_model");
        let at = |field: &str| format!("{path}.{field}");
        if let Some((what, help)) = wrong_choices(entry) {
            self.fail(&at("choices"), SuiteProblem::Contradiction { what, help: help.to_owned() });
        }
        self.context(&at("context"), entry.context);
        let model = self.named_model(&at("model"), &entry.model);
        let prompt = self.prompt_file(&format!("{path}.prompt"), &entry.prompt);
        Some(JudgeModel {
            model: model?,
            context: entry.context,
            prompt: prompt?,
            choices: entry.choices.0.clone(),
            against_target: entry.against.is_some(),
        })
    }
}

/// What is wrong with the verdicts, and how to mend it.
fn wrong_choices(entry: &JudgeEntry) -> Option<(String, &'static str)> {
    let choices = &entry.choices.0;
    let twice = choices
        .iter()
        .enumerate()
        .find(|(at, (text, _))| choices.iter().skip(at + 1).any(|(other, _)| other.trim() == text.trim()));
    if choices.iter().any(|(text, _)| text.trim().is_empty()) {
        return Some(("a choice of the judge is empty".into(), "write a text for each verdict: `choices: [yes, no]`"));
    }
    if let Some((_, (text, _))) = twice {
        return Some((format!("the judge's choice `{}` is there twice", text.trim()), "write each verdict once"));
    }
    match (entry.against, choices.len()) {
        (_, 0 | 1) => Some(("the judge has nothing to choose between".into(), "write `choices: [yes, no]`")),
        (Some(_), count) if count > 2 => Some((
            format!("a judge `against: target` has {count} choices"),
            "it says whether `a` or `b` is better: write two, the one for `a` first",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(yaml: &str) -> Result<Vec<(String, f64)>, String> {
        serde_yaml::from_str::<Verdicts>(yaml).map(|verdicts| verdicts.0).map_err(|error| error.to_string())
    }

    fn worth(yaml: &str) -> Vec<f64> {
        verdicts(yaml).unwrap().into_iter().map(|(_, worth)| worth).collect()
    }

    #[test]
    fn a_list_is_worth_1_to_0_in_even_steps_and_a_map_says_itself() {
        assert_eq!(worth("[yes, no]"), [1.0, 0.0]);
        assert_eq!(worth("[good, fair, bad]"), [1.0, 0.5, 0.0]);
        assert_eq!(
            verdicts("{good: 1, 2: 0.5, bad: -1}").unwrap(),
            [("good".into(), 1.0), ("2".into(), 0.5), ("bad".into(), -1.0)]
        );
        assert!(verdicts("{good: much}").unwrap_err().contains("worth is a number"));
        assert!(verdicts("{good: .inf}").unwrap_err().contains("worth is a number"));
        assert!(verdicts("yes").unwrap_err().contains("a list from best to worst"));
    }

    #[test]
    fn says_what_is_wrong_with_the_verdicts() {
        let wrong = |choices: &str| {
            let entry = serde_yaml::from_str(&format!("{{model: m.gguf, prompt: p.txt, {choices}}}")).unwrap();
            wrong_choices(&entry).map(|(what, _)| what).unwrap_or_default()
        };
        insta::assert_snapshot!(wrong("choices: []"), @"the judge has nothing to choose between");
        insta::assert_snapshot!(wrong("choices: [yes, '']"), @"a choice of the judge is empty");
        insta::assert_snapshot!(wrong("choices: [yes, ' yes']"), @"the judge's choice `yes` is there twice");
        insta::assert_snapshot!(wrong("choices: [A, B, tie], against: target"), @"a judge `against: target` has 3 choices");
        assert_eq!(wrong("choices: [A, B], against: target"), "");
    }
}
