//! Gradients against differences of the loss: whatever PyTorch says, this is what a gradient is.

use super::decoder::{How, Lesson, dot, norm};
use super::golden::{Golden, numbers};
use tripos::model::Saved;

/// Half the distance between two looks at the loss. The loss is known to about 1e-6, and what is neglected grows with the
/// square of this; two distances together leave out the square.
const STEP: f64 = 1e-2;

/// The largest relative difference.
const NEAR: f64 = 0.02;

/// Numbers of each tensor that are moved alone: the largest of its gradient, and some at random.
const LARGEST: usize = 4;
const OTHERS: usize = 2;

/// How the loss moves with one tensor along a direction, by Richardson's extrapolation of central differences.
#[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
fn slope(lesson: &mut Lesson, saved: &[Saved], tensor: usize, direction: &[f64]) -> f64 {
    let mut at = |step: f64| {
        let mut moved = saved.to_vec();
        for (x, d) in moved[tensor].values.iter_mut().zip(direction) {
            *x = (f64::from(*x) + step * d) as f32;
        }
        lesson.decoder.restore(&moved).unwrap();
        lesson.loss()
    };
    let mut central = |step: f64| (at(step) - at(-step)) / (2.0 * step);
    (4.0 * central(STEP) - central(2.0 * STEP)) / 3.0
}

/// A direction that moves one number.
fn alone(place: usize, count: usize) -> Vec<f64> {
    (0..count).map(|i| if i == place { 1.0 } else { 0.0 }).collect()
}

/// A direction of length 1 that moves all of them.
fn together(name: &str, count: usize) -> Vec<f64> {
    let numbers = numbers(name, count);
    let length = numbers.iter().map(|x| x * x).sum::<f64>().sqrt();
    numbers.into_iter().map(|x| x / length).collect()
}

/// The places of the largest numbers, and some at random.
fn places(gradient: &[f32], name: &str) -> Vec<usize> {
    let mut order: Vec<usize> = (0..gradient.len()).collect();
    order.sort_by(|a, b| gradient[*b].abs().total_cmp(&gradient[*a].abs()));
    let random = numbers(name, gradient.len());
    let mut others: Vec<usize> = (0..gradient.len()).collect();
    others.sort_by(|a, b| random[*a].total_cmp(&random[*b]));
    order.iter().take(LARGEST).chain(others.iter().take(OTHERS)).copied().collect()
}

/// What differs between the gradients that a decoder computes and the differences of its loss.
pub(super) fn complaints(lesson: &mut Lesson, bend: f32) -> Vec<String> {
    lesson.learn();
    let (gradients, saved) = (lesson.decoder.gradients().unwrap(), lesson.decoder.save().unwrap());
    assert_eq!(gradients.len(), saved.len());
    let mut complaints = Vec::new();
    for (tensor, mut gradient) in gradients.into_iter().enumerate() {
        assert_eq!(gradient.name, saved[tensor].name);
        gradient.values.iter_mut().for_each(|x| *x *= bend);
        let (name, values) = (&gradient.name, &gradient.values);
        let mut directions: Vec<Vec<f64>> =
            places(values, name).into_iter().map(|place| alone(place, values.len())).collect();
        directions.extend((0..2).map(|i| together(&format!("{name}/{i}"), values.len())));
        // Together, since a single one may be next to nothing.
        let (mut off, mut all) = (0.0, 0.0);
        for direction in &directions {
            let (told, seen) = (dot(values, direction), slope(lesson, &saved, tensor, direction));
            off += (told - seen).powi(2);
            all += seen.powi(2);
        }
        let relative = (off / all).sqrt();
        if relative.is_nan() || relative > NEAR {
            complaints.push(format!("{name}: {relative:.4} of {:.2e}, norm {:.2e}", all.sqrt(), norm(values)));
        }
    }
    lesson.decoder.restore(&saved).unwrap();
    complaints
}

const CASES: [(&str, &str); 5] =
    [("llama", "packed"), ("llama", "head"), ("qwen2", "lora"), ("qwen3", "rows"), ("smollm3", "packed")];

#[test]
fn gradients_are_the_differences_of_the_loss() {
    for (family, case) in CASES {
        let golden = Golden::of(family);
        let mut lesson = Lesson::new(&golden.model(), golden.case(case).unwrap(), How::PLAIN);
        let complaints = complaints(&mut lesson, 1.0);
        assert!(complaints.is_empty(), "{family}, {case}:\n{}", complaints.join("\n"));
    }
}

/// The twin of the test above.
#[test]
fn gradients_a_twentieth_too_large_are_not() {
    let golden = Golden::of("llama");
    let mut lesson = Lesson::new(&golden.model(), golden.case("head").unwrap(), How::PLAIN);
    let trained = lesson.decoder.names().len();
    assert_eq!(complaints(&mut lesson, 1.05).len(), trained);
}
