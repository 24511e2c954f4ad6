//! Tokens per second and peak memory of a training step, against PyTorch on the same machine, in turn.
//!
//! Both sides do the same: forward, cross-entropy on every token, backward, clipping, AdamW; no data is read. Each runs in
//! a process of its own (ours is this program again), so that peaks can be compared; the weights' file, which is mapped, is
//! in ours. Our rows have T tokens, of which the last foretells nothing: T − 1 targets, where the peer's have T.
//! What is quoted is the ratio to the better of PyTorch's two modes, in speed and in memory.

mod bound;
pub(crate) mod random_model;

use crate::quiet;
use crate::spread::Spread;
use crate::table::Row;
use crate::torch::{self, Mode};
use crate::workspace::cores;
use anyhow::{Context as _, ensure};
use random_model::Format;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use tripos::model::{
    Batch, Coefficients, Decoder, Document, LoraOn, LoraSettings, Precision, Readings, Settings, Shape, Trained, Update,
};

/// The word that makes this program the child in which a step is measured.
pub(crate) const CHILD: &str = "training-step";

/// What is wanted: tokens/s at least so much of PyTorch's, memory at most.
const LEAST_SPEED: f64 = 1.2;
const MOST_MEMORY: f64 = 0.7;

/// Kinds of work that the breakdown shows.
const SHOWN: usize = 10;

/// A model, a batch, and how often it is computed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Size {
    pub(crate) d: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) kv: usize,
    pub(crate) ff: usize,
    pub(crate) vocab: usize,
    pub(crate) seq: usize,
    pub(crate) batch: usize,
    /// Rank of the adapters; 0 trains every weight.
    pub(crate) lora: usize,
    /// Steps timed, and steps before them.
    pub(crate) steps: usize,
    pub(crate) warmup: usize,
}

/// Small and trained whole, as in the recipes that come with Tripos.
const SMALL: Size = Size {
    d: 256,
    layers: 6,
    heads: 8,
    kv: 8,
    ff: 672,
    vocab: 1024,
    seq: 256,
    batch: 16,
    lora: 0,
    steps: 8,
    warmup: 2,
};

/// SmolLM2-135M with adapters.
pub(crate) const LARGE: Size = Size {
    d: 576,
    layers: 30,
    heads: 9,
    kv: 3,
    ff: 1536,
    vocab: 49152,
    seq: 512,
    batch: 4,
    lora: 16,
    steps: 3,
    warmup: 1,
};

/// What a process says of itself: the peer in the same words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) tokens_per_s: f64,
    pub(crate) peak_mib: f64,
    /// Seconds of one step by the kind of work; the peer has none.
    #[serde(default)]
    pub(crate) work: Vec<(String, f64)>,
}

impl Figures {
    /// The last line of what a process printed.
    pub(crate) fn parse(stdout: &[u8]) -> anyhow::Result<Self> {
        let text = String::from_utf8_lossy(stdout);
        let line = text.lines().last().context("nothing was printed")?;
        serde_json::from_str(line).with_context(|| format!("no figures: {line}"))
    }
}

/// The figures of some processes that did the same.
struct Side {
    name: String,
    all: Vec<Figures>,
}

impl Side {
    fn speed(&self) -> Spread {
        Spread::of(self.all.iter().map(|figures| figures.tokens_per_s))
    }

    fn memory(&self) -> Spread {
        Spread::of(self.all.iter().map(|figures| figures.peak_mib))
    }

    /// A figure, with its range where several processes have told it.
    fn show(&self, of: fn(&Self) -> Spread) -> String {
        let whole = |x: f64| format!("{x:.0}");
        if self.all.len() > 1 { of(self).show(whole) } else { whole(of(self).median()) }
    }
}

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let peer = torch::here();
    if let Err(reason) = &peer {
        println!("peer absent: {reason:#}");
    }
    let mut rows = contest(&SMALL, &[Format::F32], (peer.is_ok(), 3))?;
    rows.extend(contest(&LARGE, &[Format::Q8_0, Format::Bf16], (peer.is_ok(), 2))?);
    Ok(rows)
}

/// Ours with the weights in each format, and the peer in each mode, in turn, `rounds` times.
fn contest(size: &Size, formats: &[Format], (with_peer, rounds): (bool, usize)) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let path = |format: &Format| folder.path().join(format!("{}.gguf", format.name()));
    for format in formats {
        random_model::write(&path(format), size, *format)?;
    }
    let side = |name: &str| Side { name: name.to_owned(), all: Vec::new() };
    let mut ours: Vec<Side> = formats.iter().map(|format| side(format.name())).collect();
    let mut theirs: Vec<Side> = Mode::ALL.iter().filter(|_| with_peer).map(|mode| side(mode.name())).collect();
    for _ in 0..rounds {
        for (format, side) in formats.iter().zip(&mut ours) {
            quiet::wait();
            side.all.push(figures(&path(format), size)?);
        }
        for (mode, side) in Mode::ALL.into_iter().zip(&mut theirs) {
            quiet::wait();
            side.all.push(torch::figures(size, mode)?);
        }
    }
    let mut rows = Vec::new();
    for side in &ours {
        breakdown(&title(size, side), &side.all[0].work);
        bound::print(size, &side.all[0])?;
        rows.extend(against(size, side, &theirs));
    }
    Ok(rows)
}

fn title(size: &Size, side: &Side) -> String {
    let trained = if size.lora > 0 { format!("LoRA {} on {}", size.lora, side.name) } else { "full".to_owned() };
    format!("training, d {}, {} layers, {trained}", size.d, size.layers)
}

/// Speed and memory against the better of the peer's modes.
fn against(size: &Size, ours: &Side, theirs: &[Side]) -> [Row; 2] {
    let title = title(size, ours);
    let (speed, memory) = (format!("{title}, tokens/s"), format!("{title}, peak MiB"));
    let shown = (ours.show(Side::speed), ours.show(Side::memory));
    let by = |of: fn(&Side) -> Spread| move |a: &&Side, b: &&Side| of(a).median().total_cmp(&of(b).median());
    let (fastest, smallest) = (theirs.iter().max_by(by(Side::speed)), theirs.iter().min_by(by(Side::memory)));
    let (Some(fastest), Some(smallest)) = (fastest, smallest) else {
        return [Row::alone(&speed, shown.0), Row::alone(&memory, shown.1)];
    };
    let modes = |of: fn(&Side) -> Spread| {
        let each: Vec<String> = theirs.iter().map(|side| format!("{} {}", side.show(of), side.name)).collect();
        format!("PyTorch {}", each.join(", "))
    };
    let ratio = ours.speed().median() / fastest.speed().median();
    let share = ours.memory().median() / smallest.memory().median();
    let (least, most) = (format!("{ratio:.2} ≥ {LEAST_SPEED}"), format!("{share:.2} ≤ {MOST_MEMORY}"));
    [
        Row::ratio(&speed, shown.0, modes(Side::speed), least, ratio >= LEAST_SPEED),
        Row::ratio(&memory, shown.1, modes(Side::memory), most, share <= MOST_MEMORY),
    ]
}

/// Where a step's time goes: a small table.
fn breakdown(title: &str, work: &[(String, f64)]) {
    let mut work = work.to_vec();
    work.sort_by(|a, b| b.1.total_cmp(&a.1));
    let total: f64 = work.iter().map(|(_, seconds)| seconds).sum();
    println!("\n{title}: {total:.2} s a step, of which");
    let width = work.iter().take(SHOWN).map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, seconds) in work.iter().take(SHOWN) {
        println!("  {name:<width$}  {:5.1} %  {:8.1} ms", 100.0 * seconds / total, seconds * 1e3);
    }
    if let Some(rest) = work.get(SHOWN..).filter(|rest| !rest.is_empty()) {
        let seconds: f64 = rest.iter().map(|(_, seconds)| seconds).sum();
        println!("  {:<width$}  {:5.1} %  {:8.1} ms", "others", 100.0 * seconds / total, seconds * 1e3);
    }
}

/// Ours, in a child process.
fn figures(model: &Path, size: &Size) -> anyhow::Result<Figures> {
    let output = Command::new(std::env::current_exe()?)
        .arg(CHILD)
        .arg(model)
        .arg(serde_json::to_string(size)?)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the training step ended with {}", output.status);
    Figures::parse(&output.stdout)
}

/// The child: measures and prints one line.
pub(crate) fn child() {
    let words: Vec<String> = std::env::args().skip(2).collect();
    let told = match words.as_slice() {
        [model, size] => serde_json::from_str(size).map_err(anyhow::Error::from).and_then(|size| {
            let figures = train(Path::new(model), &size)?;
            Ok(serde_json::to_string(&figures)?)
        }),
        _ => Err(anyhow::anyhow!("not a model and a size: {words:?}")),
    };
    match told {
        Ok(line) => println!("{line}"),
        // The parent takes it for figures, and shows what it is.
        Err(error) => println!("{error:#}"),
    }
}

fn train(model: &Path, size: &Size) -> anyhow::Result<Figures> {
    let shape = Shape { rows: size.batch, len: size.seq, targets: size.batch * (size.seq - 1), ends: size.batch };
    let lora = LoraSettings { rank: size.lora, alpha: 2.0 * size.lora as f32, dropout: 0.0, on: LoraOn::All };
    let settings = Settings {
        trained: if size.lora > 0 { Trained::Lora(lora) } else { Trained::Full },
        precision: Precision::Bf16,
        shape: shape.clone(),
        outputs: 0,
        recompute: false,
        threads: cores(),
        seed: 1,
    };
    let mut decoder = Decoder::open(model, &settings)?;
    let mut times = Vec::new();
    for step in 0..size.warmup + size.steps {
        let documents: Vec<Document> = (0..size.batch).map(|row| document(size, step * size.batch + row)).collect();
        let began = Instant::now();
        let rows: Vec<Vec<&Document>> = documents.iter().map(|document| vec![document]).collect();
        decoder.learn(&Batch::new(&rows, &shape)?, step as u64, Box::new(mean))?;
        decoder.update(&update(step))?;
        if step >= size.warmup {
            times.push(began.elapsed().as_secs_f64());
        }
    }
    let peak_mib = crate::memory::own_peak()? / crate::memory::MIB;
    let documents: Vec<Document> = (0..size.batch).map(|row| document(size, row)).collect();
    let rows: Vec<Vec<&Document>> = documents.iter().map(|document| vec![document]).collect();
    let work = decoder.profile(&Batch::new(&rows, &shape)?)?;
    let tokens = (size.batch * size.seq) as f64;
    Ok(Figures { tokens_per_s: tokens / Spread::of(times).median(), peak_mib, work })
}

/// A row of random tokens, all of them learned.
fn document(size: &Size, number: usize) -> Document {
    let mut random = random_model::Random::new(number as u64);
    let tokens = (0..size.seq).map(|_| random.below(size.vocab)).collect();
    Document::new(tokens, vec![true; size.seq])
}

/// Minus the mean log-probability.
#[allow(clippy::needless_pass_by_value, reason = "the decoder calls it so")]
fn mean(readings: &Readings) -> Coefficients {
    let count = readings.logprobs.len();
    Coefficients { logprobs: vec![-1.0 / count as f32; count], outputs: Vec::new() }
}

/// PyTorch's AdamW as the peer calls it.
fn update(step: usize) -> Update {
    Update { step: step as u64 + 1, lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.01, clip: 1.0 }
}
