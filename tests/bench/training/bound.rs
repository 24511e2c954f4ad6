//! What a step would take if it were nothing but its products.

use super::{Figures, Size};
use crate::spread::Spread;
use crate::workspace::cores;
use std::time::Instant;
use tripos::ggml::{Arena, Device, Graph, Operand, Products, Sum};
use tripos::gguf::TensorType;

/// Products in one measured graph, and how often it is computed.
const PRODUCTS: usize = 8;
const TIMES: usize = 5;

/// Floating-point operations of the matrix products of a step: forward, and back to the inputs and to what is trained. A sum
/// of n products counts as 2n. Those of attention are causal: half of each square.
fn operations(size: &Size) -> f64 {
    let Size { d, layers, heads, kv, ff, vocab, seq, batch, lora, .. } = *size;
    let tokens = (batch * seq) as f64;
    let keys = kv * d / heads;
    let matrices = [(d, d), (d, keys), (d, keys), (d, d), (d, ff), (d, ff), (ff, d)];
    let weights = layers * matrices.iter().map(|(n, m)| n * m).sum::<usize>() + d * vocab;
    let adapters = layers * lora * matrices.iter().map(|(n, m)| n + m).sum::<usize>();
    // Forward and back to the inputs; the gradients of weights only where they are trained, those of adapters always.
    let ways = if lora > 0 { 2 } else { 3 };
    let attention = 7.0 * (layers * d * seq) as f64;
    tokens * (2.0 * (ways * weights + 3 * adapters) as f64 + attention)
}

/// Operations a second of one way to multiply, at the feed-forward network's size.
fn rate(size: &Size, by: Products) -> anyhow::Result<f64> {
    let device = Device::cpu(cores())?;
    let (d, ff, tokens) = (size.d, size.ff, size.batch * size.seq);
    let inputs = Arena::new(2)?;
    let weight = inputs.tensor("weight", TensorType::BF16, &[d, ff])?;
    let x = inputs.tensor("x", TensorType::F32, &[d, tokens])?;
    inputs.allocate(&device)?;
    x.set(&vec![0.5; d * tokens])?;
    let graph = Graph::new(PRODUCTS * 8)?;
    for _ in 0..PRODUCTS {
        let (weight, x) = (Operand::new(weight.clone()), Operand::new(x.clone()));
        graph.need(&graph.arena().product((&weight, Sum::Rows), (&x, Sum::Rows), by)?);
    }
    let plan = graph.plan(&device)?;
    plan.compute()?;
    let seconds = (0..TIMES).map(|_| {
        let began = Instant::now();
        plan.compute().map(|()| began.elapsed().as_secs_f64())
    });
    let seconds = seconds.collect::<Result<Vec<_>, _>>()?;
    Ok(2.0 * (d * ff * tokens * PRODUCTS) as f64 / Spread::of(seconds).median())
}

/// Says what is left between a step and its products at the rate of ggml's `mul_mat`, and at that of the matrix unit where the
/// step uses it.
pub(super) fn print(size: &Size, figures: &Figures) -> anyhow::Result<()> {
    let step = (size.batch * size.seq) as f64 / figures.tokens_per_s;
    let work = operations(size);
    let mut ways = vec![("ggml's mul_mat in bf16", Products::Ggml(TensorType::BF16))];
    let fastest = Products::on(&Device::cpu(cores())?, TensorType::BF16);
    if fastest == Products::Tiles {
        ways.push(("the matrix unit", fastest));
    }
    println!("  the bound: {:.0} GFLOP of products in a step of {step:.2} s", work / 1e9);
    for (name, by) in ways {
        let rate = rate(size, by)?;
        let bound = work / rate;
        println!(
            "    {bound:.2} s at the {:.0} GFLOP/s of {name}: the step takes {:.1} times that",
            rate / 1e9,
            step / bound
        );
    }
    Ok(())
}
