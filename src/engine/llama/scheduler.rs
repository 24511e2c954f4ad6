//! Many requests in one continuous batch.
//!
//! Each step decodes one batch: the newest token of every sequence that is drawing, then as much of the waiting prompts
//! as fits. Sequences join when there is room in the KV cache for all that they may need, and leave when they are done,
//! so nothing ever has to be evicted. What is in a batch depends on the requests alone, never on time: the same run
//! gives the same bytes.

use super::super::{Completion, EngineError, KvMode, Request};
use super::slot::{Outcome, Slot};
use super::{KvStorage, Llama, Weights, backend::backend};
use crate::error::Place;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::vocab::LlamaVocab;
use std::iter::Peekable;
use std::num::NonZeroU32;
use std::time::Instant;

/// Tokens decoded together at most.
pub const BATCH: u32 = 512;

/// Answers all requests; see [`Engine::generate`].
pub(super) fn run(
    weights: &mut Weights,
    llama: &Llama,
    requests: &mut Peekable<&mut dyn Iterator<Item = Request>>,
    done: &mut dyn FnMut(usize, Completion),
) -> Result<(), EngineError> {
    let settings = &llama.settings;
    let exact = settings.kv == KvMode::Exact;
    let (sequences, cells) = (llama.sequences(), llama.cells());
    let mut context = context(&weights.model, llama, cells, sequences)?;
    if let (Some(adapter), Some((path, scale))) = (&mut weights.adapter, &settings.adapter) {
        context
            .lora_adapter_set(adapter, *scale)
            .map_err(|e| EngineError::Adapter { place: Place::file(path), reason: e.to_string() })?;
    }
    let mut scheduler = Scheduler {
        vocab: weights.model.vocab(),
        context,
        batch: LlamaBatch::new(BATCH as usize, 1),
        slots: (0..sequences).map(|_| None).collect(),
        cells,
    };
    loop {
        // A fresh cache for each trial: where its cells lie would otherwise depend on the trial before.
        if exact {
            scheduler.context.clear_kv_cache();
        }
        scheduler.admit(requests);
        if scheduler.slots.iter().all(Option::is_none) {
            return match requests.peek() {
                None => Ok(()),
                Some(request) => Err(EngineError::Decode {
                    reason: format!("a request needs {} tokens of context, and there are {cells}", Slot::need(request)),
                }),
            };
        }
        while scheduler.step(done)? {}
    }
}

fn context<'a>(
    model: &'a LlamaModel,
    llama: &Llama,
    cells: usize,
    sequences: usize,
) -> Result<LlamaContext<'a>, EngineError> {
    let settings = &llama.settings;
    let failed = || EngineError::Context { context: cells, sequences, place: Place::file(&llama.facts.path) };
    let kv = match settings.kv_type {
        KvStorage::F16 => KvCacheType::F16,
        KvStorage::F32 => KvCacheType::F32,
        KvStorage::Q8_0 => KvCacheType::Q8_0,
    };
    let threads = i32::try_from(settings.threads).unwrap_or(1);
    let params = LlamaContextParams::default()
        .with_n_ctx(u32::try_from(cells).ok().and_then(NonZeroU32::new))
        .with_n_batch(BATCH)
        .with_n_ubatch(BATCH)
        .with_n_seq_max(u32::try_from(sequences).unwrap_or(1))
        .with_kv_unified(true)
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_type_k(kv)
        .with_type_v(kv);
    let backend = backend().map_err(|reason| EngineError::Decode { reason })?;
    model.new_context(backend, params).map_err(|_| failed())
}

/// The sequences in flight and the batch that they share.
struct Scheduler<'a> {
    vocab: LlamaVocab<'a>,
    context: LlamaContext<'a>,
    batch: LlamaBatch<'static>,
    /// One place a sequence; the index is its id.
    slots: Vec<Option<Slot>>,
    cells: usize,
}

impl Scheduler<'_> {
    /// Fills empty places while there is room for all that a request may need.
    fn admit(&mut self, requests: &mut Peekable<&mut dyn Iterator<Item = Request>>) {
        let mut reserved: usize = self.slots.iter().flatten().map(Slot::reserved).sum();
        for place in &mut self.slots {
            if place.is_some() {
                continue;
            }
            let Some(request) = requests.next_if(|next| reserved + Slot::need(next) <= self.cells) else { return };
            reserved += Slot::need(&request);
            *place = Some(Slot::new(request));
        }
    }

    /// Decodes one batch; false when nothing is in flight or a place has become free.
    fn step(&mut self, done: &mut dyn FnMut(usize, Completion)) -> Result<bool, EngineError> {
        let parts = self.fill()?;
        let total = self.batch.n_tokens();
        if total == 0 {
            return Ok(false);
        }
        let started = Instant::now();
        self.context.decode(&mut self.batch).map_err(|e| EngineError::Decode { reason: e.to_string() })?;
        self.context.synchronize();
        let each = started.elapsed().as_secs_f64() / f64::from(total);
        let mut freed = false;
        for Part { sequence, count, logits } in parts {
            let Some(place) = self.slots.get_mut(sequence) else { continue };
            let Some(slot) = place.as_mut() else { continue };
            slot.decoded(count, each * count as f64);
            let Some(index) = logits else { continue };
            if matches!(slot.draw(&self.context, &self.vocab, index), Outcome::Done)
                && let Some(slot) = place.take()
            {
                let (id, completion) = slot.finish();
                self.forget(sequence)?;
                done(id, completion);
                freed = true;
            }
        }
        Ok(!freed)
    }

    /// Lays the next batch: one token of each drawing sequence, then prompts in the order of their places.
    fn fill(&mut self) -> Result<Vec<Part>, EngineError> {
        self.batch.clear();
        let mut parts = Vec::with_capacity(self.slots.len());
        for drawing in [true, false] {
            for (sequence, slot) in self.slots.iter().enumerate() {
                let Some(slot) = slot.as_ref().filter(|slot| slot.is_drawing() == drawing) else { continue };
                let start = self.batch.n_tokens();
                let room = (BATCH as usize).saturating_sub(usize::try_from(start).unwrap_or(0));
                if room == 0 {
                    continue;
                }
                let (tokens, from, wants_logits) = slot.next_tokens(room);
                let (Ok(id), Ok(from), Ok(count)) =
                    (i32::try_from(sequence), i32::try_from(from), i32::try_from(tokens.len()))
                else {
                    return Err(EngineError::Decode { reason: "a position exceeds 2^31".into() });
                };
                for (position, token) in (from..).zip(&tokens) {
                    let last = position == from + count - 1;
                    self.batch
                        .add(*token, position, &[id], wants_logits && last)
                        .map_err(|e| EngineError::Decode { reason: e.to_string() })?;
                }
                let logits = (wants_logits && count > 0).then_some(start + count - 1);
                parts.push(Part { sequence, count: tokens.len(), logits });
            }
        }
        Ok(parts)
    }

    fn forget(&mut self, sequence: usize) -> Result<(), EngineError> {
        let id = u32::try_from(sequence).ok();
        let removed = self.context.clear_kv_cache_seq(id, None, None);
        removed.map(|_| ()).map_err(|e| EngineError::Decode { reason: e.to_string() })
    }
}

/// A sequence's part of a batch.
struct Part {
    sequence: usize,
    count: usize,
    /// Where in the batch the logits to draw from are.
    logits: Option<i32>,
}
