//! Many requests in one continuous batch, what they share decoded once.
//!
//! The lines of the requests are laid into a [`Tree`](super::tree::Tree), which a [`Walk`] decodes depth first. Under
//! [`KvMode::Exact`] each line is a tree of its own, decoded from an empty cache.

use super::Limits;
use super::line::{Account, Line, lines};
use super::tokens::Tokenizer;
use super::walk::Walk;
use crate::engine::{Answer, Ask, Effort, EngineError, KvMode, Request};
use llama_cpp_2::context::LlamaContext;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tokens decoded together at most.
pub const BATCH: u32 = 512;

/// A context at work on requests.
pub(super) struct Scheduler<'a> {
    pub(super) context: LlamaContext<'a>,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) limits: Limits,
    pub(super) requests: &'a [Request],
    pub(super) accounts: Vec<Account>,
    pub(super) effort: Effort,
}

impl<'a> Scheduler<'a> {
    pub(super) fn new(
        context: LlamaContext<'a>,
        tokenizer: &'a Tokenizer,
        limits: Limits,
        requests: &'a [Request],
    ) -> Self {
        let accounts = requests.iter().map(Account::new).collect();
        Self { context, tokenizer, limits, requests, accounts, effort: Effort::default() }
    }

    /// Answers the requests; see [`crate::engine::Engine::answer`].
    pub(super) fn run(
        mut self,
        mode: KvMode,
        done: &mut dyn FnMut(usize, Answer),
        stop: &AtomicBool,
    ) -> Result<Effort, EngineError> {
        let requests = self.requests;
        let lines: Vec<Line> = requests.iter().enumerate().flat_map(|(index, request)| lines(index, request)).collect();
        if mode == KvMode::Tree {
            Walk::new(&mut self, &lines, done).run(stop)?;
            return Ok(self.effort);
        }
        for line in &lines {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            // A fresh cache for each line: where its cells lie would otherwise depend on the line before.
            self.context.clear_kv_cache();
            Walk::new(&mut self, std::slice::from_ref(line), done).run(stop)?;
        }
        Ok(self.effort)
    }

    /// Tokens that a line may yet draw: cells that its sequence needs beyond the prompt.
    pub(super) fn most_drawn(&self, line: &Line) -> usize {
        match self.requests.get(line.request).map(|request| &request.ask) {
            Some(Ask::Generate { sampling, .. }) => sampling.max_tokens as usize,
            _ => 0,
        }
    }
}
