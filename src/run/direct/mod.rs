//! A model asked directly, without a suite: how natural it finds texts, what it expects next, which of several texts it
//! prefers, how it cuts a text into tokens, and what it says in a conversation.
//!
//! The likelihoods are those of the scorers `perplexity` and `choice`: asked, summed and remembered by the same code.

mod conversation;
mod error;
mod natural;
mod next;
mod pieces;
mod rank;

pub use conversation::{Conversation, Said};
pub use error::DirectError;
pub use natural::Natural;
pub use next::{MOST_NEXT, Next};
pub use pieces::Piece;
pub use rank::{By, Ranked, in_order};

use super::asking::Asking;
use super::models::{Need, RunSettings, identity, open};
use super::prepare::LEARNED_POSITIONS;
use crate::engine::cache::{Cache, Identity};
use crate::engine::{Answer, Engine, Request, Token};
use crate::error::{Explain, Level, Place, Problems};
use crate::suite::{AdapterRef, KvType, ModelRef, Vars};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

/// A model that is opened; its weights are loaded when something is asked that the cache does not know.
pub struct LanguageModel {
    engine: Box<dyn Engine>,
    identity: Identity,
    cache: Option<Arc<Cache>>,
    controls: OnceLock<BTreeMap<Token, String>>,
}

impl std::fmt::Debug for LanguageModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LanguageModel").field("model", &self.engine.facts().path).finish_non_exhaustive()
    }
}

impl LanguageModel {
    /// Opens a model with its adapter; `context` is its own unless given.
    ///
    /// # Errors
    /// A file that is no model, or that llama.cpp does not take; an adapter of another base; a context that the model has
    /// no positions for.
    pub fn open(
        model: &ModelRef,
        adapter: Option<&AdapterRef>,
        context: Option<u32>,
        settings: &RunSettings,
    ) -> Result<Self, Problems> {
        let adapter = adapter.map(|adapter| (adapter.path.clone(), adapter.scale));
        let (engine, record) =
            open(&Need { model: model.clone(), adapter, context }, (KvType::default(), &Vars::new()), settings)?;
        let identity = identity(&record, &settings.llama_cpp);
        let cache = settings.memory.clone().filter(|_| settings.use_cache);
        let opened = Self { engine, identity, cache, controls: OnceLock::new() };
        match opened.beyond_training() {
            Some(error) if error.level() == Level::Error => Err(error.into()),
            _ => Ok(opened),
        }
    }

    /// That its context is longer than the model was trained with, where it is. Beyond positions that were learned one by
    /// one there is nothing to look up (ggml aborts), so that is an error.
    #[must_use]
    pub fn beyond_training(&self) -> Option<DirectError> {
        let (context, facts) = (self.engine.context(), self.engine.facts());
        let beyond = context > facts.trained_context as usize && facts.architecture != "scripted";
        let warning = !LEARNED_POSITIONS.contains(&facts.architecture.as_str());
        let (trained, place) = (facts.trained_context, self.place());
        beyond.then_some(DirectError::BeyondTraining { context, trained, place, warning })
    }

    /// The engine behind it.
    #[must_use]
    pub fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    /// Its file.
    fn place(&self) -> Place {
        Place::file(&self.engine.facts().path)
    }

    /// The answer to each request, in their order.
    fn ask(&self, requests: Vec<Request>) -> Result<Vec<Answer>, Problems> {
        let never = AtomicBool::new(false);
        let asking = Asking::new(self.cache.as_deref(), &never);
        let mut answers: Vec<Option<Answer>> = vec![None; requests.len()];
        let requests = requests.into_iter().map(|request| (request, 0)).collect();
        asking.answer(self.engine(), &self.identity, requests, &mut |id, answer, _| {
            if let Some(place) = answers.get_mut(id) {
                *place = Some(answer);
            }
        })?;
        let whole = answers.into_iter().collect::<Option<Vec<Answer>>>();
        Ok(whole.ok_or_else(|| DirectError::Unanswered { place: self.place() })?)
    }

    /// How its control tokens are spelt.
    fn controls(&self) -> &BTreeMap<Token, String> {
        self.controls.get_or_init(|| {
            let spellings = &self.engine.facts().controls;
            let one = |spelling: &String| Some((self.engine.tokenize(spelling, &[]).pop()?, spelling.clone()));
            spellings.iter().filter_map(one).collect()
        })
    }
}
