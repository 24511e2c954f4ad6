//! What `tests/fixtures/families/make.py` wrote: models, and what PyTorch says of them.

use serde::Deserialize;
use std::path::PathBuf;

/// The families; each has a model and a golden.
pub(super) const FAMILIES: [&str; 8] = ["llama", "llama3", "linear", "mistral", "qwen2", "qwen3", "smollm2", "smollm3"];

/// Rank and alpha of the goldens' adapters.
pub(super) const RANK: usize = 4;
pub(super) const ALPHA: f32 = 8.0;
/// Outputs of the golden's head.
pub(super) const OUTPUTS: usize = 3;

/// What PyTorch says of a family's model.
#[derive(Debug, Deserialize)]
pub(super) struct Golden {
    pub(super) family: String,
    pub(super) architecture: String,
    pub(super) cases: Vec<Case>,
}

/// One batch, and what is trained.
#[derive(Debug, Deserialize)]
pub(super) struct Case {
    /// `rows`, `packed`, `lora` or `head`.
    #[serde(rename = "case")]
    pub(super) name: String,
    pub(super) rows: Vec<Vec<Text>>,
    /// Of each target.
    pub(super) logprobs: Vec<f64>,
    /// Of the head, document by document.
    #[serde(default)]
    pub(super) outputs: Vec<f64>,
    pub(super) loss: f64,
    pub(super) gradients: Vec<Gradient>,
}

/// A document.
#[derive(Debug, Deserialize)]
pub(super) struct Text {
    pub(super) tokens: Vec<u32>,
    pub(super) learn: Vec<bool>,
}

/// What is told of a gradient.
#[derive(Debug, Deserialize)]
pub(super) struct Gradient {
    pub(super) name: String,
    pub(super) dims: Vec<u64>,
    pub(super) norm: f64,
    pub(super) sum: f64,
    /// Products with the directions `numbers("NAME/0")` and so on.
    pub(super) along: Vec<f64>,
    /// Its first numbers.
    pub(super) first: Vec<f64>,
}

impl Golden {
    pub(super) fn of(family: &str) -> Self {
        let path = folder().join(format!("{family}.json"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    pub(super) fn model(&self) -> PathBuf {
        folder().join(format!("{}.gguf", self.family))
    }

    /// The case of a name, where the family has it.
    pub(super) fn case(&self, name: &str) -> Option<&Case> {
        self.cases.iter().find(|case| case.name == name)
    }
}

impl Case {
    /// Whether adapters are trained, rather than all weights.
    pub(super) fn adapts(&self) -> bool {
        matches!(self.name.as_str(), "lora" | "head")
    }

    /// Its documents, row after row.
    pub(super) fn texts(&self) -> impl Iterator<Item = &Text> {
        self.rows.iter().flatten()
    }
}

impl Text {
    /// Which of the tokens after the first are targets.
    pub(super) fn targets(&self) -> &[bool] {
        &self.learn[1..]
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families")
}

/// The pseudo-random numbers of make.py, in [-0.5, 0.5): the place, begun at the name's FNV-1a, mixed as MurmurHash3 ends.
pub(super) fn numbers(name: &str, count: usize) -> Vec<f64> {
    let start = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (1..=u32::try_from(count).unwrap())
        .map(|place| {
            let h = place.wrapping_mul(0x9e37_79b1).wrapping_add(start);
            let h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
            let h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
            f64::from(h ^ (h >> 16)) / 4_294_967_296.0 - 0.5
        })
        .collect()
}

/// ```python
/// print(numbers("head.bias", 3))
/// ```
#[test]
fn the_numbers_are_those_of_the_script() {
    assert_eq!(numbers("head.bias", 3), [0.488_116_869_470_104_6, -0.085_254_803_765_565_16, 0.066_650_910_302_996_64]);
}
