//! A folder of files and the program run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The checkout.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The bundled model.
pub(crate) fn model() -> PathBuf {
    root().join("models/tripos-tiny.gguf")
}

/// A temporary folder; the program runs in it, with a cache of its own.
pub(crate) struct Workspace {
    dir: tempfile::TempDir,
}

/// What the program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Workspace {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// One that holds a suite with a scripted model: `a` and `b` ask in two ways, the script knows sums below 5.
    pub(crate) fn scripted() -> Self {
        let workspace = Self::new();
        workspace.write("suite.yaml", SUITE);
        workspace
            .write("a.txt", "{% for e in examples %}Q: {{ e.q }}\nA: {{ e.target }}\n\n{% endfor %}Q: {{ q }}\nA:\n");
        workspace.write("b.txt", "Say only the number. {{ q }}\n");
        workspace.write("model.yaml", MODEL);
        workspace
    }

    /// One that holds a suite on the bundled model: generated sums, two variants, one of them sampling.
    pub(crate) fn llama() -> Self {
        let workspace = Self::new();
        workspace.write("qa.txt", "Q: {{ q }}\nA:\n");
        workspace.write("steps.txt", "Q: {{ q }}\nA: Let's think step by step.\n");
        workspace.write("suite.yaml", LLAMA_SUITE.replace("MODEL", &model().display().to_string()));
        workspace
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// The program, ready to run here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tripos"));
        command.args(arguments);
        // Tests run beside each other: several models with all cores each would mostly wait for one another.
        if matches!(arguments.first(), Some(&("run" | "train"))) {
            command.args(["--threads", "1"]);
        }
        command
            .current_dir(self.path())
            .env("TRIPOS_CACHE", self.path().join("cache"))
            .env_remove("TRIPOS_LOG")
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn tripos(&self, arguments: &[&str]) -> Said {
        said(&self.command(arguments).output().unwrap())
    }

    /// Runs it and expects exit code 0.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Said {
        let said = self.tripos(arguments);
        assert_eq!(said.code, Some(0), "tripos {arguments:?}\n{}\n{}", said.stdout, said.stderr);
        said
    }

    /// The only folder of a run in `reports`.
    pub(crate) fn run_folder(&self) -> PathBuf {
        let mut folders = self.run_folders();
        assert_eq!(folders.len(), 1, "{folders:?}");
        folders.remove(0)
    }

    /// All folders of runs in `reports`, sorted.
    pub(crate) fn run_folders(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path().join("reports")).into_iter().flatten();
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        folders
    }
}

/// The samples of a run, in the order of the file.
pub(crate) fn samples_of(folder: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(folder.join("samples.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn said(output: &Output) -> Said {
    Said {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A sample as text without what may differ between two equal runs: times.
pub(crate) fn without_times(sample: &serde_json::Value) -> String {
    let mut sample = sample.clone();
    if let Some(completion) = sample.get_mut("completion").and_then(|c| c.as_object_mut()) {
        completion.remove("elapsed_s");
    }
    sample.to_string()
}

const SUITE: &str = "\
suite: sums
model: {scripted: model.yaml}
sampling: {max_tokens: 64}
cases:
  - {id: one, vars: {q: What is 1 + 1?}, target: 2, tags: [small]}
  - {id: two, vars: {q: What is 2 + 2?}, target: 4, tags: [small]}
  - {id: three, vars: {q: What is 30 + 3?}, target: 33, tags: [large]}
examples:
  - {vars: {q: What is 5 + 5?}, target: 10}
answer: {take: number, which: last}
scorers:
  - number: {name: exact}
variants:
  - {name: a, prompt: a.txt, examples: {count: 1}}
  - {name: b, prompt: b.txt}
";

const MODEL: &str = "\
answers:
  - {when: '1 \\+ 1\\?(\\nA:)?$', say: The answer is 2.}
  - {when: '2 \\+ 2\\?(\\nA:)?$', say: The answer is 4.}
  - {when: 'only.*30 \\+ 3', say: The answer is 33.}
otherwise: I do not know.
";

const LLAMA_SUITE: &str = "\
suite: sums
model: MODEL
context: 256
sampling: {max_tokens: 48, stop: [\"\\n\\n\"]}
cases:
  generate:
    count: 12
    seed: 3
    let: {a: {int: [10, 99]}, b: {int: [10, 99]}}
    case: {id: 's-{{ index }}', vars: {q: 'What is {{ a }} + {{ b }}?'}, target: '{{ a + b }}'}
scorers: [number]
variants:
  - {name: greedy, prompt: qa.txt}
  - {name: warm, prompt: steps.txt, sampling: {temperature: 0.8, top_k: 40}}
";
