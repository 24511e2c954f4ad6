//! A temporary folder with suites in it, and the program run in it with a cache of its own.

use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tripos::engine::KvMode;
use tripos::run::{RunSettings, Servers};
use tripos::suite::{Overrides, Suite, load};

/// Sequences in flight where `run --parallel` says nothing.
const PARALLEL: usize = 8;

/// The folder; gone when dropped.
pub(crate) struct Workspace {
    dir: tempfile::TempDir,
}

/// What a suite asks.
pub(crate) struct Asks<'a> {
    /// How many cases are generated.
    pub(crate) cases: usize,
    /// `a.gguf`, or `{scripted: a.yaml}`.
    pub(crate) model: &'a str,
    /// Most tokens of a completion.
    pub(crate) max_tokens: usize,
}

/// The variants of `suites/arithmetic.yaml`, over other numbers: 25,000 cases want more than two digits.
const SUITE: &str = "\
suite: bench
model: MODEL
sampling: {max_tokens: MOST, temperature: 0, stop: [\"\\n\\n\", \"\\nQ:\"]}
cases:
  generate:
    count: COUNT
    seed: 7
    let: {a: {int: [LOW, HIGH]}, b: {int: [10, LOW]}, op: {pick: [+, \"-\"]}}
    case:
      id: \"{% if op == '+' %}add{% else %}sub{% endif %}-{{ a }}-{{ b }}\"
      vars: {question: \"What is {{ a }} {{ op }} {{ b }}?\"}
      target: \"{% if op == '+' %}{{ a + b }}{% else %}{{ a - b }}{% endif %}\"
      tags: [\"{% if op == '+' %}addition{% else %}subtraction{% endif %}\"]
examples:
  - {vars: {question: What is 12 + 30?, steps: \"2 + 0 = 2. 1 + 3 = 4.\"}, target: 42}
  - {vars: {question: What is 68 - 25?, steps: \"8 - 5 = 3. 6 - 2 = 4.\"}, target: 43}
  - {vars: {question: What is 27 + 36?, steps: \"7 + 6 = 13, write 3 carry 1. 2 + 3 + 1 = 6.\"}, target: 63}
  - {vars: {question: What is 82 - 37?, steps: \"2 < 7, borrow, 12 - 7 = 5. 7 - 3 = 4.\"}, target: 45}
answer: {take: number, which: last}
scorers:
  - number: {name: exact}
variants:
  - {name: zero_shot, prompt: PROMPTS/qa.txt}
  - {name: few_shot, prompt: PROMPTS/qa.txt, examples: {count: 4}}
  - {name: cot_zero_shot, prompt: PROMPTS/cot.txt}
  - {name: cot_few_shot, prompt: PROMPTS/cot.txt, examples: {count: 4}}
";

const SCRIPT: &str = "answers: [{when: 'step by step', say: \" The answer is 42.\"}]\notherwise: \" 42\"\n";

impl Workspace {
    /// An empty one, with a copy of the program (a build that goes on beside the bench must not swap it) and the
    /// script of a fake model, `script.yaml`.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        std::fs::copy(env!("CARGO_BIN_EXE_tripos"), dir.path().join("tripos"))?;
        std::fs::write(dir.path().join("script.yaml"), SCRIPT)?;
        Ok(Self { dir })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a suite of the four arithmetic variants.
    pub(crate) fn write_suite(&self, name: &str, asks: &Asks) -> anyhow::Result<PathBuf> {
        // Two-digit numbers as long as there are enough of them: the bundled model knows no others.
        let (low, high) = if asks.cases <= 1_000 { (49, 99) } else { (999, 9_999) };
        let text = SUITE
            .replace("MODEL", asks.model)
            .replace("MOST", &asks.max_tokens.to_string())
            .replace("COUNT", &asks.cases.to_string())
            .replace("LOW", &low.to_string())
            .replace("HIGH", &high.to_string())
            .replace("PROMPTS", &root().join("prompts").display().to_string());
        let path = self.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// The program, ready to run here, silent.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path().join("tripos"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env("TRIPOS_CACHE", self.path().join("cache"))
            .env_remove("TRIPOS_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

/// Reads a suite.
pub(crate) fn read_suite(path: &Path) -> anyhow::Result<Suite> {
    let (suite, problems) = load(path, &Overrides::default());
    ensure!(!problems.any_error(), "{problems}");
    suite.context("the suite could not be read")
}

/// The settings of a plain `tripos run --no-cache`; the model is trusted.
pub(crate) fn settings() -> RunSettings {
    RunSettings {
        threads: cores(),
        gpu_layers: None,
        kv: KvMode::Tree,
        kv_check: false,
        parallel: PARALLEL,
        probe: None,
        memory: None,
        use_cache: false,
        kept: Vec::new(),
        allow_commands: false,
        llama_cpp: tripos::ggml::version(),
        features: Vec::new(),
        servers: Servers::Unasked,
    }
}

/// The bundled model.
pub(crate) fn model() -> PathBuf {
    root().join("models/tripos-tiny.gguf")
}

/// Cores that may be used.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
