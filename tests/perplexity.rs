//! The perplexity of long texts against llama.cpp driven by hand: a naive loop over windows, and the method of
//! llama-perplexity (`tools/perplexity/perplexity.cpp`, `perplexity`).

use crate::tiny_models::{Kind, write};
use crate::workspace::{Workspace, samples_of};
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use std::mem::ManuallyDrop;
use std::num::NonZeroU32;
use std::path::Path;

const TEXT: &str = "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be \
                    in want of a wife. However little known the feelings or views of such a man may be.";

/// The log-probability of each token of a text after the first, each decoded alone.
fn by_hand(path: &Path, tokens: &[LlamaToken]) -> Vec<f64> {
    // Whatever engine of this process came first has made the back end, or this one does; it is never taken down.
    let backend = ManuallyDrop::new(LlamaBackend::init().unwrap_or(LlamaBackend {}));
    let model = LlamaModel::load_from_file(&backend, path, &LlamaModelParams::default()).unwrap();
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(256))
        .with_n_threads(1)
        .with_n_threads_batch(1)
        .with_type_k(KvCacheType::F32)
        .with_type_v(KvCacheType::F32)
        .with_flash_attention_policy(0);
    let mut context = model.new_context(&backend, params).unwrap();
    let mut batch = LlamaBatch::new(1, 1);
    let mut told = Vec::new();
    for (position, pair) in (0..).zip(tokens.windows(2)) {
        batch.clear();
        batch.add(pair[0], position, &[0], true).unwrap();
        context.decode(&mut batch).unwrap();
        let logits: Vec<f64> = context.get_logits_ith(0).iter().map(|logit| f64::from(*logit)).collect();
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|logit| (logit - most).exp()).sum();
        told.push(logits[usize::try_from(pair[1].0).unwrap()] - most - sum.ln());
    }
    told
}

fn tokens(path: &Path) -> Vec<LlamaToken> {
    let backend = ManuallyDrop::new(LlamaBackend::init().unwrap_or(LlamaBackend {}));
    let params = LlamaModelParams::default().with_vocab_only(true);
    let model = LlamaModel::load_from_file(&backend, path, &params).unwrap();
    model.vocab().tokenize(TEXT.as_bytes(), false, false)
}

/// A suite on a text, and what its run recorded.
fn likelihoods(workspace: &Workspace, context: usize, stride: usize) -> Vec<(f64, usize, usize)> {
    workspace.write("book.txt", TEXT);
    workspace.write(
        "suite.yaml",
        format!(
            "suite: book\nmodel: m.gguf\ncontext: {context}\nkv_type: f32\ncases: {{text: book.txt, stride: {stride}}}\n\
             scorers: [perplexity]\nvariants: [{{name: plain}}]\n"
        ),
    );
    workspace.ok(&["run", "suite.yaml", "--no-cache"]);
    let folder = workspace.run_folder();
    let samples = samples_of(&folder);
    std::fs::remove_dir_all(folder).unwrap();
    let number = |value: &serde_json::Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let entry = |l: &serde_json::Value| (l["logprob"].as_f64().unwrap(), number(&l["tokens"]), number(&l["bytes"]));
    samples[0]["likelihood"].as_array().unwrap().iter().map(entry).collect()
}

#[test]
fn windows_with_a_stride_score_each_token_once_as_a_naive_loop_does() {
    let workspace = Workspace::new();
    let path = workspace.path().join("m.gguf");
    write(Kind::Llama, &path);
    let text = tokens(&path);
    let bos = LlamaToken(0);
    for (context, stride) in [(32, 8), (32, 31), (64, 20), (256, 100)] {
        let told = likelihoods(&workspace, context, stride);
        // The naive loop: each token from the first window that holds it.
        let mut wanted = 0.0;
        let (mut scored, mut begin) = (0, 0);
        while scored < text.len() {
            let end = (begin + context - 1).min(text.len());
            let window: Vec<LlamaToken> = std::iter::once(bos).chain(text[begin..end].iter().copied()).collect();
            wanted += by_hand(&path, &window)[scored - begin..].iter().sum::<f64>();
            (scored, begin) = (end, begin + stride);
        }
        let (sum, count, bytes) =
            told.iter().fold((0.0, 0, 0), |(sum, count, bytes), (l, t, b)| (sum + l, count + t, bytes + b));
        assert_eq!((count, bytes), (text.len(), TEXT.len()), "context {context}, stride {stride}");
        assert!((sum - wanted).abs() < 1e-4 * count as f64, "context {context}, stride {stride}: {sum} {wanted}");
    }
}

/// llama-perplexity cuts the text into chunks of the context, puts BOS in the place of each chunk's first token, and scores
/// the tokens behind the middle.
#[test]
fn on_equal_windows_the_figure_is_that_of_llama_perplexity() {
    let workspace = Workspace::new();
    let path = workspace.path().join("m.gguf");
    write(Kind::Llama, &path);
    let text = tokens(&path);
    let context = 64;
    let chunk: Vec<LlamaToken> = std::iter::once(LlamaToken(0)).chain(text[1..context].iter().copied()).collect();
    let first = context / 2;
    let theirs = -by_hand(&path, &chunk)[first..].iter().sum::<f64>() / (context - 1 - first) as f64;

    let engine = crate::prefix_tree::open(&path, tripos::engine::KvMode::Tree, 8, 64);
    let ids: Vec<u32> = chunk.iter().map(|token| token.0.cast_unsigned()).collect();
    let request = crate::prefix_tree::likelihood(0, ids[..=first].to_vec(), vec![ids[first + 1..].to_vec()]);
    let (answers, _) = crate::prefix_tree::answers(&engine, &[request]);
    let tripos::engine::Answer::Likelihood(told) = &answers[&0] else { panic!("{answers:?}") };
    let ours = -told.logprobs[0].iter().map(|l| f64::from(*l)).sum::<f64>() / told.logprobs[0].len() as f64;
    assert_eq!(told.logprobs[0].len(), context - 1 - first);
    assert!((ours.exp() - theirs.exp()).abs() < 1e-3 * theirs.exp(), "{ours} {theirs}");
}
