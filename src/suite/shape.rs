//! Values that may be written in more than one shape: a text or a map, a list or a file.

use super::answer::Answer;
use super::choice::Choice;
use super::classifier::LabelEntry;
use super::file::{AnswerEntry, ExamplesEntry, ModelEntry, Split};
use super::judge::JudgeEntry;
use super::located::Address;
use super::reward::RewardEntry;
use super::scorer::{
    Chrf, Command, Contains, EditDistance, Exact, Json, Number, Perplexity, Regex, RougeL, ScorerKind, Stopped,
};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_untagged::UntaggedEnumVisitor;
use serde_yaml::Value;

/// A text, a number or a truth value, kept as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UntaggedEnumVisitor::new()
            .expecting("a text or a number")
            .string(|text| Ok(Self(text.to_owned())))
            .i64(|number| Ok(Self(number.to_string())))
            .u64(|number| Ok(Self(number.to_string())))
            .f64(|number| Ok(Self(number.to_string())))
            .bool(|flag| Ok(Self(flag.to_string())))
            .deserialize(deserializer)
    }
}

impl<'de> Deserialize<'de> for Split {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Named {
            held_out: Option<Vec<String>>,
            train: Option<Vec<String>>,
        }
        UntaggedEnumVisitor::new()
            .expecting("all, held_out, train, {held_out: [names]} or {train: [names]}")
            .string(|word| match word {
                "all" => Ok(Self::All),
                "held_out" => Ok(Self::HeldOut(Vec::new())),
                "train" => Ok(Self::Train(Vec::new())),
                other => Err(serde_untagged::de::Error::custom(format!(
                    "found the text \"{other}\", expected all, held_out or train"
                ))),
            })
            .map(|map| match map.deserialize()? {
                Named { held_out: Some(names), train: None } => Ok(Self::HeldOut(names)),
                Named { held_out: None, train: Some(names) } => Ok(Self::Train(names)),
                _ => Err(serde_untagged::de::Error::custom("write one of held_out and train")),
            })
            .deserialize(deserializer)
    }
}

impl<'de> Deserialize<'de> for ModelEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UntaggedEnumVisitor::new()
            .expecting("the path of a GGUF file")
            .string(|path| Ok(Self::Path(path.to_owned())))
            .map(|map| {
                let map: serde_yaml::Mapping = map.deserialize()?;
                if map.contains_key("url") {
                    let address = serde_yaml::from_value::<Address>(Value::Mapping(map));
                    let wrong = |e| serde_untagged::de::Error::custom(format!("{e}; write {{url: https://…, sha256: …}}"));
                    return address.map(|address| Self::Path(address.text())).map_err(wrong);
                }
                match (map.get("scripted").and_then(Value::as_str), map.contains_key("endpoint")) {
                    (Some(path), false) if map.len() == 1 => Ok(Self::Scripted(path.to_owned())),
                    (None, true) => serde_path_to_error::deserialize(Value::Mapping(map))
                        .map(|entry| Self::Endpoint(Box::new(entry)))
                        .map_err(|e| {
                            serde_untagged::de::Error::custom(named(&e.path().to_string(), &e.inner().to_string()))
                        }),
                    _ => Err(serde_untagged::de::Error::custom(
                        "expected a path, hf://owner/repo/file.gguf, {url: …, sha256: …}, {scripted: FILE} or {endpoint: URL}",
                    )),
                }
            })
            .deserialize(deserializer)
    }
}

/// `examples:` of a variant: a number, or how to choose.
#[derive(Debug, Clone)]
pub(super) struct ExamplesWanted(pub ExamplesEntry);

impl<'de> Deserialize<'de> for ExamplesWanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let first = |count| Self(ExamplesEntry { count, select: super::Select::First, seed: 0 });
        UntaggedEnumVisitor::new()
            .expecting("a number of examples or {count, select, seed}")
            .u64(move |count| usize::try_from(count).map(first).map_err(serde_untagged::de::Error::custom))
            .map(|map| map.deserialize().map(Self))
            .deserialize(deserializer)
    }
}

/// A scorer as written: `- exact`, or `- number: {tolerance: 0.01}`.
#[derive(Debug, Clone)]
pub(super) struct ScorerEntry {
    pub name: Option<String>,
    pub not: bool,
    pub weight: Option<f64>,
    pub group: Option<String>,
    pub answer: Option<Answer>,
    pub kind: KindEntry,
}

/// A scorer's kind as written.
#[derive(Debug, Clone)]
pub(super) enum KindEntry {
    /// One whose settings are complete as they stand.
    Whole(ScorerKind),
    /// A label, which may name files.
    Label(Box<LabelEntry>),
    /// A judge, which names files.
    Judge(Box<JudgeEntry>),
    /// A reward model, which is a file.
    Reward(Box<RewardEntry>),
}

impl KindEntry {
    /// The name that a suite writes for it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Whole(kind) => kind.name(),
            Self::Label(_) => "label",
            Self::Judge(_) => "judge_model",
            Self::Reward(_) => "reward",
        }
    }
}

/// The kinds by name, in the order that errors list them.
const KINDS: [&str; 15] = [
    "exact",
    "contains",
    "regex",
    "number",
    "json",
    "label",
    "edit_distance",
    "rouge_l",
    "chrf",
    "stopped",
    "command",
    "choice",
    "perplexity",
    "judge_model",
    "reward",
];

impl<'de> Deserialize<'de> for ScorerEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UntaggedEnumVisitor::new()
            .expecting("a scorer's kind, or {kind: settings}")
            .string(|kind| Self::new(kind, Value::Null).map_err(serde_untagged::de::Error::custom))
            .map(|map| {
                let map: serde_yaml::Mapping = map.deserialize()?;
                let mut entries = map.into_iter();
                match (entries.next(), entries.next()) {
                    (Some((Value::String(kind), settings)), None) => {
                        Self::new(&kind, settings).map_err(serde_untagged::de::Error::custom)
                    }
                    _ => {
                        Err(serde_untagged::de::Error::custom("expected one kind with its settings: {kind: settings}"))
                    }
                }
            })
            .deserialize(deserializer)
    }
}

impl ScorerEntry {
    /// A scorer from its kind and settings, the common ones (`name`, `not`, `weight`, `group`, `answer`) taken out.
    fn new(kind: &str, settings: Value) -> Result<Self, serde_yaml::Error> {
        let mut settings = match settings {
            Value::Null => serde_yaml::Mapping::new(),
            Value::Mapping(map) => map,
            // `command: [program, args]` and `contains: text`, `regex: text`, `label: [a, b]` in short.
            short => [(Value::from(short_field(kind)?), short)].into_iter().collect(),
        };
        Ok(Self {
            name: take(&mut settings, "name")?,
            not: take(&mut settings, "not")?.unwrap_or(false),
            weight: take(&mut settings, "weight")?,
            group: take(&mut settings, "group")?,
            answer: take::<AnswerEntry>(&mut settings, "answer")?
                .map(|answer| answer.resolve().map_err(serde_yaml::Error::custom))
                .transpose()?,
            kind: kind_of(kind, settings)?,
        })
    }
}

/// The field that a scorer's short form stands for.
fn short_field(kind: &str) -> Result<&'static str, serde_yaml::Error> {
    match kind {
        "command" => Ok("run"),
        "contains" => Ok("value"),
        "regex" => Ok("pattern"),
        "label" => Ok("labels"),
        _ => Err(serde_yaml::Error::custom(format!("`{kind}` takes a map of settings"))),
    }
}

/// One common setting, taken out of the map.
fn take<T: DeserializeOwned>(settings: &mut serde_yaml::Mapping, key: &str) -> Result<Option<T>, serde_yaml::Error> {
    let wrong = |error: serde_yaml::Error| serde_yaml::Error::custom(named(key, &error.to_string()));
    settings.remove(key).map(serde_yaml::from_value).transpose().map_err(wrong)
}

/// A message with the setting that it is about, where it does not name a field itself.
fn named(key: &str, message: &str) -> String {
    let has_field = message.starts_with("unknown field") || message.starts_with("missing field");
    if has_field { message.to_owned() } else { format!("`{key}`: {message}") }
}

/// A kind and its own settings.
fn kind_of(kind: &str, settings: serde_yaml::Mapping) -> Result<KindEntry, serde_yaml::Error> {
    fn own<T: DeserializeOwned>(mut settings: serde_yaml::Mapping) -> Result<T, serde_yaml::Error> {
        // A tolerance may be written as a number; it is kept as text so that decimals stay exact.
        if let Some(Value::Number(number)) = settings.get("tolerance") {
            let text = number.to_string();
            settings.insert("tolerance".into(), text.into());
        }
        serde_yaml::from_value(Value::Mapping(settings))
    }
    Ok(KindEntry::Whole(match kind {
        "exact" => ScorerKind::Exact(own::<Exact>(settings)?),
        "contains" => ScorerKind::Contains(own::<Contains>(settings)?),
        "regex" => ScorerKind::Regex(own::<Regex>(settings)?),
        "number" => ScorerKind::Number(own::<Number>(settings)?),
        "json" => ScorerKind::Json(own::<Json>(settings)?),
        "label" => {
            let entry = own::<LabelEntry>(settings)?;
            return match entry.contradiction() {
                Some(what) => Err(serde_yaml::Error::custom(what)),
                None => Ok(KindEntry::Label(Box::new(entry))),
            };
        }
        "edit_distance" => ScorerKind::EditDistance(own::<EditDistance>(settings)?),
        "rouge_l" => ScorerKind::RougeL(own::<RougeL>(settings)?),
        "chrf" => ScorerKind::Chrf(own::<Chrf>(settings)?),
        "stopped" => ScorerKind::Stopped(own::<Stopped>(settings)?),
        "command" => ScorerKind::Command(own::<Command>(settings)?),
        "choice" => ScorerKind::Choice(own::<Choice>(settings)?),
        "perplexity" => ScorerKind::Perplexity(own::<Perplexity>(settings)?),
        "judge_model" => return own::<JudgeEntry>(settings).map(Box::new).map(KindEntry::Judge),
        "reward" => return own::<RewardEntry>(settings).map(Box::new).map(KindEntry::Reward),
        other => {
            let known = KINDS.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
            return Err(serde_yaml::Error::custom(format!("unknown scorer `{other}`, expected one of {known}")));
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::LabelBy;

    fn scorer(yaml: &str) -> Result<ScorerEntry, String> {
        serde_yaml::from_str(yaml).map_err(|e| e.to_string())
    }

    #[test]
    fn scorers_have_a_long_and_a_short_form() {
        let kind = |yaml| match scorer(yaml).unwrap().kind {
            KindEntry::Whole(kind) => kind,
            other => panic!("{other:?}"),
        };
        assert_eq!(kind("exact"), ScorerKind::Exact(Exact::default()));
        let number = scorer("number: {name: close, tolerance: 0.01, weight: 2, not: true}").unwrap();
        assert_eq!((number.name.as_deref(), number.weight, number.not), (Some("close"), Some(2.0), true));
        assert_eq!(kind("number: {tolerance: 0.01}"), ScorerKind::Number(Number { tolerance: Some("0.01".into()) }));
        assert_eq!(kind("choice"), ScorerKind::Choice(Choice::default()));
        let label = |yaml| match scorer(yaml).unwrap().kind {
            KindEntry::Label(label) => *label,
            other => panic!("{other:?}"),
        };
        let long = label("label: {labels: [a, b], by: likelihood, delimiter: ' '}");
        assert_eq!((long.labels, long.by), (vec!["a".into(), "b".into()], Some(LabelBy::Likelihood)));
        assert_eq!(label("label: [a, b]").labels, ["a", "b"]);
        assert_eq!(label("label: {classifier: x.gguf}").classifier.as_deref(), Some("x.gguf"));
        let command = kind("command: [./judge.sh, --strict]");
        assert!(matches!(command, ScorerKind::Command(c) if c.run == ["./judge.sh", "--strict"] && c.timeout_s == 30));
    }

    #[test]
    fn refuses_an_unknown_kind_and_an_unknown_setting() {
        assert!(scorer("nmber: {}").unwrap_err().contains("unknown scorer `nmber`"));
        assert!(scorer("exact: {tolerance: 1}").unwrap_err().contains("unknown field `tolerance`"));
        assert!(scorer("label: {classifier: x.gguf, by: text}").unwrap_err().contains("drop `by` and `delimiter`"));
        assert!(scorer("label: {model: x.gguf}").unwrap_err().contains("those of a `classifier`"));
        assert!(scorer("choice: {target: colour}").unwrap_err().contains("unknown variant `colour`"));
        assert!(scorer("reward").unwrap_err().contains("missing field `model`"));
    }
}
