//! Pseudo-random weights that any language can compute alike.

use super::{CONVOLUTION, FEED_FORWARD, HEAD, INNER, STATE, STEP_RANK, WIDTH};
use tripos::gguf::TensorData;

/// A tensor of weights even in `centre ± spread / 2`.
pub(super) struct Weight {
    name: String,
    dims: Vec<u64>,
    centre: f32,
    spread: f32,
}

impl Weight {
    pub(super) fn new(name: impl Into<String>, dims: &[u64], spread: f32) -> Self {
        Self { name: name.into(), dims: dims.to_vec(), centre: 0.0, spread }
    }

    /// The weights of a norm, around 1.
    pub(super) fn norm(name: impl Into<String>, width: u64) -> Self {
        Self::new(name.into() + ".weight", &[width], 0.5).around(1.0)
    }

    fn around(self, centre: f32) -> Self {
        Self { centre, ..self }
    }

    pub(super) fn tensor(&self) -> TensorData<'static> {
        let seed = fnv1a(self.name.as_bytes());
        let numbers: Vec<f32> = (1..=self.dims.iter().product())
            .map(|i: u64| {
                // 24 bits are all that an f32 holds, so that only the two last steps round.
                let bits = splitmix64(seed.wrapping_add(i.wrapping_mul(GOLDEN))) >> 40;
                self.centre + self.spread * (bits as f32 / 16_777_216.0 - 0.5)
            })
            .collect();
        TensorData::f32(self.name.as_str(), &self.dims, &numbers)
    }
}

/// Queries, keys and values, and what is made of them.
pub(super) fn attention(name: &dyn Fn(&str) -> String, biases: bool) -> Vec<Weight> {
    let mut all = Vec::new();
    for (part, width) in [("attn_q", WIDTH), ("attn_k", 2 * HEAD), ("attn_v", 2 * HEAD)] {
        all.push(Weight::new(name(part) + ".weight", &[WIDTH, width], 1.0));
        if biases {
            all.push(Weight::new(name(part) + ".bias", &[width], 1.0));
        }
    }
    all.push(Weight::new(name("attn_output.weight"), &[WIDTH, WIDTH], 1.5));
    all
}

/// The gated feed-forward part and its norm.
pub(super) fn feed_forward(name: &dyn Fn(&str) -> String) -> [Weight; 4] {
    [
        Weight::norm(name("ffn_norm"), WIDTH),
        Weight::new(name("ffn_gate.weight"), &[WIDTH, FEED_FORWARD], 1.0),
        Weight::new(name("ffn_up.weight"), &[WIDTH, FEED_FORWARD], 1.0),
        Weight::new(name("ffn_down.weight"), &[FEED_FORWARD, WIDTH], 1.0),
    ]
}

/// A Mamba layer; Jamba's has norms of its own.
pub(super) fn recurrence(name: &dyn Fn(&str) -> String, norms: bool) -> Vec<Weight> {
    let mut all = vec![
        Weight::new(name("ssm_in.weight"), &[WIDTH, 2 * INNER], 1.0),
        Weight::new(name("ssm_conv1d.weight"), &[CONVOLUTION, INNER], 2.0),
        Weight::new(name("ssm_conv1d.bias"), &[INNER], 1.0),
        Weight::new(name("ssm_x.weight"), &[INNER, STEP_RANK + 2 * STATE], 1.0),
        Weight::new(name("ssm_dt.weight"), &[STEP_RANK, INNER], 1.0),
        // Short steps and slow decay: what was read 20 tokens ago still counts.
        Weight::new(name("ssm_dt.bias"), &[INNER], 1.0).around(-2.0),
        Weight::new(name("ssm_a"), &[STATE, INNER], 0.75).around(-0.5),
        Weight::new(name("ssm_d"), &[INNER], 1.0).around(1.0),
        Weight::new(name("ssm_out.weight"), &[INNER, WIDTH], 1.5),
    ];
    if norms {
        all.push(Weight::norm(name("ssm_dt_norm"), STEP_RANK));
        all.push(Weight::norm(name("ssm_b_norm"), STATE));
        all.push(Weight::norm(name("ssm_c_norm"), STATE));
    }
    all
}

/// 2⁶⁴ divided by the golden ratio: the step of SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// How SplitMix64 mixes its counter (Steele, Lea and Flood 2014).
fn splitmix64(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The hash FNV-1a of 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// The first line that the script in goldens.rs prints.
#[test]
fn the_weights_are_those_of_the_numpy_script() {
    let tensor = Weight::new("token_embd.weight", &[32, 300], 3.5).tensor();
    let bits: Vec<u32> = tensor.bytes.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(bits[..3], [0x3eb3_0b27, 0x3f82_b881, 0xbf3f_3c28]);
}
