//! Values that may be written in more than one shape: a word or a map, one or a list.

use super::Examples;
use super::file::SourceEntry;
use crate::model::{LoraOn, LoraSettings, Trained};
use crate::suite::Vars;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_untagged::UntaggedEnumVisitor;
use serde_untagged::de::Error;

/// `data:` one source, or a list of them.
#[derive(Debug, Clone)]
pub(super) enum Sources {
    One(Box<SourceEntry>),
    Several(Vec<SourceEntry>),
}

impl Sources {
    /// Each source with its path in the recipe; `at` is the path of them all.
    pub(super) fn placed<'a>(&'a self, at: &str) -> Vec<(String, &'a SourceEntry)> {
        match self {
            Self::One(source) => vec![(at.to_owned(), source)],
            Self::Several(sources) => {
                sources.iter().enumerate().map(|(i, source)| (format!("{at}[{i}]"), source)).collect()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Sources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UntaggedEnumVisitor::new()
            .expecting("{file: …}, {generate: …}, {run: …}, or a list of them")
            .map(|map| map.deserialize().map(Self::One))
            .seq(|list| list.deserialize().map(Self::Several))
            .deserialize(deserializer)
    }
}

/// `train:` `full`, `lora`, or `{lora: {…}}`.
#[derive(Debug, Clone)]
pub(super) enum TrainEntry {
    Full,
    Lora(LoraEntry),
}

/// An adapter as it is written; what is left out is the usual.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LoraEntry {
    rank: Option<usize>,
    alpha: Option<f32>,
    dropout: Option<f32>,
    on: Option<LoraOn>,
}

impl TrainEntry {
    /// With the usual in the place of what was left out.
    pub(super) fn resolve(&self, usual: &LoraSettings) -> Trained {
        match self {
            Self::Full => Trained::Full,
            Self::Lora(LoraEntry { rank, alpha, dropout, on }) => Trained::Lora(LoraSettings {
                rank: rank.unwrap_or(usual.rank),
                alpha: alpha.unwrap_or(usual.alpha),
                dropout: dropout.unwrap_or(usual.dropout),
                on: on.unwrap_or(usual.on),
            }),
        }
    }
}

impl<'de> Deserialize<'de> for TrainEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Named {
            lora: LoraEntry,
        }
        UntaggedEnumVisitor::new()
            .expecting("full, lora, or {lora: {rank: …}}")
            .string(|word| match word {
                "full" => Ok(Self::Full),
                "lora" => Ok(Self::Lora(LoraEntry::default())),
                other => {
                    Err(Error::custom(format!("found the text \"{other}\", expected full, lora, or {{lora: {{…}}}}")))
                }
            })
            .map(|map| map.deserialize().map(|Named { lora }| Self::Lora(lora)))
            .deserialize(deserializer)
    }
}

/// `examples:` of a source: `{count: 4}` or `{count: [0, 4]}`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExamplesEntry(pub Examples);

impl<'de> Deserialize<'de> for ExamplesEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Named {
            count: Count,
        }
        Named::deserialize(deserializer).map(|Named { count: Count(count) }| Self(Examples { count }))
    }
}

struct Count([usize; 2]);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UntaggedEnumVisitor::new()
            .expecting("a number, or [fewest, most]")
            .u64(|count| Ok(Self([usize::try_from(count).unwrap_or(usize::MAX); 2])))
            .seq(|range| range.deserialize().map(Self))
            .deserialize(deserializer)
    }
}

/// One of `evaluate.prompts`: a text to go on with, or a prompt file and its variables.
#[derive(Debug, Clone)]
pub(super) enum AskEntry {
    Text(String),
    File { prompt: String, vars: Vars },
}

impl<'de> Deserialize<'de> for AskEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Named {
            prompt: String,
            #[serde(default)]
            vars: Vars,
        }
        UntaggedEnumVisitor::new()
            .expecting("a text to go on with, or {prompt: FILE, vars: {…}}")
            .string(|text| Ok(Self::Text(text.to_owned())))
            .map(|map| map.deserialize().map(|Named { prompt, vars }| Self::File { prompt, vars }))
            .deserialize(deserializer)
    }
}
