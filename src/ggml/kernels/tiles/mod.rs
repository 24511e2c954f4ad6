//! Products on the CPU's matrix unit. ggml multiplies BF16 with vector instructions, at a tenth of the unit's speed; where
//! the CPU has one, these take the place of its `mul_mat`.

mod unit;

use super::super::GgmlError;
use super::super::arena::{Arena, Tensor};
use super::super::call::Call;
use super::super::element::Bf16;
use super::layout::{Source, source};
use crate::gguf::TensorType;
use unit::{BLOCK, Block, DEPTH, SIDE, TILE, Unit};

pub(in crate::ggml) use unit::available;

/// Bytes of the right side that stay in the second cache while the left side passes by.
const CACHED: usize = 512 << 10;

/// The two sides of a product, L Rᵀ: the unit wants each in an order of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ggml) enum Side {
    /// Tiles of 16 rows by 32 numbers along the sum.
    Left,
    /// Tiles of 16 pairs along the sum by 16 columns.
    Right,
}

/// One side in tiles: a tensor of [256, tiles along the sum, tiles of rows], each number a pair of BF16. What is missing to
/// whole blocks is zeros.
#[derive(Debug, Clone)]
pub(in crate::ggml) struct Tiles {
    tensor: Tensor,
    side: Side,
    rows: usize,
}

/// A tile: pairs of numbers.
type Pairs = [[u32; SIDE]; SIDE];

impl Arena {
    /// A matrix of any weight type in tiles. It is [sum, rows], or [rows, sum] where it is `turned`.
    pub(in crate::ggml) fn tiles(&self, a: &Tensor, side: Side, turned: bool) -> Result<Tiles, GgmlError> {
        const OP: &str = "tiles";
        let (from, [width, height, p, q]) = (source(OP, a)?, a.dims());
        if (p, q) != (1, 1) {
            return Err(GgmlError::shape(OP, a.shape()));
        }
        let (rows, sum) = if turned { (width, height) } else { (height, width) };
        let (across, along) = (2 * rows.div_ceil(BLOCK), sum.div_ceil(DEPTH));
        let layout = Layout { width, height, across, along, swap: (side == Side::Left) == turned };
        let dims = [TILE, along, across];
        let tensor = if turned {
            self.custom(OP, (TensorType::I32, &dims), &[a], move |call| layout.of_columns(call, from))?
        } else {
            self.custom(OP, (TensorType::I32, &dims), &[a], move |call| layout.of_rows(call, from))?
        };
        Ok(Tiles { tensor, side, rows })
    }

    /// The product L Rᵀ in f32, as [rows of the right, rows of the left].
    pub(in crate::ggml) fn tile_product(&self, right: &Tiles, left: &Tiles) -> Result<Tensor, GgmlError> {
        const OP: &str = "product";
        let along = right.tensor.dims()[1];
        if (left.side, right.side) != (Side::Left, Side::Right) || left.tensor.dims()[1] != along {
            return Err(GgmlError::shape(OP, format!("{} and {}", left.tensor.shape(), right.tensor.shape())));
        }
        let (dims, sources) = ([right.rows, left.rows], [&left.tensor, &right.tensor]);
        self.custom(OP, (TensorType::F32, &dims), &sources, move |call| multiply(call, dims, along * TILE))
    }
}

/// How a matrix is cut: its own size, and tiles across and along the sum.
#[derive(Clone, Copy)]
struct Layout {
    width: usize,
    height: usize,
    across: usize,
    along: usize,
    /// Whether tiles lie the other way than pairs are made.
    swap: bool,
}

impl Layout {
    /// Pairs lie beside each other in the matrix's rows. Each thread has strips of 16 rows.
    fn of_rows(self, call: &Call<'_>, from: Source) {
        let padded = self.along * DEPTH;
        let mut strip = vec![0.0; SIDE * padded];
        for across in call.share(self.across) {
            self.read(call, from, (across * SIDE, padded), &mut strip);
            for along in 0..self.along {
                let mut tile: Pairs = [[0; SIDE]; SIDE];
                for (pairs, row) in tile.iter_mut().zip(strip.chunks_exact(padded)) {
                    let (numbers, _) = row[along * DEPTH..(along + 1) * DEPTH].as_chunks::<2>();
                    pairs.iter_mut().zip(numbers).for_each(|(pair, [low, high])| *pair = paired(*low, *high));
                }
                self.write(call, across * self.along + along, &tile);
            }
        }
    }

    /// Pairs lie under each other. Each thread has strips of 32 rows.
    fn of_columns(self, call: &Call<'_>, from: Source) {
        let padded = self.across * SIDE;
        let mut strip = vec![0.0; DEPTH * padded];
        for along in call.share(self.along) {
            self.read(call, from, (along * DEPTH, padded), &mut strip);
            for across in 0..self.across {
                let mut tile: Pairs = [[0; SIDE]; SIDE];
                for (pairs, rows) in tile.iter_mut().zip(strip.chunks_exact(2 * padded)) {
                    let (low, high) = (&rows[across * SIDE..][..SIDE], &rows[padded + across * SIDE..][..SIDE]);
                    let numbers = low.iter().zip(high);
                    pairs.iter_mut().zip(numbers).for_each(|(pair, (low, high))| *pair = paired(*low, *high));
                }
                self.write(call, across * self.along + along, &tile);
            }
        }
    }

    /// Rows of the matrix from the `first` on, as many as the strip has; what lies outside the matrix is 0.
    fn read(self, call: &Call<'_>, from: Source, (first, padded): (usize, usize), strip: &mut [f32]) {
        for (row, numbers) in (first..).zip(strip.chunks_exact_mut(padded)) {
            if row < self.height {
                from.row(call, row, &mut numbers[..self.width]);
            } else {
                numbers.fill(0.0);
            }
        }
    }

    fn write(self, call: &Call<'_>, tile: usize, pairs: &Pairs) {
        // SAFETY: each thread has tiles of its own.
        let out = unsafe { call.result::<i32>(tile * TILE..(tile + 1) * TILE) };
        for (i, out) in out.chunks_exact_mut(SIDE).enumerate() {
            let row = |j: usize| if self.swap { pairs[j][i] } else { pairs[i][j] };
            out.iter_mut().enumerate().for_each(|(j, out)| *out = row(j).cast_signed());
        }
    }
}

/// Two numbers in BF16, the first in the lower half.
fn paired(low: f32, high: f32) -> u32 {
    u32::from(Bf16::bits(low)) | u32::from(Bf16::bits(high)) << 16
}

/// Each thread has blocks of the result: the same columns for all rows, then the next. `run` is the numbers of one row of
/// tiles.
fn multiply(call: &Call<'_>, [width, height]: [usize; 2], run: usize) {
    let Some(unit) = Unit::set_up() else { return };
    let (left, right) = (call.source::<i32>(0), call.source::<i32>(1));
    let group = (CACHED / (2 * run * size_of::<i32>())).max(1);
    let (rows, columns) = (height.div_ceil(BLOCK), width.div_ceil(BLOCK));
    let mut block = Block([[0.0; BLOCK]; BLOCK]);
    for share in call.share(rows * columns.div_ceil(group)) {
        let (row, first) = (share % rows, share / rows * group);
        let left = &left[2 * row * run..][..2 * run];
        for column in first..(first + group).min(columns) {
            unit.multiply(left, &right[2 * column * run..][..2 * run], &mut block);
            let (column, row) = (column * BLOCK, row * BLOCK);
            let wide = BLOCK.min(width - column);
            for (row, numbers) in (row..height.min(row + BLOCK)).zip(&block.0) {
                // SAFETY: each thread has blocks of its own.
                let out = unsafe { call.result::<f32>(row * width + column..row * width + column + wide) };
                out.copy_from_slice(&numbers[..wide]);
            }
        }
    }
}
