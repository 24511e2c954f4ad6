//! What a file says about its tensors: name, shape, type, and where the data lies.

/// The number format of a tensor (ggml's `ggml_type`, llama-cpp-sys-2 0.1.161: `ggml.h` and `ggml-common.h`).
///
/// Quantised formats store whole blocks of [`block_len`](Self::block_len) numbers in
/// [`block_size`](Self::block_size) bytes; the others are blocks of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, non_camel_case_types, reason = "the names are ggml's own")]
pub enum TensorType {
    F32,
    F16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q8_1,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    Q8_K,
    IQ2_XXS,
    IQ2_XS,
    IQ3_XXS,
    IQ1_S,
    IQ4_NL,
    IQ3_S,
    IQ2_S,
    IQ4_XS,
    I8,
    I16,
    I32,
    I64,
    F64,
    IQ1_M,
    BF16,
    TQ1_0,
    TQ2_0,
    MXFP4,
    NVFP4,
    Q1_0,
    Q2_0,
}

impl TensorType {
    /// Every type with (number in the file, name, numbers a block, bytes a block); one row each, in ggml's order.
    const TABLE: [(Self, u32, &'static str, u64, u64); 35] = [
        (Self::F32, 0, "F32", 1, 4),
        (Self::F16, 1, "F16", 1, 2),
        (Self::Q4_0, 2, "Q4_0", 32, 18),
        (Self::Q4_1, 3, "Q4_1", 32, 20),
        (Self::Q5_0, 6, "Q5_0", 32, 22),
        (Self::Q5_1, 7, "Q5_1", 32, 24),
        (Self::Q8_0, 8, "Q8_0", 32, 34),
        (Self::Q8_1, 9, "Q8_1", 32, 36),
        (Self::Q2_K, 10, "Q2_K", 256, 84),
        (Self::Q3_K, 11, "Q3_K", 256, 110),
        (Self::Q4_K, 12, "Q4_K", 256, 144),
        (Self::Q5_K, 13, "Q5_K", 256, 176),
        (Self::Q6_K, 14, "Q6_K", 256, 210),
        (Self::Q8_K, 15, "Q8_K", 256, 292),
        (Self::IQ2_XXS, 16, "IQ2_XXS", 256, 66),
        (Self::IQ2_XS, 17, "IQ2_XS", 256, 74),
        (Self::IQ3_XXS, 18, "IQ3_XXS", 256, 98),
        (Self::IQ1_S, 19, "IQ1_S", 256, 50),
        (Self::IQ4_NL, 20, "IQ4_NL", 32, 18),
        (Self::IQ3_S, 21, "IQ3_S", 256, 110),
        (Self::IQ2_S, 22, "IQ2_S", 256, 82),
        (Self::IQ4_XS, 23, "IQ4_XS", 256, 136),
        (Self::I8, 24, "I8", 1, 1),
        (Self::I16, 25, "I16", 1, 2),
        (Self::I32, 26, "I32", 1, 4),
        (Self::I64, 27, "I64", 1, 8),
        (Self::F64, 28, "F64", 1, 8),
        (Self::IQ1_M, 29, "IQ1_M", 256, 56),
        (Self::BF16, 30, "BF16", 1, 2),
        (Self::TQ1_0, 34, "TQ1_0", 256, 54),
        (Self::TQ2_0, 35, "TQ2_0", 256, 66),
        (Self::MXFP4, 39, "MXFP4", 32, 17),
        (Self::NVFP4, 40, "NVFP4", 64, 36),
        (Self::Q1_0, 41, "Q1_0", 128, 18),
        (Self::Q2_0, 42, "Q2_0", 64, 18),
    ];

    fn row(self) -> (Self, u32, &'static str, u64, u64) {
        // The rows stand in the order of the variants; a test holds them to it.
        Self::TABLE[self as usize]
    }

    /// The type behind the file's number; `None` for numbers that ggml never gave or has withdrawn (4, 5, 31–33, 36–38).
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        Self::TABLE.iter().find(|row| row.1 == code).map(|row| row.0)
    }

    /// The type of a name, in capitals or not.
    ///
    /// ```
    /// use tripos::gguf::TensorType;
    /// assert_eq!(TensorType::from_name("q4_k"), Some(TensorType::Q4_K));
    /// assert_eq!(TensorType::from_name("q4_k_m"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::TABLE.iter().find(|row| row.2.eq_ignore_ascii_case(name)).map(|row| row.0)
    }

    /// The file's number for it.
    #[must_use]
    pub fn code(self) -> u32 {
        self.row().1
    }

    /// Its name as people write it: `Q4_K`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// Numbers in one block; rows hold whole blocks.
    #[must_use]
    pub fn block_len(self) -> u64 {
        self.row().3
    }

    /// Bytes of one block.
    #[must_use]
    pub fn block_size(self) -> u64 {
        self.row().4
    }

    /// Whether ggml can multiply with a matrix of this type: not the integers, `F64`, nor the scratch formats `Q8_1`
    /// and `Q8_K`, for which it has no product (it would call a null pointer or abort).
    #[must_use]
    pub fn is_weight(self) -> bool {
        !matches!(self, Self::I8 | Self::I16 | Self::I32 | Self::I64 | Self::F64 | Self::Q8_1 | Self::Q8_K)
    }
}

impl std::fmt::Display for TensorType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One tensor of a file. The data itself is never read here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name; at most 63 bytes.
    pub name: String,
    /// Sizes, the row length (fastest-moving) first, as ggml has them: a matrix of 704 rows of 256 numbers is `[256, 704]`.
    pub dims: Vec<u64>,
    /// Its number format.
    pub kind: TensorType,
    /// Where its data begins, in bytes from the start of the data section.
    pub offset: u64,
}

impl TensorInfo {
    /// A tensor that is yet to be written; where it will lie is for the writer to say.
    #[must_use]
    pub fn new(name: impl Into<String>, dims: &[u64], kind: TensorType) -> Self {
        Self { name: name.into(), dims: dims.to_vec(), kind, offset: 0 }
    }

    /// How many numbers it holds; `None` when that does not fit 63 bits, which is where ggml stops counting.
    #[must_use]
    pub fn elements(&self) -> Option<u64> {
        let product = self.dims.iter().try_fold(1_u64, |product, dim| product.checked_mul(*dim))?;
        i64::try_from(product).is_ok().then_some(product)
    }

    /// How many bytes its data takes: `elements / block_len * block_size`; `None` when rows do not hold whole blocks
    /// or the count does not fit.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        let row = self.dims.first().copied().unwrap_or(1);
        if !row.is_multiple_of(self.kind.block_len()) {
            return None;
        }
        (self.elements()? / self.kind.block_len()).checked_mul(self.kind.block_size())
    }

    /// Its shape in messages: `[256, 704]`.
    #[must_use]
    pub fn shape(&self) -> String {
        format!("{:?}", self.dims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_in_the_order_of_the_variants() {
        for (i, row) in TensorType::TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, i, "{}", row.2);
            assert_eq!(TensorType::from_code(row.1), Some(row.0));
        }
        assert!([4, 5, 31, 32, 33, 36, 37, 38, 43, u32::MAX].iter().all(|c| TensorType::from_code(*c).is_none()));
    }

    /// `Q8_1` is left out because the Python package gives it 40 bytes; C's `static_assert` says 2·2 + 32. `Q2_0` is
    /// younger than the package.
    ///
    /// ```python
    /// from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T   # gguf 0.19.0
    /// sum((i + 1) * a * b for i, t in enumerate(sorted(T)) for a, b in [GGML_QUANT_SIZES[t]] if t != T.Q8_1)
    /// ```
    #[test]
    fn block_sizes_equal_those_of_the_gguf_package() {
        let rows = TensorType::TABLE.iter().zip(1..).filter(|(row, _)| !["Q8_1", "Q2_0"].contains(&row.2));
        let sum: u64 = rows.map(|(row, i)| i * row.3 * row.4).sum();
        assert_eq!(sum, 7_693_461);
        assert_eq!((TensorType::Q8_1.block_size(), TensorType::Q2_0.block_size()), (36, 18));
    }

    #[test]
    fn counts_that_do_not_fit_are_none() {
        let mut tensor = TensorInfo { name: "x".into(), dims: vec![256, 704], kind: TensorType::Q8_0, offset: 0 };
        assert_eq!((tensor.elements(), tensor.size()), (Some(180_224), Some(191_488)));
        tensor.dims = vec![1 << 40, 1 << 40];
        assert_eq!((tensor.elements(), tensor.size()), (None, None));
        tensor.dims = vec![33];
        assert_eq!((tensor.elements(), tensor.size()), (Some(33), None));
    }
}
