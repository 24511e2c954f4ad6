//! `tripos init`: a small suite that runs as it is.

use super::failure::Failure;
use super::output::print;
use crate::hub::Uri;
use crate::suite::is_elsewhere;
use anyhow::Context;
use std::path::{Path, PathBuf};

/// Where the bundled model lies in a checkout.
const BUNDLED: &str = "models/tripos-tiny.gguf";

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder to write into
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The model to ask [default: models/tripos-tiny.gguf where it is there, else a script of canned answers]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
}

/// Writes `suite.yaml`, two prompts and, without a model, a script. Never overwrites a file.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let model = args.model.clone().or_else(|| Path::new(BUNDLED).is_file().then(|| BUNDLED.into()));
    let model_line = match &model {
        // It is looked for when the suite is run.
        Some(uri) if is_elsewhere(uri) => {
            let uri = Uri::parse(&uri.to_string_lossy())?;
            format!("model: {}", serde_json::to_string(&uri.to_string()).context("the model's name is not text")?)
        }
        Some(path) => {
            let path = path.canonicalize().with_context(|| format!("the model {} cannot be opened", path.display()))?;
            format!("model: {}", serde_json::to_string(&path).context("the model's path is not text")?)
        }
        None => "model: {scripted: answers.yaml}   # canned answers; put the path of a GGUF file here".to_owned(),
    };
    let suite = SUITE.replace("{model}", &model_line);
    let mut files = vec![("suite.yaml", suite.as_str()), ("ask.txt", ASK), ("steps.txt", STEPS)];
    if model.is_none() {
        files.push(("answers.yaml", ANSWERS));
    }
    if let Some((name, _)) = files.iter().find(|(name, _)| args.folder.join(name).exists()) {
        let path = args.folder.join(name);
        return Err(anyhow::anyhow!("{} is there already; give another folder: tripos init DIR", path.display()).into());
    }
    std::fs::create_dir_all(&args.folder).with_context(|| format!("cannot make {}", args.folder.display()))?;
    for (name, text) in &files {
        let path = args.folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let written: Vec<String> = files.iter().map(|(name, _)| args.folder.join(name).display().to_string()).collect();
    let suite = args.folder.join("suite.yaml");
    print(&format!("wrote {}\nnow: tripos run {}\n", written.join(", "), suite.display()))
}

const SUITE: &str = "\
# A suite asks the same cases in several ways and compares them in one table.
suite: first
description: Two ways of asking for a sum.
{model}
sampling: {max_tokens: 128, temperature: 0, stop: [\"\\n\\n\"]}

cases:
  - {id: small, vars: {question: What is 2 + 3?}, target: 5}
  - {id: carry, vars: {question: What is 47 + 38?}, target: 85}
  - {id: large, vars: {question: What is 60 + 27?}, target: 87}
# or a file: `cases: cases.jsonl`, or made by rule: `cases: {generate: …}`

examples:                       # solved cases that a variant may show
  - {vars: {question: What is 12 + 30?}, target: 42}
  - {vars: {question: What is 51 + 8?}, target: 59}

answer: {take: number, which: last}
scorers:
  - number: {name: exact}
variants:
  - {name: zero_shot, prompt: ask.txt}
  - {name: few_shot, prompt: ask.txt, examples: {count: 2}}
  - {name: step_by_step, prompt: steps.txt}
";

const ASK: &str = "\
{% for e in examples %}Q: {{ e.question }}
A: {{ e.target }}

{% endfor %}Q: {{ question }}
A:
";

const STEPS: &str = "\
Q: {{ question }}
A: Let's think step by step.
";

const ANSWERS: &str = "\
# The first expression that matches the prompt gives the answer.
answers:
  - {when: \"2 \\\\+ 3\", say: \" The answer is 5.\"}
  - {when: \"47 \\\\+ 38[^Q]*step\", say: \" 7 + 8 = 15, 40 + 30 = 70, 70 + 15 = 85. The answer is 85.\"}
otherwise: \" I do not know.\"
";
