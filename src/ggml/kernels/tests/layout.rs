use super::*;
use crate::ggml::quants;

/// A matrix in some format, cast and turned.
fn read(kind: TensorType, [k, n]: [usize; 2], to: TensorType) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let bytes = quants::from_f32(kind, k, &numbers(k * n, 5)).unwrap();
    let device = Device::cpu(3).unwrap();
    let inputs = Arena::new(1).unwrap();
    let matrix = inputs.tensor("matrix", kind, &[k, n]).unwrap();
    inputs.allocate(&device).unwrap();
    matrix.set_bytes(&bytes).unwrap();
    let graph = Graph::new(16).unwrap();
    let made = [graph.arena().cast(&matrix, to).unwrap(), graph.arena().transposed(&matrix, to).unwrap()];
    let made = made.map(|made| graph.arena().cast(&made, TensorType::F32).unwrap());
    for made in &made {
        made.keep();
        graph.need(made);
    }
    let plan = graph.plan(&device).unwrap();
    plan.compute().unwrap();
    let [cast, turned] = made.map(|made| made.values().unwrap());
    (quants::to_f32(kind, k, &bytes).unwrap(), cast, turned)
}

#[test]
fn numbers_keep_their_worth_in_other_formats_and_turned() {
    let odd = [(TensorType::F32, [35, 67]), (TensorType::BF16, [33, 1]), (TensorType::F16, [1, 35])];
    let blocks = [(TensorType::Q8_0, [64, 37]), (TensorType::Q4_K, [512, 3])];
    for (kind, [k, n]) in odd.into_iter().chain(blocks) {
        for to in [TensorType::F32, TensorType::BF16] {
            let (stored, cast, turned) = read(kind, [k, n], to);
            let what = format!("{kind} {k} × {n} as {to}");
            let exact: Vec<f64> = wide(&stored);
            assert_near(&what, &cast, &exact, room(to));
            let exact: Vec<f64> = (0..k * n).map(|i| exact[i % n * k + i / n]).collect();
            assert_near(&format!("{what}, turned"), &turned, &exact, room(to));
        }
    }
}
