//! A reward model at work: reading answers beside llama.cpp's own reading of prompts, several answers to one prompt, and
//! learning beside fine-tuning on the same tokens.

use crate::quiet;
use crate::sharing::{decoded, open, read, seconds};
use crate::spread::Spread;
use crate::table::Row;
use crate::workspace::{cores, model};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use std::mem::ManuallyDrop;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use tripos::engine::llama::Llama;
use tripos::engine::{Ask, Engine, Request, Token};
use tripos::model::{
    Batch, Coefficients, Decoder, Document, LoraSettings, Precision, Readings, Settings, Shape, Trained, Update,
};

const ROUNDS: usize = 5;
/// Of llama.cpp's own speed, and of fine-tuning's.
const LEAST: f64 = 0.9;

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let engine = open()?;
    Ok([reading(&engine)?, several(&engine)?, learning()?].concat())
}

/// Texts of 512 tokens, each different from the first token on.
fn reading(engine: &Llama) -> anyhow::Result<Vec<Row>> {
    const LENGTH: u32 = 512;
    let text = |text: u32| (0..LENGTH).map(|n| 10 + (text * 7919 + n * 104_729 + n / 7) % 480).collect();
    let texts: Vec<Vec<Token>> = (0..40).map(text).collect();
    let requests: Vec<Request> = asked(&texts);
    let backend = ManuallyDrop::new(LlamaBackend {});
    let weights = LlamaModel::load_from_file(&backend, model(), &LlamaModelParams::default())?;
    let rate = |took: f64| texts.len() as f64 * f64::from(LENGTH) / took;
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let answer = || engine.answer(requests.clone(), &mut |_, _| (), &AtomicBool::new(false)).map(|_| ());
        ours.push(rate(seconds(answer)?));
        peer.push(rate(seconds(|| read(&backend, &weights, &texts, false))?));
    }
    Ok(vec![beside("judging, tokens/s", (ours, peer), "bare loop, the last logits")])
}

fn asked(texts: &[Vec<Token>]) -> Vec<Request> {
    let request = |(id, tokens): (usize, &Vec<Token>)| Request { id, tokens: tokens.clone(), ask: Ask::State };
    texts.iter().enumerate().map(request).collect()
}

/// Eight answers of 30 tokens to one prompt of 500.
fn several(engine: &Llama) -> anyhow::Result<Vec<Row>> {
    let prompt: Vec<Token> = (0..500_u32).map(|n| 10 + (n * 104_729) % 480).collect();
    let answer = |at: u32| (0..30_u32).map(move |n| 20 + (at * 97 + n * 31) % 400);
    let texts: Vec<Vec<Token>> = (0..8).map(|at| prompt.iter().copied().chain(answer(at)).collect()).collect();
    let (decoded, least) = (decoded(engine, &asked(&texts))?, prompt.len() + 8 * 30);
    let ratio = decoded as f64 / least as f64;
    let what = "judging 8 answers to 500 tokens, tokens decoded";
    let (ours, peer) = (decoded.to_string(), format!("{least} at least"));
    Ok(vec![Row::ratio(what, ours, peer, format!("{ratio:.3} ≤ 1.1"), ratio <= 1.1)])
}

/// Rows of 256 tokens: a prompt with four answers, learned from as judgements, and the same tokens learned one by one.
fn learning() -> anyhow::Result<Vec<Row>> {
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(steps(true)?);
        peer.push(steps(false)?);
    }
    Ok(vec![beside("learning from judgements, tokens/s", (ours, peer), "fine-tuning on them")])
}

/// Tokens a second of a few steps.
fn steps(judges: bool) -> anyhow::Result<f64> {
    const ROWS: usize = 8;
    const LENGTH: usize = 256;
    const STEPS: u64 = 4;
    let targets = if judges { 0 } else { ROWS * LENGTH };
    let shape = Shape { rows: ROWS, len: LENGTH, targets, ends: 4 * ROWS };
    let settings = Settings {
        trained: Trained::Lora(LoraSettings::default()),
        precision: Precision::Bf16,
        shape: shape.clone(),
        outputs: usize::from(judges),
        recompute: false,
        threads: cores(),
        seed: 1,
    };
    let mut decoder = Decoder::open(&model(), &settings)?;
    let token = |row: usize, at: usize| u32::try_from(10 + (row * 7919 + at * 104_729) % 480);
    let document = |row: usize| -> anyhow::Result<Document> {
        let tokens = (0..LENGTH).map(|at| token(row, at)).collect::<Result<_, _>>()?;
        let branches = if judges { vec![96, 136, 176, 216] } else { Vec::new() };
        Ok(Document { branches, ..Document::new(tokens, vec![!judges; LENGTH]) })
    };
    let documents: Vec<Document> = (0..ROWS).map(document).collect::<Result<_, _>>()?;
    let rows: Vec<Vec<&Document>> = documents.iter().map(|document| vec![document]).collect();
    let batch = Batch::new(&rows, &shape)?;
    let mut step = |number: u64| -> anyhow::Result<()> {
        decoder.learn(&batch, number, Box::new(slopes))?;
        decoder.update(&Update { step: number, lr: 1e-3, ..Update::default() })?;
        Ok(())
    };
    step(1)?;
    quiet::wait();
    let began = Instant::now();
    (2..2 + STEPS).try_for_each(&mut step)?;
    Ok((ROWS * LENGTH) as f64 * STEPS as f64 / began.elapsed().as_secs_f64())
}

/// Any slopes do: what is timed is the way back from them.
#[allow(clippy::needless_pass_by_value, reason = "the decoder calls it so")]
fn slopes(readings: &Readings) -> Coefficients {
    Coefficients { logprobs: vec![-1e-3; readings.logprobs.len()], outputs: vec![-1e-3; readings.outputs.len()] }
}

fn beside(what: &str, (ours, peer): (Vec<f64>, Vec<f64>), whose: &str) -> Row {
    let ratio = Spread::of(ours.iter().zip(&peer).map(|(ours, peer)| ours / peer));
    let whole = |rate: f64| format!("{rate:.0}");
    Row::ratio(
        what,
        Spread::of(ours).show(whole),
        format!("{} {whose}", Spread::of(peer).show(whole)),
        format!("{} ≥ {LEAST}", ratio.show(|ratio| format!("{ratio:.3}"))),
        ratio.median() >= LEAST,
    )
}
