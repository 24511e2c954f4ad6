//! The number formats that kernels compute with.

use crate::gguf::TensorType;

/// A number as it lies in a tensor.
pub(super) trait Element: Copy + Send + Sync + 'static {
    /// The tensors that hold it.
    const KIND: TensorType;
    /// Rounded to the nearest, ties to even.
    fn from_f32(x: f32) -> Self;
    /// Exact, for the formats that training computes with.
    fn to_f32(self) -> f32;
}

impl Element for f32 {
    const KIND: TensorType = TensorType::F32;
    fn from_f32(x: f32) -> Self {
        x
    }
    fn to_f32(self) -> f32 {
        self
    }
}

impl Element for i32 {
    const KIND: TensorType = TensorType::I32;
    #[allow(clippy::cast_possible_truncation)] // indices are whole
    fn from_f32(x: f32) -> Self {
        x as Self
    }
    fn to_f32(self) -> f32 {
        self as f32
    }
}

/// The upper half of an f32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Bf16(u16);

impl Element for Bf16 {
    const KIND: TensorType = TensorType::BF16;

    fn from_f32(x: f32) -> Self {
        Self(Self::bits(x))
    }

    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

impl Bf16 {
    /// The number in BF16, as it lies in memory.
    #[allow(clippy::cast_possible_truncation)] // the upper half is what is kept
    pub(super) fn bits(x: f32) -> u16 {
        let bits = x.to_bits();
        let rounded = bits.wrapping_add(0x7fff).wrapping_add(bits >> 16 & 1) >> 16;
        // A NaN whose payload is all ones would round to zero.
        if x.is_nan() { (bits >> 16 | 0x40) as u16 } else { rounded as u16 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// import torch
    /// [hex(v & 0xffff) for v in torch.tensor([1, 1.00390625, 1.01171875, -2.5193, 3.4e38, 1e-40]).bfloat16().view(torch.int16).tolist()]
    /// ```
    #[test]
    fn bf16_rounds_as_pytorch_does() {
        let bits = [1.0, 1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, -2.5193, 3.4e38, 1e-40].map(|x| Bf16::from_f32(x).0);
        assert_eq!(bits, [0x3f80, 0x3f80, 0x3f82, 0xc021, 0x7f80, 0x1]);
        for x in [f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0] {
            assert_eq!(Bf16::from_f32(x).to_f32().to_bits(), x.to_bits());
        }
        for bits in [0x7fff_ffff_u32, 0xffff_ffff, 0x7fc0_0000, 0x7f80_0001] {
            assert!(Bf16::from_f32(f32::from_bits(bits)).to_f32().is_nan());
        }
    }
}
