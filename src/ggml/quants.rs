//! Rows of numbers in ggml's formats, to `f32` and from it, by ggml's own conversions.
//!
//! Everything that ggml would assert is checked first: whole blocks, lengths, formats it has no conversion for, and
//! numbers out of which it would make a scale that is no number (its searches for the nearest grid point then abort).

use crate::error::Explain;
use crate::gguf::TensorType;
use llama_cpp_sys_2 as sys;
use rayon::prelude::*;
use std::ffi::c_void;

/// Numbers that one task converts, at least: below that, starting it costs more than it saves.
const TASK: usize = 1 << 16;

/// The largest number that a format with half-precision scales can be asked to keep.
const LARGEST: f32 = 65_504.0;

/// Why numbers cannot be converted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QuantsError {
    /// ggml multiplies with no such format, and so has no conversion for it.
    #[error("{kind} is no format of weights, so its numbers cannot be converted")]
    NoWeights {
        /// The format.
        kind: TensorType,
    },
    /// ggml would need to know which weights matter most.
    #[error("{kind} needs an importance matrix, which Tripos does not make")]
    Importance {
        /// The format.
        kind: TensorType,
    },
    /// Rows that end inside a block.
    #[error("a row of {row_len} numbers is not made of whole blocks of {kind} ({} numbers each)", kind.block_len())]
    Row {
        /// The format.
        kind: TensorType,
        /// Numbers in a row.
        row_len: usize,
    },
    /// The data is not made of whole rows, or there is room for another number of them.
    #[error("{got} {what} where {expected} are needed")]
    Length {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many there should be.
        expected: usize,
    },
    /// NaN, infinite, or too large for the format.
    #[error("{number} (number {at}) cannot be kept as {kind}")]
    Number {
        /// The number.
        number: f32,
        /// Which of the data, from 0.
        at: usize,
        /// The format.
        kind: TensorType,
    },
}

impl Explain for QuantsError {
    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoWeights { .. } => "name a format of weights, such as f16 or q8_0".into(),
            Self::Importance { .. } => "name a format that does without, such as q4_k, iq4_xs, q3_k or q2_k".into(),
            Self::Row { .. } => "use a format with smaller blocks (32: q8_0, q5_0, q4_0) or none (f16)".into(),
            Self::Length { .. } => "the file is damaged; download or export it again".into(),
            Self::Number { number, .. } if number.is_finite() => "use f32 or bf16, or mend the weights".into(),
            Self::Number { .. } => "the weights are broken (a training run that diverged?); use an earlier file".into(),
        })
    }
}

/// Whether numbers can be brought into this format without an importance matrix.
///
/// ```
/// use tripos::{ggml::quants, gguf::TensorType};
/// assert!(quants::can_write(TensorType::Q4_K));
/// assert!(!quants::can_write(TensorType::IQ2_XS));
/// ```
#[must_use]
pub fn can_write(kind: TensorType) -> bool {
    kind.is_weight() && !needs_importance(kind)
}

fn needs_importance(kind: TensorType) -> bool {
    // SAFETY: a pure function of the number, which is one of ggml's own.
    unsafe { sys::ggml_quantize_requires_imatrix(kind.code() as sys::ggml_type) }
}

/// Bytes of a row of `row_len` numbers.
pub fn row_size(kind: TensorType, row_len: usize) -> Result<usize, QuantsError> {
    let (block_len, block_size) = (to_usize(kind.block_len()), to_usize(kind.block_size()));
    if row_len == 0 || !row_len.is_multiple_of(block_len) {
        return Err(QuantsError::Row { kind, row_len });
    }
    (row_len / block_len).checked_mul(block_size).ok_or(QuantsError::Row { kind, row_len })
}

/// The sizes of blocks are small.
fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// The numbers of whole rows, as `f32`.
///
/// ```
/// use tripos::{ggml::quants, gguf::TensorType};
/// let numbers: Vec<f32> = (0..64_u8).map(|i| f32::from(i) - 32.0).collect();
/// let bytes = quants::from_f32(TensorType::Q8_0, 32, &numbers)?;
/// assert_eq!(bytes.len(), 2 * 34);
/// let back = quants::to_f32(TensorType::Q8_0, 32, &bytes)?;
/// assert!(numbers.iter().zip(&back).all(|(a, b)| (a - b).abs() < 0.2));
/// # Ok::<(), quants::QuantsError>(())
/// ```
pub fn to_f32(kind: TensorType, row_len: usize, bytes: &[u8]) -> Result<Vec<f32>, QuantsError> {
    let size = row_size(kind, row_len)?;
    let mut numbers = vec![0.0; bytes.len() / size * row_len];
    to_f32_into(kind, row_len, bytes, &mut numbers)?;
    Ok(numbers)
}

/// The same into a place that is there already, which must be as long as the rows are.
pub fn to_f32_into(kind: TensorType, row_len: usize, bytes: &[u8], numbers: &mut [f32]) -> Result<(), QuantsError> {
    let size = row_size(kind, row_len)?;
    if !kind.is_weight() {
        return Err(QuantsError::NoWeights { kind });
    }
    let rows = bytes.len() / size;
    if rows * size != bytes.len() {
        return Err(QuantsError::Length { what: "bytes", got: bytes.len(), expected: (rows + 1) * size });
    }
    if rows * row_len != numbers.len() {
        return Err(QuantsError::Length { what: "numbers", got: numbers.len(), expected: rows * row_len });
    }
    let many = (TASK / row_len).max(1);
    let convert = reader(kind)?;
    numbers.par_chunks_mut(many * row_len).zip(bytes.par_chunks(many * size)).for_each(
        |(numbers, bytes)| match convert {
            None => numbers.iter_mut().zip(bytes.chunks_exact(4)).for_each(|(number, bytes)| {
                *number = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }),
            Some(convert) => {
                let aligned = Aligned::copy(bytes);
                // SAFETY: `aligned` holds `bytes.len()` bytes, aligned to 8, which are whole blocks of the format; `numbers`
                // has room for exactly the numbers of those blocks (both checked above); the conversion reads and writes no
                // more than that and keeps no pointer.
                unsafe { convert(aligned.words.as_ptr().cast(), numbers.as_mut_ptr(), count(numbers.len())) }
            }
        },
    );
    Ok(())
}

/// ggml's conversion to `f32`; none for `f32` itself.
type Reader = unsafe extern "C" fn(*const c_void, *mut f32, i64);

fn reader(kind: TensorType) -> Result<Option<Reader>, QuantsError> {
    if kind == TensorType::F32 {
        return Ok(None);
    }
    // SAFETY: the number is one of ggml's own types, so the pointer is into its static table, which is never written.
    let traits = unsafe { sys::ggml_get_type_traits(kind.code() as sys::ggml_type).as_ref() };
    let convert = traits.and_then(|traits| traits.to_float);
    convert.map(Some).ok_or(QuantsError::NoWeights { kind })
}

/// Whole rows of numbers in a format. Refuses formats that need an importance matrix, and numbers that the format
/// cannot keep: NaN, infinities, and beyond ±65504 wherever a scale in half precision is made of them.
pub fn from_f32(kind: TensorType, row_len: usize, numbers: &[f32]) -> Result<Vec<u8>, QuantsError> {
    let size = row_size(kind, row_len)?;
    if !kind.is_weight() {
        return Err(QuantsError::NoWeights { kind });
    }
    if needs_importance(kind) {
        return Err(QuantsError::Importance { kind });
    }
    let rows = numbers.len() / row_len;
    if rows * row_len != numbers.len() {
        return Err(QuantsError::Length { what: "numbers", got: numbers.len(), expected: (rows + 1) * row_len });
    }
    let largest = if matches!(kind, TensorType::F32 | TensorType::BF16) { f32::MAX } else { LARGEST };
    if let Some(at) = numbers.iter().position(|number| number.is_nan() || number.abs() > largest) {
        return Err(QuantsError::Number { number: numbers[at], at, kind });
    }
    // SAFETY: the number is one of ggml's own; ggml guards its tables by a lock.
    unsafe { sys::ggml_quantize_init(kind.code() as sys::ggml_type) };
    let mut bytes = vec![0; rows * size];
    let many = (TASK / row_len).max(1);
    bytes.par_chunks_mut(many * size).zip(numbers.par_chunks(many * row_len)).for_each(|(bytes, numbers)| {
        let mut aligned = Aligned::new(bytes.len());
        // SAFETY: source and target hold exactly the same whole rows (checked above), the target is aligned to 8; rows
        // are whole blocks, the format needs no importance matrix and its tables are made. ggml writes no more than
        // that and keeps no pointer.
        unsafe {
            sys::ggml_quantize_chunk(
                kind.code() as sys::ggml_type,
                numbers.as_ptr(),
                aligned.words.as_mut_ptr().cast(),
                0,
                count(numbers.len() / row_len),
                count(row_len),
                std::ptr::null(),
            );
        }
        aligned.copy_to(bytes);
    });
    Ok(bytes)
}

/// Bytes at an address that suits every block of ggml's.
struct Aligned {
    words: Vec<u64>,
}

impl Aligned {
    fn new(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(8)] }
    }

    fn copy(bytes: &[u8]) -> Self {
        let mut new = Self::new(bytes.len());
        // SAFETY: the words hold at least as many bytes, and were just set aside, so they overlap with nothing.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), new.words.as_mut_ptr().cast(), bytes.len()) };
        new
    }

    /// Fills bytes that are as many as it was made for.
    fn copy_to(&self, bytes: &mut [u8]) {
        let len = bytes.len().min(self.words.len() * 8);
        // SAFETY: both hold at least `len` bytes, and a mutable borrow overlaps with nothing.
        unsafe { std::ptr::copy_nonoverlapping(self.words.as_ptr().cast(), bytes.as_mut_ptr(), len) };
    }
}

/// No slice is longer than an `i64` counts.
fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every format in which weights can be written without an importance matrix, and the largest error that it may
    /// make of numbers between −1 and 1, in units of the largest.
    const FORMATS: [(TensorType, f32); 25] = [
        (TensorType::F32, 0.0),
        (TensorType::F16, 0.0005),
        (TensorType::BF16, 0.004),
        (TensorType::Q8_0, 0.005),
        (TensorType::Q6_K, 0.04),
        (TensorType::Q5_K, 0.05),
        (TensorType::Q5_1, 0.04),
        (TensorType::Q5_0, 0.07),
        (TensorType::Q4_K, 0.1),
        (TensorType::Q4_1, 0.08),
        (TensorType::Q4_0, 0.15),
        (TensorType::IQ4_NL, 0.15),
        (TensorType::IQ4_XS, 0.15),
        (TensorType::Q3_K, 0.3),
        (TensorType::Q2_K, 0.4),
        (TensorType::IQ3_XXS, 0.8),
        (TensorType::IQ3_S, 0.6),
        (TensorType::IQ2_S, 1.0),
        (TensorType::IQ1_M, 1.5),
        (TensorType::MXFP4, 0.3),
        (TensorType::NVFP4, 0.3),
        (TensorType::TQ1_0, 1.0),
        (TensorType::TQ2_0, 1.0),
        (TensorType::Q1_0, 1.5),
        (TensorType::Q2_0, 1.0),
    ];

    fn waves(count: usize) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 0.37).sin() * (i as f32 * 0.011).cos()).collect()
    }

    #[test]
    fn every_format_gives_back_what_was_put_in_within_its_step() {
        for (kind, most) in FORMATS {
            let numbers = waves(3 * 512);
            let bytes = from_f32(kind, 512, &numbers).unwrap();
            assert_eq!(bytes.len(), 3 * row_size(kind, 512).unwrap());
            let back = to_f32(kind, 512, &bytes).unwrap();
            let worst = numbers.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= most, "{kind}: {worst}");
        }
    }

    /// The split over tasks changes nothing: many rows are converted as each of them alone is.
    #[test]
    fn many_rows_are_converted_as_each_alone() {
        let numbers = waves(256 * 1200);
        for kind in [TensorType::Q4_K, TensorType::Q8_0, TensorType::BF16, TensorType::F32] {
            let bytes = from_f32(kind, 256, &numbers).unwrap();
            let alone: Vec<u8> = numbers.chunks(256).flat_map(|row| from_f32(kind, 256, row).unwrap()).collect();
            assert!(bytes == alone, "{kind}");
            let rows = bytes.chunks(row_size(kind, 256).unwrap());
            let back: Vec<f32> = rows.flat_map(|row| to_f32(kind, 256, row).unwrap()).collect();
            assert_eq!(to_f32(kind, 256, &bytes).unwrap(), back);
        }
    }

    /// Bytes may lie anywhere: in a file that was read whole, a tensor need not begin at an even address.
    #[test]
    fn odd_addresses_make_no_difference() {
        let bytes = from_f32(TensorType::Q6_K, 256, &waves(512)).unwrap();
        let shifted = [&[0], bytes.as_slice()].concat();
        assert_eq!(
            to_f32(TensorType::Q6_K, 256, &shifted[1..]).unwrap(),
            to_f32(TensorType::Q6_K, 256, &bytes).unwrap()
        );
    }

    /// ```python
    /// import numpy as np, gguf                                      # gguf 0.19.0
    /// x = (np.arange(64, dtype=np.float32) - 32) / 7
    /// for t in ("Q8_0", "Q4_0", "Q5_1", "BF16", "F16"):
    ///     b = gguf.quants.quantize(x, gguf.GGMLQuantizationType[t]).view(np.uint8).reshape(-1)
    ///     print(t, int((b.astype(np.uint64) * np.arange(1, b.nbytes + 1, dtype=np.uint64)).sum()))
    /// ```
    #[test]
    fn bytes_equal_those_of_the_gguf_package() {
        let numbers: Vec<f32> = (0..64_u8).map(|i| (f32::from(i) - 32.0) / 7.0).collect();
        let sums =
            [TensorType::Q8_0, TensorType::Q4_0, TensorType::Q5_1, TensorType::BF16, TensorType::F16].map(|kind| {
                let bytes = from_f32(kind, 64, &numbers).unwrap();
                bytes.iter().zip(1..).map(|(byte, i)| u64::from(*byte) * i).sum::<u64>()
            });
        assert_eq!(sums, GOLDEN);
    }

    const GOLDEN: [u64; 5] = [247_277, 39_820, 154_092, 811_088, 857_584];

    fn refusal<T: std::fmt::Debug>(result: Result<T, QuantsError>) -> String {
        crate::error::render(&result.unwrap_err(), false)
    }

    #[test]
    fn refuses_what_ggml_would_abort_at() {
        let numbers = waves(512);
        insta::assert_snapshot!(refusal(from_f32(TensorType::IQ2_XS, 256, &numbers)), @r"
        error: IQ2_XS needs an importance matrix, which Tripos does not make
          help: name a format that does without, such as q4_k, iq4_xs, q3_k or q2_k
        ");
        insta::assert_snapshot!(refusal(from_f32(TensorType::Q4_K, 128, &numbers)), @r"
        error: a row of 128 numbers is not made of whole blocks of Q4_K (256 numbers each)
          help: use a format with smaller blocks (32: q8_0, q5_0, q4_0) or none (f16)
        ");
        insta::assert_snapshot!(refusal(to_f32(TensorType::I32, 4, &[0; 16])), @r"
        error: I32 is no format of weights, so its numbers cannot be converted
          help: name a format of weights, such as f16 or q8_0
        ");
        insta::assert_snapshot!(refusal(to_f32(TensorType::Q8_0, 32, &[0; 35])), @r"
        error: 35 bytes where 68 are needed
          help: the file is damaged; download or export it again
        ");
        let broken = |number: f32, kind: TensorType| {
            let mut numbers = numbers.clone();
            numbers[300] = number;
            from_f32(kind, 256, &numbers)
        };
        insta::assert_snapshot!(refusal(broken(f32::NAN, TensorType::F32)), @r"
        error: NaN (number 300) cannot be kept as F32
          help: the weights are broken (a training run that diverged?); use an earlier file
        ");
        insta::assert_snapshot!(refusal(broken(1e5, TensorType::Q8_0)), @r"
        error: 100000 (number 300) cannot be kept as Q8_0
          help: use f32 or bf16, or mend the weights
        ");
        assert!(broken(1e5, TensorType::BF16).is_ok());
        assert!(broken(f32::INFINITY, TensorType::BF16).is_err());
        let mut short = vec![0.0; 31];
        assert!(to_f32_into(TensorType::Q8_0, 32, &[0; 34], &mut short).is_err());
        for kind in [TensorType::IQ2_XXS, TensorType::IQ1_S, TensorType::Q8_K, TensorType::F64] {
            assert!(!can_write(kind) && from_f32(kind, 256, &numbers).is_err(), "{kind}");
        }
    }
}
