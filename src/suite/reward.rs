//! `reward: {model: FILE}`: how good a reward model finds what was said.

use super::file::ModelEntry;
use super::load::Loader;
use super::{ModelRef, PromptFile, ScorerKind};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A reward model as scorer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reward {
    /// Its GGUF: an adapter with a head, or a whole model with one.
    pub file: PathBuf,
    /// The model that it sits on; looked for where the suite does not say.
    pub base: Option<ModelRef>,
    /// What the answer is judged as an answer to, a prompt file that sees the case's variables; `None`: the variant's own
    /// prompt.
    pub prompt: Option<PromptFile>,
    /// Context length in tokens; `None` is the model's own, at most 4096.
    pub context: Option<u32>,
}

/// `reward:` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RewardEntry {
    pub model: String,
    pub base: Option<ModelEntry>,
    pub prompt: Option<String>,
    pub context: Option<u32>,
}

impl Loader<'_> {
    /// A reward model with its files. `None` where one of them cannot be read, which is then reported.
    pub(super) fn reward(&mut self, path: &str, entry: &RewardEntry) -> Option<ScorerKind> {
        let path = format!("{path}.reward");
        let at = |field: &str| format!("{path}.{field}");
        let (file, there) = self.trained(&at("model"), "reward model", &entry.model);
        self.context(&at("context"), entry.context);
        let base = entry.base.as_ref().map(|entry| self.base_model(&at("base"), entry));
        let prompt = entry.prompt.as_ref().map(|written| self.prompt_file(&at("prompt"), written));
        if !there || base.as_ref().is_some_and(Option::is_none) || prompt.as_ref().is_some_and(Option::is_none) {
            return None;
        }
        let (base, prompt) = (base.flatten(), prompt.flatten());
        Some(ScorerKind::Reward(Reward { file, base, prompt, context: entry.context }))
    }
}
