//! The peer: llama.cpp in a plain continuous batch, greedy, no harness. It is told how many tokens each prompt gets.

use super::generation::Job;
use anyhow::Context as _;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use std::num::NonZeroU32;

/// Tokens decoded together at most, and the context of a sequence.
const BATCH: u32 = 512;

/// How it is run: sequences in flight, threads, and whether they share one KV cache.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) sequences: usize,
    pub(crate) threads: usize,
    pub(crate) unified: bool,
}

/// A prompt being answered.
struct Slot<'a> {
    job: &'a Job,
    drawn: Vec<LlamaToken>,
    logits: Option<i32>,
}

/// Answers all jobs; how many tokens were drawn.
pub(crate) fn run(backend: &LlamaBackend, model: &LlamaModel, jobs: &[Job], set: Setting) -> anyhow::Result<usize> {
    let (cells, threads) = (BATCH * u32::try_from(set.sequences)?, i32::try_from(set.threads)?);
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(cells))
        .with_n_seq_max(u32::try_from(set.sequences)?)
        .with_kv_unified(set.unified)
        .with_n_batch(BATCH)
        .with_n_ubatch(BATCH)
        .with_n_threads(threads)
        .with_n_threads_batch(threads);
    let mut context = model.new_context(backend, params)?;
    let mut batch = LlamaBatch::new(BATCH as usize, 1);
    let mut waiting = jobs.iter();
    let mut slots: Vec<Option<Slot>> = (0..set.sequences).map(|_| None).collect();
    let mut total = 0;
    loop {
        batch.clear();
        for (id, slot) in (0..).zip(&mut slots) {
            let Some(Slot { job, drawn, logits }) = slot else { continue };
            let Some(last) = drawn.last() else { continue };
            *logits = Some(batch.n_tokens());
            batch.add(*last, i32::try_from(job.prompt.len() + drawn.len() - 1)?, &[id], true)?;
        }
        for (id, slot) in (0..).zip(&mut slots) {
            if slot.is_none() {
                *slot = waiting.next().map(|job| Slot { job, drawn: Vec::with_capacity(job.draws), logits: None });
            }
            let Some(Slot { job, drawn, logits }) = slot else { continue };
            if drawn.is_empty() && usize::try_from(batch.n_tokens())? + job.prompt.len() <= BATCH as usize {
                batch.add_sequence(&job.prompt, id, false)?;
                *logits = Some(batch.n_tokens() - 1);
            }
        }
        if batch.n_tokens() == 0 {
            return Ok(total);
        }
        context.decode(&mut batch)?;
        for (id, place) in (0..).zip(&mut slots) {
            let Some(slot) = place.as_mut() else { continue };
            let Some(index) = slot.logits.take() else { continue };
            let likeliest = (0..).zip(context.get_logits_ith(index)).max_by(|a, b| a.1.total_cmp(b.1));
            slot.drawn.push(LlamaToken(likeliest.context("no logits")?.0));
            if slot.drawn.len() >= slot.job.draws {
                total += slot.drawn.len();
                context.clear_kv_cache_seq(Some(id), None, None)?;
                *place = None;
            }
        }
    }
}
