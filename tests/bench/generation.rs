//! Tokens per second of a run, against a bare llama.cpp loop on the same prompts, with the same token counts.
//!
//! Ours is all that `run` does after the model is loaded: it renders, tokenises, decodes, looks for stop texts, judges
//! and records. The peer ([`bare_loop`]) gets token ids and counts. Neither side's time holds the loading of the weights;
//! both sides' hold the making of the context.

use crate::bare_loop::{self, Setting};
use crate::quiet;
use crate::spread::Spread;
use crate::table::Row;
use crate::workspace::{Asks, Workspace, cores, model, read_suite, settings};
use anyhow::{anyhow, ensure};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use tripos::run::{Prepared, Selection, Silent, Watch, execute};
use tripos::store::{RunFolder, Status, read_samples};

/// Pairs of ours and peer, interleaved.
const PAIRS: usize = 7;

/// The bound of issue 2.
const LEAST: f64 = 0.95;

/// A prompt of the peer's, and how many tokens it gets.
pub(crate) struct Job {
    pub(crate) prompt: Vec<LlamaToken>,
    pub(crate) draws: usize,
}

/// Answers in steps, where drawing is most of the work; and bare answers after four examples, where reading the prompt is.
pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    [("cot_zero_shot", 200), ("few_shot", 200)].into_iter().map(|(name, cases)| variant(name, cases)).collect()
}

fn variant(name: &str, cases: usize) -> anyhow::Result<Row> {
    let workspace = Workspace::new()?;
    let gguf = model().display().to_string();
    let path = workspace.write_suite("suite.yaml", &Asks { cases, model: &gguf, max_tokens: 96 })?;
    let suite = read_suite(&path)?;
    let wanted = Selection { variants: vec![name.to_owned()], ..Selection::default() };
    let plan = wanted.plan(&suite, 0).map_err(|problems| anyhow!("{problems}"))?;
    let prepared = Prepared::new(&suite, plan, &settings()).map_err(|problems| anyhow!("{problems}"))?;
    // The engine has made the back end; this is the proof of it that llama-cpp-2 wants, never to be dropped, for that
    // would end it.
    let backend = ManuallyDrop::new(LlamaBackend {});
    let weights = LlamaModel::load_from_file(&backend, model(), &LlamaModelParams::default())?;

    let (_, jobs) = ours(&prepared, workspace.path())?;
    let peer = |set: Setting| {
        quiet::wait();
        let began = Instant::now();
        let tokens = bare_loop::run(&backend, &weights, &jobs, set)?;
        anyhow::Ok(tokens as f64 / began.elapsed().as_secs_f64())
    };
    let best = best_of(&peer)?;
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let (rate, again) = ours(&prepared, workspace.path())?;
        ensure!(total(&again) == total(&jobs), "two runs drew {} and {} tokens", total(&again), total(&jobs));
        mine.push(rate);
        theirs.push(peer(best)?);
    }
    let ratio = Spread::of(mine.iter().zip(&theirs).map(|(ours, peer)| ours / peer));
    let whole = |rate: f64| format!("{rate:.0}");
    let kv = if best.unified { "one KV cache" } else { "a KV cache each" };
    let (of, peer_of) = (Spread::of(mine), Spread::of(theirs));
    Ok(Row::ratio(
        &format!("generation, {name}, tokens/s"),
        of.show(whole),
        format!("{} bare loop, {} sequences, {kv}", peer_of.show(whole), best.sequences),
        format!("{} ≥ {LEAST}", ratio.show(|ratio| format!("{ratio:.3}"))),
        ratio.median() >= LEAST,
    ))
}

fn total(jobs: &[Job]) -> usize {
    jobs.iter().map(|job| job.draws).sum()
}

/// The peer's fastest setting: each is tried once, and the three fastest twice more.
fn best_of(peer: &dyn Fn(Setting) -> anyhow::Result<f64>) -> anyhow::Result<Setting> {
    let mut tried = Vec::new();
    for sequences in [1, 4, 16, 64] {
        for unified in [true, false] {
            let set = Setting { sequences, threads: cores(), unified };
            tried.push((peer(set)?, set));
        }
    }
    let by_rate = |a: &(f64, Setting), b: &(f64, Setting)| b.0.total_cmp(&a.0);
    tried.sort_by(by_rate);
    tried.truncate(3);
    for _ in 0..2 {
        for (rate, set) in &mut tried {
            *rate = rate.max(peer(*set)?);
        }
    }
    tried.sort_by(by_rate);
    tried.first().map(|(_, set)| *set).ok_or_else(|| anyhow!("no setting was tried"))
}

/// One run, recorded as `run` records it: tokens per second, and what was asked and how long the answers were.
fn ours(prepared: &Prepared, parent: &Path) -> anyhow::Result<(f64, Vec<Job>)> {
    quiet::wait();
    let began = Instant::now();
    let header = prepared.header(BTreeMap::new(), 0).map_err(|problems| anyhow!("{problems}"))?;
    let mut folder = RunFolder::create(&parent.join("reports"), header)?;
    let never = AtomicBool::new(false);
    execute(
        prepared,
        &mut folder,
        &BTreeSet::new(),
        &settings(),
        Watch { observer: &Silent, stop: &never, rule: None },
    )
    .map_err(|problems| anyhow!("{problems}"))?;
    let (path, _) = folder.close(Status::Complete)?;
    let seconds = began.elapsed().as_secs_f64();
    let mut jobs = Vec::new();
    read_samples(&path, |sample| {
        if let (Some(prompt), Some(completion)) = (sample.prompt, sample.completion) {
            let prompt = prompt.tokens.iter().map(|token| LlamaToken(token.cast_signed())).collect();
            jobs.push(Job { prompt, draws: completion.tokens.len() });
        }
    })?;
    ensure!(jobs.len() == prepared.plan.len(), "{} of {} trials were asked", jobs.len(), prepared.plan.len());
    Ok((total(&jobs) as f64 / seconds, jobs))
}
