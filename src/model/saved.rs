//! The trained numbers, on their way to a checkpoint or a file.

/// One trained tensor with what the optimiser remembers of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Saved {
    /// Its name as in GGUF files: `blk.0.attn_q.weight`, `blk.0.attn_q.weight.lora_a`; the head is `head.weight` and
    /// `head.bias`.
    pub name: String,
    /// Its sizes, the row length (fastest-moving) first: A of an adapter is `[in, rank]`, B `[rank, out]`.
    pub dims: Vec<usize>,
    /// Its numbers.
    pub values: Vec<f32>,
    /// The running mean of its gradient (AdamW's m).
    pub first_moment: Vec<f32>,
    /// The running mean of its gradient's squares (AdamW's v).
    pub second_moment: Vec<f32>,
}

/// A trained tensor's name and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// As in [`Saved::name`].
    pub name: String,
    /// As in [`Saved::dims`].
    pub dims: Vec<usize>,
}
