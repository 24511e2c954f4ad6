//! Products of matrices that are read in more than one way: as they lie, and turned.

use super::arena::{Arena, Tensor};
use super::kernels::tiles::{self, Side, Tiles};
use super::{Device, GgmlError};
use crate::gguf::TensorType;
use std::cell::RefCell;
use std::rc::Rc;

/// What computes products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Products {
    /// ggml's `mul_mat`, on numbers of this type (F32 or BF16).
    Ggml(TensorType),
    /// ggml's `mul_mat`, on weights as they are stored where the sum runs along their rows, else on F32: what llama.cpp
    /// computes, which rounds the second operand to 8 bits where the weights are quantised.
    Stored,
    /// The matrix unit of an Intel CPU (AMX), on numbers in BF16, with sums in f32.
    Tiles,
}

impl Products {
    /// The fastest way to multiply numbers of this type (F32 or BF16) on a device.
    #[must_use]
    pub fn on(device: &Device, kind: TensorType) -> Self {
        let unit = kind == TensorType::BF16 && device.is_cpu() && tiles::available();
        if unit { Self::Tiles } else { Self::Ggml(kind) }
    }

    /// The numbers that are multiplied.
    #[must_use]
    pub fn kind(self) -> TensorType {
        match self {
            Self::Ggml(kind) => kind,
            Self::Stored => TensorType::F32,
            Self::Tiles => TensorType::BF16,
        }
    }
}

/// How an operand is read: the sum runs along its rows, or down its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sum {
    /// Along its rows: [sum, …].
    Rows,
    /// Down its columns: […, sum].
    Columns,
}

/// A matrix that products are made from. What they make of it first (another format, another order) is made once for all
/// of them; clones share it.
#[derive(Debug, Clone)]
pub struct Operand(Rc<Forms>);

#[derive(Debug)]
struct Forms {
    value: Tensor,
    turned: RefCell<Vec<(TensorType, Tensor)>>,
    tiles: RefCell<Vec<(Side, Sum, Tiles)>>,
}

impl Operand {
    /// Of a matrix of any weight type.
    #[must_use]
    pub fn new(value: Tensor) -> Self {
        Self(Rc::new(Forms { value, turned: RefCell::default(), tiles: RefCell::default() }))
    }

    /// The matrix itself.
    #[must_use]
    pub fn value(&self) -> &Tensor {
        &self.0.value
    }

    /// With the sum along its rows, in numbers of this type.
    fn rows(&self, arena: &Arena, sum: Sum, kind: TensorType) -> Result<Tensor, GgmlError> {
        if sum == Sum::Rows {
            return arena.cast(self.value(), kind);
        }
        let known = self.0.turned.borrow().iter().find(|(of, _)| *of == kind).map(|(_, turned)| turned.clone());
        if let Some(known) = known {
            return Ok(known);
        }
        let turned = arena.transposed(self.value(), kind)?;
        self.0.turned.borrow_mut().push((kind, turned.clone()));
        Ok(turned)
    }

    fn tiles(&self, arena: &Arena, side: Side, sum: Sum) -> Result<Tiles, GgmlError> {
        let known = self.0.tiles.borrow().iter().find(|(s, t, _)| (*s, *t) == (side, sum)).map(|(.., t)| t.clone());
        if let Some(known) = known {
            return Ok(known);
        }
        let tiles = arena.tiles(self.value(), side, sum == Sum::Columns)?;
        self.0.tiles.borrow_mut().push((side, sum, tiles.clone()));
        Ok(tiles)
    }
}

impl Arena {
    /// The product Aᵀ B in f32, as [columns of A, columns of B], where the sums run along the operands' first sizes, or
    /// their second ([`Sum`]).
    pub fn product(
        &self,
        (a, a_sum): (&Operand, Sum),
        (b, b_sum): (&Operand, Sum),
        by: Products,
    ) -> Result<Tensor, GgmlError> {
        match by {
            Products::Tiles => {
                self.tile_product(&a.tiles(self, Side::Right, a_sum)?, &b.tiles(self, Side::Left, b_sum)?)
            }
            Products::Stored if a_sum == Sum::Rows && b_sum == Sum::Rows => self.mul_mat(a.value(), b.value()),
            Products::Ggml(_) | Products::Stored => {
                let kind = by.kind();
                let a = a.rows(self, a_sum, kind)?;
                // ggml rounds the second operand itself.
                let b = if b_sum == Sum::Rows { b.value().clone() } else { b.rows(self, b_sum, kind)? };
                self.mul_mat(&a, &b)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Graph, quants};
    use super::*;

    /// Numbers that BF16 holds exactly, so that only the order of sums differs.
    fn numbers(len: usize, seed: usize) -> Vec<f32> {
        let number = |i: usize| ((i * 7_919 + seed * 104_729) % 255) as f32 / 64.0 - 2.0;
        (0..len).map(number).collect()
    }

    fn turned(numbers: &[f32], width: usize) -> Vec<f32> {
        (0..numbers.len()).map(|i| numbers[i % (numbers.len() / width) * width + i / (numbers.len() / width)]).collect()
    }

    /// Aᵀ B of `a` [k, m] and `b` [k, n], each given as it lies or turned.
    fn product(sums: [Sum; 2], [m, n, k]: [usize; 3], (by, threads, kind): (Option<Products>, usize, TensorType)) {
        let device = Device::with_gpus(threads).unwrap();
        let by = by.unwrap_or_else(|| Products::on(&device, TensorType::BF16));
        let (a, b) = (numbers(m * k, 1), numbers(n * k, 2));
        let inputs = Arena::new(4).unwrap();
        let operand = |values: &[f32], rows: usize, sum: Sum, kind: TensorType| {
            let (dims, values) = match sum {
                Sum::Rows => ([k, rows], values.to_vec()),
                Sum::Columns => ([rows, k], turned(values, k)),
            };
            let tensor = inputs.tensor("operand", kind, &dims).unwrap();
            (tensor, quants::from_f32(kind, dims[0], &values).unwrap(), values, dims)
        };
        let (a_tensor, a_bytes, ..) = operand(&a, m, sums[0], kind);
        let (b_tensor, b_bytes, ..) = operand(&b, n, sums[1], TensorType::F32);
        inputs.allocate(&device).unwrap();
        a_tensor.set_bytes(&a_bytes).unwrap();
        b_tensor.set_bytes(&b_bytes).unwrap();
        let graph = Graph::new(64).unwrap();
        let (x, y) = (Operand::new(a_tensor), Operand::new(b_tensor));
        let result = graph.arena().product((&x, sums[0]), (&y, sums[1]), by).unwrap();
        result.keep();
        graph.need(&result);
        assert_eq!(result.dims(), [m, n, 1, 1]);
        let plan = graph.plan(&device).unwrap();
        plan.compute().unwrap();
        // What a quantised operand really is.
        let stored = quants::to_f32(kind, x.value().dims()[0], &a_bytes).unwrap();
        let stored = if sums[0] == Sum::Rows { stored } else { turned(&stored, m) };
        for (at, got) in result.values().unwrap().iter().enumerate() {
            let (j, i) = (at / m, at % m);
            let exact: f64 = (0..k).map(|p| f64::from(stored[i * k + p]) * f64::from(b[j * k + p])).sum();
            let room = if kind == TensorType::F32 { 1e-5 } else { 5e-3 } * (k as f64) + 1e-5;
            assert!((f64::from(*got) - exact).abs() < room, "{by:?} {sums:?} {m} {n} {k} at {i}, {j}: {got}, {exact}");
        }
    }

    const SUMS: [[Sum; 2]; 4] =
        [[Sum::Rows, Sum::Rows], [Sum::Rows, Sum::Columns], [Sum::Columns, Sum::Rows], [Sum::Columns, Sum::Columns]];

    #[test]
    fn products_equal_their_definition_whichever_way_operands_lie() {
        for sums in SUMS {
            for sizes in [[1, 1, 32], [16, 32, 64], [33, 31, 96], [40, 70, 32], [96, 256, 672]] {
                for kind in [TensorType::F32, TensorType::BF16] {
                    product(sums, sizes, (Some(Products::Ggml(kind)), 2, TensorType::F32));
                }
                for threads in [1, 3] {
                    product(sums, sizes, (None, threads, TensorType::F32));
                }
            }
            // Sums that fill no tile: the rank of an adapter.
            product(sums, [48, 80, 16], (None, 2, TensorType::F32));
            product(sums, [5, 3, 7], (None, 2, TensorType::F32));
        }
    }

    #[test]
    fn quantised_operands_are_multiplied_as_they_are() {
        for sums in SUMS {
            for kind in [TensorType::Q8_0, TensorType::Q4_K, TensorType::F16, TensorType::BF16] {
                product(sums, [256, 64, 512], (None, 2, kind));
                product(sums, [256, 64, 512], (Some(Products::Ggml(TensorType::F32)), 2, kind));
            }
        }
    }

    #[test]
    fn operands_whose_sums_differ_in_length_are_refused() {
        let device = Device::with_gpus(1).unwrap();
        let inputs = Arena::new(2).unwrap();
        let [a, b] = [64, 32].map(|k| Operand::new(inputs.tensor("operand", TensorType::F32, &[k, 64]).unwrap()));
        let graph = Graph::new(16).unwrap();
        for by in [Products::on(&device, TensorType::BF16), Products::Ggml(TensorType::F32)] {
            assert!(graph.arena().product((&a, Sum::Rows), (&b, Sum::Rows), by).is_err());
            // Down their columns both have 64.
            assert!(graph.arena().product((&a, Sum::Columns), (&b, Sum::Columns), by).is_ok());
        }
    }

    #[test]
    fn on_a_matrix_unit_the_same_numbers_come_from_any_number_of_threads() {
        if Products::on(&Device::with_gpus(1).unwrap(), TensorType::BF16) != Products::Tiles {
            println!("skipped: this CPU has no matrix unit");
            return;
        }
        let run = |threads: usize| {
            let device = Device::with_gpus(threads).unwrap();
            let inputs = Arena::new(2).unwrap();
            let [a, b] = [80, 200].map(|rows| inputs.tensor("operand", TensorType::F32, &[300, rows]).unwrap());
            inputs.allocate(&device).unwrap();
            a.set(&numbers(300 * 80, 3).iter().map(|x| x * 1.001).collect::<Vec<_>>()).unwrap();
            b.set(&numbers(300 * 200, 4).iter().map(|x| x * 0.999).collect::<Vec<_>>()).unwrap();
            let graph = Graph::new(16).unwrap();
            let by = Products::on(&device, TensorType::BF16);
            let result = graph.arena().product((&Operand::new(a), Sum::Rows), (&Operand::new(b), Sum::Rows), by);
            let result = result.unwrap();
            result.keep();
            graph.need(&result);
            let plan = graph.plan(&device).unwrap();
            plan.compute().unwrap();
            let values = result.values().unwrap();
            drop(plan);
            assert!(result.values().is_err(), "its memory is gone");
            values.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        assert!(run(1) == run(2) && run(2) == run(5));
    }
}
