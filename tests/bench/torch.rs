//! The peer of training: `../shared/bench/torch_train.py`, run by `$TRIPOS_BENCH_PYTHON` (else `python3`).

use super::training::{Figures, Size};
use anyhow::{Context as _, bail, ensure};
use std::path::PathBuf;
use std::process::Command;

/// What multiplies: PyTorch's 32-bit numbers, or 16-bit ones where it finds them good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Fp32,
    Bf16,
}

impl Mode {
    pub(crate) const ALL: [Self; 2] = [Self::Fp32, Self::Bf16];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
        }
    }
}

/// Whether the peer is here; else why not.
pub(crate) fn here() -> anyhow::Result<()> {
    let script = script();
    ensure!(script.exists(), "there is no {}", script.display());
    let python = python();
    let tried = Command::new(&python).args(["-c", "import torch"]).output();
    let tried = tried.with_context(|| format!("{python} cannot be run"))?;
    ensure!(tried.status.success(), "{python} has no torch");
    Ok(())
}

/// The peer's figures.
pub(crate) fn figures(size: &Size, mode: Mode) -> anyhow::Result<Figures> {
    let mut command = Command::new(python());
    command.arg(script());
    for (name, number) in [
        ("--d", size.d),
        ("--layers", size.layers),
        ("--heads", size.heads),
        ("--kv", size.kv),
        ("--ff", size.ff),
        ("--vocab", size.vocab),
        ("--seq", size.seq),
        ("--batch", size.batch),
        ("--lora", size.lora),
        ("--steps", size.steps),
        ("--warmup", size.warmup),
    ] {
        command.args([name, &number.to_string()]);
    }
    if mode == Mode::Bf16 {
        command.arg("--bf16");
    }
    let output = command.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("PyTorch ended with {}: {}", output.status, said.lines().last().unwrap_or_default());
    }
    Figures::parse(&output.stdout)
}

fn python() -> String {
    std::env::var("TRIPOS_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

fn script() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/bench/torch_train.py")
}
