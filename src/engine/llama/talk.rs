//! One sequence that is kept from text to text: what the next begins with is not decoded again.

use super::draw::Drawer;
use super::line::Account;
use super::scheduler::BATCH;
use super::slot::{Outcome, Slot};
use super::tokens::Tokenizer;
use crate::engine::talk::{Outlet, Talk};
use crate::engine::{Completion, EngineError, Token};
use crate::sampling::Sampling;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A context of one sequence, and the tokens that it holds.
pub(super) struct LlamaTalk<'c> {
    context: LlamaContext<'c>,
    tokenizer: &'c Tokenizer,
    /// Cells of the context.
    cells: usize,
    /// What is decoded, from position 0 on.
    known: Vec<Token>,
    batch: LlamaBatch<'static>,
}

impl<'c> LlamaTalk<'c> {
    pub(super) fn new(context: LlamaContext<'c>, tokenizer: &'c Tokenizer, cells: usize) -> Self {
        Self { context, tokenizer, cells, known: Vec::new(), batch: LlamaBatch::new(BATCH as usize, 1) }
    }

    /// Takes back what is not the beginning of a text, and at least its last token: that has to tell what comes next.
    ///
    /// Recurrent layers keep one state, of their last token, and cannot go back; then all is taken back. So it is where the
    /// first positions are gone, as in a sliding window.
    fn rewind(&mut self, text: &[Token]) -> Result<(), EngineError> {
        let alike = self.known.iter().zip(text).take_while(|(a, b)| a == b).count();
        let keep = alike.min(text.len().saturating_sub(1));
        if keep == self.known.len() {
            return Ok(());
        }
        let from = u32::try_from(keep).ok();
        let taken = self.context.clear_kv_cache_seq(Some(0), from, None).map_err(failed)?;
        let whole = keep > 0
            && self.context.kv_cache_seq_pos_min(0) == 0
            && self.context.kv_cache_seq_pos_max(0) == index(keep)? - 1;
        if taken && whole {
            self.known.truncate(keep);
        } else {
            self.context.clear_kv_cache();
            self.known.clear();
        }
        Ok(())
    }

    /// Decodes tokens behind what is known; the last of the batch tells what comes next. Gives up where `stop` is set.
    fn read(&mut self, tokens: &[Token], stop: &AtomicBool) -> Result<Option<i32>, EngineError> {
        let mut last = None;
        for part in tokens.chunks(BATCH as usize) {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            self.batch.clear();
            for (at, token) in part.iter().enumerate() {
                let tells = at + 1 == part.len();
                let position = index(self.known.len() + at)?;
                self.batch.add(LlamaToken(token.cast_signed()), position, &[0], tells).map_err(failed)?;
            }
            self.context.decode(&mut self.batch).map_err(failed)?;
            self.context.synchronize();
            self.known.extend_from_slice(part);
            last = Some(index(part.len())? - 1);
        }
        Ok(last)
    }

    /// Reads and draws; on an error what the cache holds is not known.
    fn go_on(
        &mut self,
        text: &[Token],
        mut slot: Slot,
        (hear, outlet): (&mut dyn FnMut(&str), &mut Outlet),
        stop: &AtomicBool,
    ) -> Result<Completion, EngineError> {
        let started = Instant::now();
        self.rewind(text)?;
        let mut account = Account::default();
        let new = text.get(self.known.len()..).unwrap_or_default().to_vec();
        account.charge(new.len(), 0.0);
        let mut told = self.read(&new, stop)?;
        while let Some(at) = told {
            let outcome = slot.draw(&self.context, &self.tokenizer.vocab(), at);
            if outcome == Outcome::Done || stop.load(Ordering::Relaxed) {
                break;
            }
            let certain = outlet.next(slot.said(), false);
            if !certain.is_empty() {
                hear(&certain);
            }
            let Some((token, _)) = slot.newest() else { break };
            told = self.read(&[token.0.cast_unsigned()], stop)?;
        }
        let rest = outlet.next(slot.said(), true);
        if !rest.is_empty() {
            hear(&rest);
        }
        account.charge(0, started.elapsed().as_secs_f64());
        Ok(slot.finish(&account))
    }
}

impl Talk for LlamaTalk<'_> {
    fn say(
        &mut self,
        text: &[Token],
        (sampling, seed): (&Sampling, u64),
        hear: &mut dyn FnMut(&str),
        stop: &AtomicBool,
    ) -> Result<Completion, EngineError> {
        let most = text.len() + sampling.max_tokens as usize;
        if text.is_empty() || most > self.cells {
            let reason = format!("{most} tokens of text and answer, and the context has {}", self.cells);
            return Err(EngineError::Decode { reason });
        }
        let drawer = Drawer::new(sampling, seed, self.tokenizer)?;
        let slot = Slot::behind(text.len(), sampling, drawer);
        let mut outlet = Outlet::new(&sampling.stop);
        let said = self.go_on(text, slot, (hear, &mut outlet), stop);
        if said.is_err() {
            self.context.clear_kv_cache();
            self.known.clear();
        }
        said
    }
}

fn index(position: usize) -> Result<i32, EngineError> {
    i32::try_from(position).map_err(|_| EngineError::Decode { reason: "a position exceeds 2^31".into() })
}

#[allow(clippy::needless_pass_by_value)] // it is what map_err hands over
fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Decode { reason: error.to_string() }
}
