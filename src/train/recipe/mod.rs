//! Recipes: one YAML file that says what is taught to which model, and how.
//!
//! [`load`] reads the file, resolves every path and default, and reports *all* problems at once with their places. What
//! users write is in `file`; plain data is what leaves this module. The data itself is read by [`super::data`].

mod check;
mod file;
mod load;
mod nothing;
mod practice;
mod shape;
mod source;

pub use load::{Overrides, load, load_text};
pub use nothing::{FromNothing, Tokenizer};
pub use practice::{Against, Critic, Practice};
pub use source::{Examples, Origin, Source};

use crate::engine::Render;
use crate::error::Place;
use crate::model::{Precision, Trained};
use crate::suite::{Document, Located, PromptFile, Pruned, Vars, beside};
use crate::train::clean::Rules;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// One recipe, resolved: every path joined, every default filled in, what the command line says put in its place.
#[derive(Debug, Clone, Serialize)]
pub struct Recipe {
    /// Its name; the run's folder starts with it.
    pub name: String,
    /// The recipe's file.
    #[serde(skip)]
    pub path: PathBuf,
    /// What kind of training.
    pub kind: Kind,
    /// What it teaches, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The base: a GGUF file. Empty where it is made from nothing first.
    #[serde(skip_serializing_if = "no_path")]
    pub model: PathBuf,
    /// The files of models that lie elsewhere.
    #[serde(skip)]
    pub located: Located,
    /// How it is made from nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_nothing: Option<FromNothing>,
    /// What is learned from; empty where a policy practises.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<Source>,
    /// What is practised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub practice: Option<Practice>,
    /// What of it is dropped; `None`: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clean: Option<Rules>,
    /// Suites whose cases must not be learned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leaks: Vec<PathBuf>,
    /// What is kept for evaluation.
    pub held_out: HeldOut,
    /// Which weights are trained.
    pub train: Trained,
    /// Tokens a row.
    pub sequence: usize,
    /// Rows an optimiser step.
    pub batch: usize,
    /// Rows computed at once; divides `batch`.
    pub micro_batch: usize,
    /// How long.
    #[serde(flatten)]
    pub length: Length,
    /// The learning rate over time.
    pub schedule: Schedule,
    /// AdamW's numbers.
    pub optimiser: Optimiser,
    /// What products are computed from.
    pub precision: Precision,
    /// Whether activations are computed again rather than kept.
    pub recompute: bool,
    /// What becomes of documents longer than `sequence`.
    pub too_long: TooLong,
    /// When and how progress is measured.
    pub evaluate: Evaluate,
    /// When the state is kept.
    pub checkpoint: Checkpoint,
    /// The suite that is run at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suite: Option<PathBuf>,
    /// Where the trained GGUF is copied to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<PathBuf>,
    /// Moves the order of the rows, dropout and what adapters and heads begin with; never what is held out.
    pub seed: u64,
    /// The labels of `kind: classify`, in the order of the head's outputs; empty where the data is to say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// What is made of judgements, where they are learned from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judging: Option<Judging>,
    /// Extra variables for the model's chat template.
    #[serde(skip_serializing_if = "Vars::is_empty")]
    pub template_vars: Vars,
    /// The day that chat templates see as today (`YYYY-MM-DD`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    #[serde(skip)]
    pub(in crate::train) written: Arc<Written>,
}

/// The file as it was read: where its values stand.
#[derive(Debug)]
pub(in crate::train) struct Written {
    document: Document,
    pruned: Pruned,
}

/// What kind of training a recipe describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Supervised fine-tuning: answers are learned word by word.
    Sft,
    /// A head on the last token's state tells labels apart.
    Classify,
    /// A model from nothing learns texts.
    Pretrain,
    /// A head on the state at the end of an answer learns what people prefer.
    Reward,
    /// Direct preference optimisation: the model itself learns to answer as people prefer.
    Dpo,
    /// Group relative policy optimisation: the model is moved towards what its own answers are worth.
    Grpo,
    /// Proximal policy optimisation: the same, where a critic says what was to be expected.
    Ppo,
}

impl Kind {
    /// Whether its data are judgements: of two answers, which is better.
    #[must_use]
    pub fn is_judged(self) -> bool {
        matches!(self, Self::Reward | Self::Dpo)
    }

    /// Whether it learns from its own answers.
    #[must_use]
    pub fn practises(self) -> bool {
        matches!(self, Self::Grpo | Self::Ppo)
    }

    /// Whether a head learns, and the model says nothing.
    #[must_use]
    pub fn has_head(self) -> bool {
        matches!(self, Self::Classify | Self::Reward)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sft => "sft",
            Self::Classify => "classify",
            Self::Pretrain => "pretrain",
            Self::Reward => "reward",
            Self::Dpo => "dpo",
            Self::Grpo => "grpo",
            Self::Ppo => "ppo",
        })
    }
}

/// What is made of judgements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Judging {
    /// How prompts and answers are put to the model.
    pub render: Render,
    /// By which loss.
    #[serde(flatten)]
    pub by: By,
    /// How much −log p of the preferred answers counts beside the judgements. A head then reads states that still know how to
    /// answer (Yang 2024, 2406.10216); a policy does not make both answers less likely (Pang 2024, 2404.19733).
    pub language: f64,
}

/// How judgements are learned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// By the rewards of a head, which are drawn to 0 so strongly.
    Centring(f64),
    /// By the policy itself: its rewards are so many times log(π / reference).
    Beta(f64),
}

impl By {
    /// How much a policy's log-ratio is worth, where a policy learns.
    #[must_use]
    pub fn beta(self) -> Option<f64> {
        match self {
            Self::Beta(beta) => Some(beta),
            Self::Centring(_) => None,
        }
    }
}

/// How long is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// So many optimiser steps.
    Steps(u64),
    /// So many times over the rows.
    Epochs(f64),
}

impl Length {
    /// Optimiser steps for so many rows, at least one.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and a float saturates")]
    pub fn steps(self, rows: usize, batch: usize) -> u64 {
        match self {
            Self::Steps(steps) => steps,
            Self::Epochs(epochs) => (epochs * rows as f64 / batch.max(1) as f64).ceil().max(1.0) as u64,
        }
    }
}

/// The learning rate over time: it rises from 0 in a straight line, stays, and falls to a share of its height.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Schedule {
    /// At its highest.
    pub lr: f64,
    /// The share of all steps in which it rises.
    pub warmup: f64,
    /// How it falls.
    pub shape: Shape,
    /// The share of `lr` that it ends at.
    pub r#final: f64,
    /// The share of all steps, the last ones, in which it falls.
    pub warmdown: f64,
}

/// How the learning rate falls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Not at all.
    Constant,
    /// In a straight line.
    Linear,
    /// Along half a wave: slowly, fast, slowly.
    #[default]
    Cosine,
}

/// AdamW's numbers (Loshchilov & Hutter 2019, 1711.05101).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Optimiser {
    /// How slowly the means of the gradients and of their squares move.
    pub betas: (f64, f64),
    /// Keeps the division finite.
    pub eps: f64,
    /// Pulls matrices towards 0, and nothing else.
    pub weight_decay: f64,
    /// The largest norm of all gradients together.
    pub clip: f64,
}

/// What becomes of documents longer than a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TooLong {
    /// Their beginning is kept.
    #[default]
    Cut,
    /// They are left out.
    Drop,
    /// They are an error.
    Refuse,
    /// They are cut into as many as it takes.
    Split,
}

/// When and how progress is measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluate {
    /// Steps between two evaluations; 0 for none.
    pub every: u64,
    /// Training ends when the held-out loss has not fallen in so many evaluations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// What the model is asked at each evaluation.
    pub prompts: Vec<Ask>,
    /// Most tokens that it says to each.
    pub max_tokens: u32,
}

/// Something that the model is asked while it learns.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Ask {
    /// A text to go on with.
    Text(String),
    /// A prompt file, and what it sees.
    File {
        /// The prompt.
        prompt: PromptFile,
        /// Its variables.
        vars: Vars,
    },
}

/// When the state is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Checkpoint {
    /// Steps between two checkpoints.
    pub every: u64,
    /// How many of the newest are kept; the best is kept beside them.
    pub keep: usize,
}

/// What is kept for evaluation and never learned.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldOut {
    /// This share of the documents, drawn by a hash of what they say: it never moves, and equal ones stay together.
    Share(f64),
    /// Data of its own.
    Data(Vec<Source>),
}

impl HeldOut {
    /// Whether the data that is learned from also gives what is held out.
    #[must_use]
    pub fn is_share(&self) -> bool {
        matches!(self, Self::Share(share) if *share > 0.0)
    }

    /// Whether a document of this hash is held out of the data that is learned from.
    #[must_use]
    pub fn takes(&self, key: u64) -> bool {
        matches!(self, Self::Share(share) if (key as f64) < share * 2_f64.powi(64))
    }
}

impl Recipe {
    /// The whole recipe, resolved.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        // By way of a text: values would show 32-bit numbers with the digits of 64-bit ones.
        let text = serde_json::to_string(&self.portable());
        let mut json: serde_json::Value = text.and_then(|text| serde_json::from_str(&text)).unwrap_or_default();
        if let (Some(uri), Some(map)) = (self.uri(), json.as_object_mut()) {
            map.insert("uri".to_owned(), uri.into());
        }
        json
    }

    /// What the base was named as, where it lies elsewhere.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        self.located.uri(&self.model)
    }

    /// Without the file of a base that was made from nothing, which lies anywhere.
    fn portable(&self) -> Self {
        let model = if self.from_nothing.is_some() { PathBuf::new() } else { self.model.clone() };
        Self { model, ..self.clone() }
    }

    /// The SHA-256, in hex, of the recipe as it is run, without its description and output. Paths count as seen from
    /// the recipe's folder, so that neither the folder it is run from nor where a checkout lies changes it.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut portable = Self { description: None, output: None, ..self.portable() };
        // Where the cache lies is of no matter.
        if let Some(uri) = self.uri() {
            portable.model = uri.into();
        }
        let folder = beside(&self.path, ".");
        let seen = |path: &mut PathBuf| *path = seen_from(&folder, path);
        if !portable.model.as_os_str().is_empty() {
            seen(&mut portable.model);
        }
        portable.from_nothing.iter_mut().flat_map(FromNothing::paths).for_each(seen);
        let practised = portable.practice.iter_mut().map(|practice| &mut practice.suite);
        portable.suite.iter_mut().chain(&mut portable.leaks).chain(practised).for_each(seen);
        let held_out = match &mut portable.held_out {
            HeldOut::Share(_) => &mut [][..],
            HeldOut::Data(sources) => sources,
        };
        portable.data.iter_mut().chain(held_out).flat_map(Source::paths).for_each(seen);
        for ask in &mut portable.evaluate.prompts {
            if let Ask::File { prompt, .. } = ask {
                seen(&mut prompt.path);
            }
        }
        let text = serde_json::to_string(&portable).unwrap_or_default();
        Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The place of a value by its path (`schedule.lr`, `data[1].file`), or of the nearest value around it.
    #[must_use]
    pub fn place(&self, path: &str) -> Place {
        self.written.document.place(&self.written.pruned.original(path))
    }
}

fn no_path(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

/// A path from a folder, with `/` between its parts; as it is where one of the two does not exist.
fn seen_from(folder: &Path, path: &Path) -> PathBuf {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let (Ok(folder), Ok(whole)) = (folder.canonicalize(), path.canonicalize()) else { return path.to_path_buf() };
    let shared = folder.components().zip(whole.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| "..".to_owned());
    let down = whole.components().skip(shared).map(|part: Component| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/").into()
}

#[cfg(test)]
mod tests;
