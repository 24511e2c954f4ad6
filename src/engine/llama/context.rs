//! A llama.cpp context for a model as it is to be run.

use super::scheduler::BATCH;
use super::{KvStorage, Llama, Weights, backend::backend};
use crate::engine::EngineError;
use crate::error::Place;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams, LlamaPoolingType};
use std::num::NonZeroU32;

/// What a context is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Log-probabilities of the next token.
    Logits,
    /// The states behind the last layer.
    States,
}

/// Makes a context of so many cells and sequences, the adapter attached.
pub(super) fn context<'a>(
    weights: &'a mut Weights,
    llama: &Llama,
    (cells, sequences): (usize, usize),
    purpose: Purpose,
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
        .with_embeddings(purpose == Purpose::States)
        .with_pooling_type(if purpose == Purpose::States {
            LlamaPoolingType::None
        } else {
            LlamaPoolingType::Unspecified
        })
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_type_k(kv)
        .with_type_v(kv)
        .with_flash_attention_policy(settings.kv_type.flash_attention());
    let backend = backend().map_err(|reason| EngineError::Decode { reason })?;
    let Weights { adapter, model } = weights;
    let mut context = model.new_context(backend, params).map_err(|_| failed())?;
    if let (Some(adapter), Some((path, scale))) = (adapter, &settings.adapter) {
        context
            .lora_adapter_set(adapter, *scale)
            .map_err(|e| EngineError::Adapter { place: Place::file(path), reason: e.to_string() })?;
    }
    Ok(context)
}
