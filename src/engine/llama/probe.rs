//! A model not seen before is tried in a child process, because llama.cpp aborts on what it does not expect.
//!
//! The child is this program itself, called with a hidden subcommand ([`run_child`]): it loads the model, decodes one
//! token and exits. If it dies, the parent lives and reports what the child said last.

use super::super::EngineError;
use super::backend::backend;
use crate::error::Place;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program that tries models; its arguments are followed by the model and, if any, the adapter.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The program: this one.
    pub program: PathBuf,
    /// Arguments that make it call [`run_child`].
    pub arguments: Vec<String>,
}

impl Probe {
    /// Tries a model; an error holds the child's last words.
    pub fn try_model(&self, model: &Path, adapter: Option<&Path>) -> Result<(), EngineError> {
        let refused = |reason: String| EngineError::Refused { place: Place::file(model), reason };
        let output = Command::new(&self.program)
            .args(&self.arguments)
            .arg(model)
            .args(adapter)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .map_err(|e| refused(format!("the trial process does not start: {e}")))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(refused(last_words(&said).unwrap_or_else(|| format!("the trial process died ({})", output.status))))
    }
}

/// The most telling line of a dying child: llama.cpp's first complaint, else the last line.
fn last_words(said: &str) -> Option<String> {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let telling = ["error loading model", "stopped at a check", "failed to", "error"];
    let line = telling.iter().find_map(|word| lines.iter().find(|line| line.contains(word))).or(lines.last())?;
    Some(line.rsplit_once("error loading model: ").map_or(*line, |(_, reason)| reason).to_owned())
}

/// The child's part: loads the model (and adapter), decodes one token.
pub fn run_child(model: &Path, adapter: Option<&Path>) -> Result<(), String> {
    let backend = backend()?;
    let mut loaded =
        LlamaModel::load_from_file(backend, model, &LlamaModelParams::default()).map_err(|e| e.to_string())?;
    let mut adapter =
        adapter.map(|path| loaded.lora_adapter_init(path)).transpose().map_err(|e| format!("the adapter: {e}"))?;
    let params = LlamaContextParams::default().with_n_ctx(NonZeroU32::new(64)).with_n_batch(32).with_n_ubatch(32);
    let mut context = loaded.new_context(backend, params).map_err(|e| e.to_string())?;
    if let Some(adapter) = &mut adapter {
        context.lora_adapter_set(adapter, 1.0).map_err(|e| e.to_string())?;
    }
    let vocab = loaded.vocab();
    let first = vocab.tokenize(b"a", true, false).first().copied().unwrap_or(LlamaToken(0));
    let mut batch = LlamaBatch::new(1, 1);
    batch.add(first, 0, &[0], true).map_err(|e| e.to_string())?;
    context.decode(&mut batch).map_err(|e| e.to_string())?;
    let logits = context.get_logits_ith(0);
    if logits.iter().any(|logit| logit.is_nan()) {
        return Err("failed to compute: the first token's logits are not numbers, so the weights are damaged".into());
    }
    vocab.token_to_piece(first, true, None);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dying_child_leaves_its_most_telling_line() {
        let said = "llama_model_load: error loading model: tensor 'x' data is not within the file bounds\nllama_load: failed to load\n";
        assert_eq!(last_words(said).unwrap(), "tensor 'x' data is not within the file bounds");
        assert_eq!(last_words(""), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_and_no_panic() {
        let probe = Probe { program: "/no/such/program".into(), arguments: vec![] };
        assert!(probe.try_model(Path::new("x.gguf"), None).unwrap_err().to_string().contains("does not start"));
    }
}
