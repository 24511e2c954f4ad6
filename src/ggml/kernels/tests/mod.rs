//! Each kernel against its definition, written out in f64, at odd sizes; each gradient against differences of that definition.

mod attention;
mod dropout;
mod layout;
mod logprob;
mod norm;
mod optimiser;
mod readings;
mod rows;
mod swiglu;

use super::super::{Arena, Device, GgmlError, Graph, Tensor};
use crate::gguf::TensorType;

/// An operand with its shape, the row length first.
#[derive(Clone)]
enum Given {
    Real(Vec<usize>, Vec<f32>),
    Whole(Vec<i32>),
}

fn real(dims: &[usize], values: &[f32]) -> Given {
    Given::Real(dims.to_vec(), values.to_vec())
}

fn whole(values: &[i32]) -> Given {
    Given::Whole(values.to_vec())
}

/// Numbers without a pattern, between −1 and 1; another `seed` gives others.
fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7_919 + seed * 104_729) as f32 * 0.618_034).sin()).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// What operations make of operands: their results, then the operands as they are left. Whatever the number of threads, it
/// is the same to the last bit.
fn computed(
    given: &[Given],
    op: impl Fn(&Arena, &[Tensor]) -> Result<Vec<Tensor>, GgmlError>,
) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let [one, two, five] = [1, 2, 5].map(|threads| on_threads(threads, given, &op));
    assert_eq!((&one, &one), (&two, &five), "by one thread, by two and by five");
    one
}

fn on_threads(
    threads: usize,
    given: &[Given],
    op: &impl Fn(&Arena, &[Tensor]) -> Result<Vec<Tensor>, GgmlError>,
) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let device = Device::cpu(threads).unwrap();
    let inputs = Arena::new(given.len()).unwrap();
    let operand = |given: &Given| match given {
        Given::Real(dims, _) => inputs.tensor("operand", TensorType::F32, dims).unwrap(),
        Given::Whole(values) => inputs.tensor("operand", TensorType::I32, &[values.len()]).unwrap(),
    };
    let operands: Vec<Tensor> = given.iter().map(operand).collect();
    inputs.allocate(&device).unwrap();
    for (operand, given) in operands.iter().zip(given) {
        match given {
            Given::Real(_, values) => operand.set(values).unwrap(),
            Given::Whole(values) => operand.set_i32(values).unwrap(),
        }
    }
    let graph = Graph::new(64).unwrap();
    // In F32, whatever the kernel writes.
    let results: Vec<Tensor> = op(graph.arena(), &operands).unwrap();
    let results: Vec<Tensor> =
        results.iter().map(|result| graph.arena().cast(result, TensorType::F32).unwrap()).collect();
    for result in &results {
        result.keep();
        graph.need(result);
    }
    let plan = graph.plan(&device).unwrap();
    plan.compute().unwrap();
    let results = results.iter().map(|result| result.values().unwrap()).collect();
    let reals = operands.iter().filter(|operand| operand.kind() == Some(TensorType::F32));
    (results, reals.map(|operand| operand.values().unwrap()).collect())
}

/// Asserts that numbers are those of a definition, to `room` of the largest of them.
fn assert_near(what: &str, found: &[f32], exact: &[f64], room: f64) {
    assert_eq!(found.len(), exact.len(), "{what}");
    let largest = exact.iter().fold(1e-3, |most: f64, x| most.max(x.abs()));
    for (i, (found, exact)) in found.iter().zip(exact).enumerate() {
        let off = (f64::from(*found) - exact).abs();
        assert!(off <= room * largest, "{what}, number {i}: {found}, by definition {exact}");
    }
}

/// How Σ weight · f moves with each number of one operand, by central differences in f64.
fn slopes(f: impl Fn(&[Vec<f64>]) -> Vec<f64>, at: &[Vec<f64>], operand: usize, weights: &[f64]) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut at = at.to_vec();
    (0..at[operand].len())
        .map(|i| {
            let here = at[operand][i];
            let mut value = |x: f64| {
                at[operand][i] = x;
                f(&at).iter().zip(weights).map(|(y, weight)| y * weight).sum::<f64>()
            };
            let slope = (value(here + STEP) - value(here - STEP)) / (2.0 * STEP);
            at[operand][i] = here;
            slope
        })
        .collect()
}

/// Room for f32, and for results that are rounded to BF16.
const F32: f64 = 2e-5;
const BF16: f64 = 6e-3;

fn room(kind: TensorType) -> f64 {
    if kind == TensorType::BF16 { BF16 } else { F32 }
}

/// The negative twin: a gradient that is a hundredth off is seen.
#[test]
#[should_panic(expected = "by definition")]
fn a_bent_gradient_is_seen() {
    let square = |at: &[Vec<f64>]| at[0].iter().map(|x| x * x).collect();
    let at = [wide(&numbers(37, 1))];
    let told: Vec<f32> = numbers(37, 1).iter().map(|x| 2.02 * x).collect();
    assert_near("x²", &told, &slopes(square, &at, 0, &[1.0; 37]), F32);
}
