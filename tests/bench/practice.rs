//! Practice: rounds of a policy's own answers (GRPO), beside `tripos run` on the same prompts; and what it holds of its base.
//!
//! The policy is an adapter on a model of random weights, as large as the bundled one and with its vocabulary: it hardly ever stops by
//! itself, so that answers have the 64 tokens that they may have.

use crate::memory::MIB;
use crate::quiet;
use crate::spread::Spread;
use crate::table::Row;
use crate::training::random_model::{Format, write_speaking};
use crate::training::{LARGE, Size};
use crate::workspace::{Workspace, model, read_suite, settings};
use anyhow::{Context as _, anyhow, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tripos::run::{Prepared, Selection, Silent, Watch, whole};
use tripos::store::read_samples;
use tripos::store::training::{StepRecord, read_steps, read_training};
use tripos::suite::AdapterRef;
use tripos::train::TrainObserver;
use tripos::train::recipe::{self, Overrides};
use tripos::train::reinforce::{Practising, Ready};

const PAIRS: usize = 3;
/// Rounds of each training run; the first warms up.
const ROUNDS: usize = 4;
/// Of the speed of `tripos run`; and of a round, in llama.cpp's decoding and the training graph.
const LEAST_SPEED: f64 = 0.9;
const LEAST_INSIDE: f64 = 0.85;
/// What is mapped, over the base's file: the program and its libraries are in it, too.
const MOST_MAPPED: f64 = 1.25;

/// As large as the bundled model.
const TINY: Size =
    Size { d: 256, layers: 4, heads: 8, kv: 4, ff: 704, vocab: 0, seq: 512, batch: 0, lora: 0, steps: 0, warmup: 0 };

const SUITE: &str = "suite: practice\nmodel: model.gguf\ncontext: 128\nsampling: {max_tokens: MOST, temperature: 1}\ncases: {generate: {count: \
                     CASES, seed: 1, let: {a: {int: [10, 99]}, b: {int: [10, 99]}}, case: {vars: {question: 'What is {{ a }} + {{ b \
                     }}?'}, target: '{{ a + b }}'}}}\nscorers: [{regex: {name: early, pattern: '[a-m]'}}, {regex: {name: digit, pattern: \
                     '[0-9]$'}}]\nvariants: [{name: all, prompt: qa.txt, repeats: REPEATS}]\n";

const RECIPE: &str = "recipe: practice\nkind: grpo\nmodel: model.gguf\npractice: {suite: suite.yaml, rewards: {digit: 1}, prompts: PROMPTS, \
                      answers: ANSWERS}\nheld_out: {share: 0.1}\ntrain: {lora: {rank: 8, alpha: 16}}\nsequence: 128\nmicro_batch: 16\nsteps: \
                      STEPS\nevaluate: {every: 0}\ncheckpoint: {every: 1000}\noutput: out.adapter.gguf\n";

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    Ok([rounds()?, weights()?].concat())
}

/// A folder with a model, a suite that it practises or is asked, and a recipe.
fn workspace(
    size: &Size,
    [cases, most, repeats]: [usize; 3],
    [prompts, answers]: [usize; 2],
) -> anyhow::Result<Workspace> {
    let workspace = Workspace::new()?;
    let write = |name: &str, text: String| std::fs::write(workspace.path().join(name), text);
    write_speaking(&workspace.path().join("model.gguf"), size, Format::Q8_0, &model())?;
    let suite = SUITE.replace("MOST", &most.to_string()).replace("CASES", &cases.to_string());
    write("asked.yaml", suite.replace("REPEATS", &repeats.to_string()))?;
    write("suite.yaml", suite.replace("count: 8", "count: 40").replace("REPEATS", "1"))?;
    write("qa.txt", "Q: {{ question }}\nA:".into())?;
    let recipe = RECIPE.replace("PROMPTS", &prompts.to_string()).replace("ANSWERS", &answers.to_string());
    write("recipe.yaml", recipe.replace("STEPS", &ROUNDS.to_string()))?;
    Ok(workspace)
}

/// 8 prompts with 16 answers each.
fn rounds() -> anyhow::Result<Vec<Row>> {
    let workspace = workspace(&TINY, [8, 64, 16], [8, 16])?;
    let (mut drawn, mut asked, mut inside) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = Vec::new();
    for _ in 0..PAIRS {
        quiet::wait();
        let (steps, adapter) = practised(workspace.path())?;
        let told = |step: &StepRecord| step.practice.clone().context("a step without practice");
        let all =
            steps[1..].iter().map(|step| Ok((told(step)?, step.elapsed_s))).collect::<anyhow::Result<Vec<_>>>()?;
        let tokens: f64 = all.iter().map(|(told, _)| told.length * told.answers as f64).sum();
        drawn.push(tokens / all.iter().map(|(told, _)| told.drawn_s).sum::<f64>());
        let elapsed: f64 = all.iter().map(|(_, elapsed)| elapsed).sum();
        inside.push(all.iter().map(|(told, _)| told.decoded_s + told.learned_s).sum::<f64>() / elapsed);
        last = all;
        quiet::wait();
        asked.push(run(workspace.path(), &adapter)?);
    }
    if let Some((told, elapsed)) = last.last() {
        let rest = elapsed - told.drawn_s - told.learned_s;
        println!("\na round of 8 × 16 answers of {:.0} tokens: {elapsed:.2} s, of which", told.length);
        for (what, seconds) in [
            ("decoding", told.decoded_s),
            ("policy's file, models, judging, records", told.drawn_s - told.decoded_s),
            ("training graph", told.learned_s),
            ("the rest", rest),
        ] {
            println!("  {what:<40}  {:5.1} %  {:8.1} ms", 100.0 * seconds / elapsed, seconds * 1e3);
        }
    }
    let speed = Spread::of(drawn.iter().zip(&asked).map(|(ours, peer)| ours / peer));
    let inside = Spread::of(inside);
    let whole = |rate: f64| format!("{rate:.0}");
    let share = |share: f64| format!("{share:.3}");
    Ok(vec![
        Row::ratio(
            "rollouts, tokens/s",
            Spread::of(drawn).show(whole),
            format!("{} tripos run on it", Spread::of(asked).show(whole)),
            format!("{} ≥ {LEAST_SPEED}", speed.show(share)),
            speed.median() >= LEAST_SPEED,
        ),
        Row::bound(
            "a round of GRPO, share in decode and training graph",
            inside.show(share),
            &format!("≥ {LEAST_INSIDE}"),
            inside.median() >= LEAST_INSIDE,
        ),
    ])
}

/// The steps of a training run, and its adapter.
fn practised(folder: &Path) -> anyhow::Result<(Vec<StepRecord>, PathBuf)> {
    let settings = settings();
    let (recipe, problems) = recipe::load(&folder.join("recipe.yaml"), &Overrides::default());
    ensure!(!problems.any_error(), "{problems}");
    let recipe = recipe.context("no recipe")?;
    let ready = Ready::new(recipe, &settings).map_err(|problems| anyhow!("{problems}"))?;
    let (stop, flags) = (AtomicBool::new(false), BTreeMap::new());
    let watch = tripos::train::Watch { observer: &Quiet, stop: &stop };
    let practising = Practising { ready: &ready, machine: &settings, watch, flags: &flags, copy: false };
    let (run, _) = practising.begin(&folder.join("training")).map_err(|problems| anyhow!("{problems}"))?;
    let outcome = read_training(&run)?.outcome.context("practice made no adapter")?;
    Ok((read_steps(&run)?, run.join(outcome.output.path)))
}

/// Tokens a second of `tripos run --adapter`, from the suite's models to the closed folder.
fn run(folder: &Path, adapter: &Path) -> anyhow::Result<f64> {
    let mut suite = read_suite(&folder.join("asked.yaml"))?;
    for variant in &mut suite.variants {
        variant.adapter = Some(AdapterRef { path: adapter.to_path_buf(), scale: 1.0 });
    }
    let settings = settings();
    let began = Instant::now();
    let plan = Selection::default().plan(&suite, 0).map_err(|problems| anyhow!("{problems}"))?;
    let prepared = Prepared::new(&suite, plan, &settings).map_err(|problems| anyhow!("{problems}"))?;
    let stop = AtomicBool::new(false);
    let watch = Watch { observer: &Silent, stop: &stop, rule: None };
    let run =
        whole(&prepared, (&folder.join("runs"), 0), &settings, watch).map_err(|problems| anyhow!("{problems}"))?;
    let took = began.elapsed().as_secs_f64();
    let mut tokens = 0;
    read_samples(&run.context("the run was stopped")?, |sample| {
        tokens += sample.completion.map_or(0, |said| said.completion_tokens);
    })?;
    Ok(tokens as f64 / took)
}

/// What a program that practises on a larger base holds of it: llama.cpp and the trainable decoder map one file.
fn weights() -> anyhow::Result<Vec<Row>> {
    ensure!(Path::new("/proc/self/smaps_rollup").exists(), "not measured: there is no /proc/self/smaps_rollup here");
    let workspace = workspace(&LARGE, [8, 16, 1], [2, 2])?;
    let file = std::fs::metadata(workspace.path().join("model.gguf"))?.len() as f64;
    let mut child = workspace.command(&["train", "recipe.yaml", "--steps", "1"]).spawn()?;
    let rollup = format!("/proc/{}/smaps_rollup", child.id());
    let (mut mapped, mut own) = (0.0_f64, 0.0_f64);
    let code = loop {
        let text = std::fs::read_to_string(&rollup).unwrap_or_default();
        mapped = mapped.max(kib(&text, "Pss_File:"));
        own = own.max(kib(&text, "Pss_Anon:"));
        if let Some(code) = child.try_wait()? {
            break code;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    ensure!(code.success(), "tripos ended with {code}");
    let ratio = mapped / file;
    Ok(vec![
        Row::ratio(
            "practice, base's weights and program mapped, MiB",
            format!("{:.0}", mapped / MIB),
            format!("{:.0} the base's file", file / MIB),
            format!("{ratio:.2} ≤ {MOST_MAPPED}"),
            ratio <= MOST_MAPPED,
        ),
        Row::beside("practice, memory of its own, MiB", format!("{:.0}", own / MIB)),
    ])
}

/// `Pss_File:   12345 kB`, in bytes; 0 where it is not told.
fn kib(rollup: &str, name: &str) -> f64 {
    let line = rollup.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}

struct Quiet;

impl TrainObserver for Quiet {}
