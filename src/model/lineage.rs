//! What a file says of where it comes from (contract.md, section 6).

use crate::gguf::{Gguf, Metadata, REWARDS};
use std::collections::BTreeSet;

/// What a trained file was made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// SHA-256 and file name of the model that it was trained on; `None` where it began from nothing.
    pub base: Option<(String, String)>,
    /// SHA-256 of the recipe.
    pub recipe_sha256: String,
    /// SHA-256 of the adapter or model whose training was continued, if any.
    pub parent: Option<String>,
    /// SHA-256 of the reward models that it was moved by.
    pub rewards: Vec<String>,
}

impl Lineage {
    pub(super) fn put(&self, metadata: &mut Metadata) {
        if let Some((sha256, file)) = &self.base {
            metadata.set("tripos.base.sha256", sha256.as_str().into());
            metadata.set("tripos.base.file", file.as_str().into());
        }
        metadata.set("tripos.recipe.sha256", self.recipe_sha256.as_str().into());
        if let Some(parent) = &self.parent {
            metadata.set("tripos.parent", parent.as_str().into());
        }
        add_rewards(metadata, &self.rewards);
    }
}

/// Says of a file that these reward models moved it, too.
pub(super) fn add_rewards(metadata: &mut Metadata, rewards: &[String]) {
    let all: BTreeSet<String> = metadata.rewards().into_iter().chain(rewards.iter().cloned()).collect();
    if !all.is_empty() {
        let all: Vec<String> = all.into_iter().collect();
        metadata.set(REWARDS, all.join(",").as_str().into());
    }
}

/// Metadata without what is said of a file's own descent: it does not hold for what is made of the file. What moved it has moved that,
/// too.
pub(super) fn without_lineage(file: &Gguf) -> Metadata {
    file.metadata()
        .iter()
        .filter(|(key, _)| !key.starts_with("tripos.") || *key == REWARDS)
        .map(|(k, v)| (k, v.clone()))
        .collect()
}
