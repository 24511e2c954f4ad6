//! The learning rate at each step.

use super::recipe::{Schedule, Shape};
use std::f64::consts::PI;

/// The rate of a step (from 1) of so many: up in a straight line over the first `warmup` share of the steps, reached with
/// its last; then level; then down over the last `warmdown` share to `final · lr`, reached with the very last step.
///
/// Where rise and fall overlap, the fall begins when the rise is done.
///
/// ```
/// use tripos::train::recipe::{Schedule, Shape};
/// use tripos::train::schedule::rate;
/// let schedule = Schedule { lr: 1.0, warmup: 0.1, shape: Shape::Linear, r#final: 0.0, warmdown: 0.5 };
/// let rates = [1, 10, 50, 75, 100].map(|step| rate(&schedule, step, 100));
/// assert_eq!(rates, [0.1, 1.0, 1.0, 0.5, 0.0]);
/// ```
#[must_use]
pub fn rate(schedule: &Schedule, step: u64, steps: u64) -> f64 {
    let (step, steps) = (step as f64, steps.max(1) as f64);
    let rise = (schedule.warmup * steps).round();
    if step < rise {
        return schedule.lr * step / rise;
    }
    let level = (steps - (schedule.warmdown * steps).round()).max(rise);
    if step <= level || schedule.shape == Shape::Constant {
        return schedule.lr;
    }
    let way = (step - level) / (steps - level);
    let left = match schedule.shape {
        Shape::Constant => 1.0,
        Shape::Linear => 1.0 - way,
        Shape::Cosine => 0.5 + 0.5 * (PI * way).cos(),
    };
    schedule.lr * (schedule.r#final + (1.0 - schedule.r#final) * left)
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "rounded to six digits")]
mod tests {
    use super::*;

    fn rates<const N: usize>(shape: Shape, warmup: f64, warmdown: f64, steps: [u64; N]) -> [f64; N] {
        let schedule = Schedule { lr: 2.0, warmup, shape, r#final: 0.1, warmdown };
        steps.map(|step| (rate(&schedule, step, 100) * 1e6).round() / 1e6)
    }

    #[test]
    fn a_constant_rate_rises_and_stays() {
        assert_eq!(rates(Shape::Constant, 0.04, 1.0, [1, 2, 3, 4, 5, 100]), [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]);
        assert_eq!(rates(Shape::Constant, 0.0, 0.0, [1, 100]), [2.0, 2.0]);
    }

    #[test]
    fn a_linear_rate_falls_to_its_end() {
        // From 2 at step 20 to 0.2 at step 100: 1.8 / 80 a step.
        assert_eq!(rates(Shape::Linear, 0.2, 0.8, [10, 20, 60, 100]), [1.0, 2.0, 1.1, 0.2]);
        assert_eq!(rates(Shape::Linear, 0.0, 0.5, [1, 50, 75, 100]), [2.0, 2.0, 1.1, 0.2]);
    }

    #[test]
    fn a_cosine_falls_slowly_fast_slowly() {
        // Behind step 20 in 80 steps: at a quarter 0.2 + 1.8 · (1 + cos 45°) / 2, at half 0.2 + 0.9.
        assert_eq!(rates(Shape::Cosine, 0.2, 1.0, [20, 40, 60, 100]), [2.0, 1.736_396, 1.1, 0.2]);
    }

    #[test]
    fn any_number_of_steps_has_finite_rates() {
        for steps in [0, 1, 2, 3] {
            for shape in [Shape::Constant, Shape::Linear, Shape::Cosine] {
                let schedule = Schedule { lr: 1e-3, warmup: 1.0, shape, r#final: 0.0, warmdown: 1.0 };
                let all = (1..=steps).map(|step| rate(&schedule, step, steps));
                assert!(all.into_iter().all(|rate| rate.is_finite() && (0.0..=1e-3).contains(&rate)), "{steps}");
            }
        }
    }
}
