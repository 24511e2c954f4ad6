use super::*;
use crate::ggml::{ADAMW_SETTINGS, AdamW};

/// One more than a piece of work, and a few.
const COUNT: usize = (1 << 12) + 3;

fn how(step: u64) -> AdamW {
    AdamW { step, lr: 0.01, betas: (0.9, 0.95), eps: 1e-8, weight_decay: 0.1, scale: 0.5 }
}

/// Algorithm 2 of Loshchilov 2017, from moments of 0: the weights behind each step.
fn definition(weights: &[f32], gradients: &[Vec<f32>], decays: bool) -> Vec<Vec<f64>> {
    let (mut w, mut m, mut v) = (wide(weights), vec![0.0; weights.len()], vec![0.0; weights.len()]);
    let mut steps = Vec::new();
    for (t, gradient) in (1..).zip(gradients) {
        for i in 0..w.len() {
            let g = 0.5 * f64::from(gradient[i]);
            (m[i], v[i]) = (0.9 * m[i] + 0.1 * g, 0.95 * v[i] + 0.05 * g * g);
            let (mean, square) = (m[i] / (1.0 - 0.9_f64.powi(t)), v[i] / (1.0 - 0.95_f64.powi(t)));
            let decay = if decays { 0.1 * w[i] } else { 0.0 };
            w[i] -= 0.01 * (mean / (square.sqrt() + 1e-8) + decay);
        }
        steps.push(w.clone());
    }
    steps
}

#[test]
fn steps_are_those_of_the_paper() {
    for decays in [true, false] {
        let mut weights = numbers(COUNT, 1);
        let (mut first, mut second) = (vec![0.0; COUNT], vec![0.0; COUNT]);
        let gradients: Vec<Vec<f32>> = (2..5).map(|seed| numbers(COUNT, seed)).collect();
        let exact = definition(&weights, &gradients, decays);
        for (step, gradient) in (1..).zip(&gradients) {
            let settings = how(step).numbers();
            let given = [
                real(&[COUNT], &weights),
                real(&[COUNT], gradient),
                real(&[COUNT], &first),
                real(&[COUNT], &second),
                real(&[ADAMW_SETTINGS], &settings),
            ];
            let (_, left) = computed(&given, |arena, given| {
                Ok(vec![arena.adamw(&given[0], [&given[1], &given[2], &given[3]], &given[4], decays)?])
            });
            [weights, first, second] = [0, 2, 3].map(|operand| left[operand].clone());
            assert!(left[1].iter().all(|g| *g == 0.0), "the gradient begins anew");
            assert_near(&format!("step {step}"), &weights, &exact[usize::try_from(step).unwrap() - 1], F32);
        }
    }
}

#[test]
fn squares_are_summed_piece_by_piece() {
    let gradient = numbers(COUNT, 6);
    let (found, _) = computed(&[real(&[COUNT], &gradient)], |arena, given| Ok(vec![arena.square_sums(&given[0])?]));
    let sum = |part: &[f32]| part.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
    assert_near("Σ g²", &found[0], &[sum(&gradient[..1 << 12]), sum(&gradient[1 << 12..])], F32);
}
