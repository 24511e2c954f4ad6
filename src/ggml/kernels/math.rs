//! Small loops that the compiler turns into vector instructions.

/// Numbers summed side by side: enough for two vectors of 512 bits.
const LANES: usize = 32;

/// Σ a·b, summed in 32 lanes: more exact than one after another, and the same on every machine.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane = a.mul_add(*b, *lane);
        }
    }
    total(lanes) + rest
}

/// Σ a, likewise.
pub(super) fn sum(a: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let chunks = a.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (lane, a) in lanes.iter_mut().zip(chunk) {
            *lane += a;
        }
    }
    total(lanes) + rest
}

fn total(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The largest; −∞ of nothing.
pub(super) fn largest(a: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = a.chunks_exact(LANES);
    let rest = chunks.remainder().iter().fold(f32::NEG_INFINITY, |most, a| most.max(*a));
    for chunk in chunks {
        for (lane, a) in lanes.iter_mut().zip(chunk) {
            *lane = if *a > *lane { *a } else { *lane };
        }
    }
    lanes.iter().fold(rest, |most, a| most.max(*a))
}

/// eˣ within a relative 2·10⁻⁷: two to a whole power, times a polynomial (Cephes, `expf.c`). Below −87 it is 0, above 88
/// infinity or nearly; NaN gives NaN.
#[inline]
pub(super) fn exp(x: f32) -> f32 {
    /// Adding 1.5·2²³ leaves a number's whole part in the lowest bits.
    const SHIFT: f32 = 12_582_912.0;
    let clamped = x.clamp(-88.0, 88.7);
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, SHIFT);
    let whole = shifted - SHIFT;
    let r = whole.mul_add(-0.693_359_4, clamped);
    let r = whole.mul_add(2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4_f32;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p.mul_add(r, coefficient);
    }
    let p = p.mul_add(r * r, r) + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { p * power }
}

/// 1 / (1 + e⁻ˣ).
#[inline]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_equal_those_in_double_precision() {
        let a: Vec<f32> = (0..1_003).map(|i| (i as f32 * 0.37).sin()).collect();
        let b: Vec<f32> = (0..1_003).map(|i| (i as f32 * 0.11).cos()).collect();
        let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-4);
        assert!((f64::from(sum(&a)) - a.iter().map(|a| f64::from(*a)).sum::<f64>()).abs() < 1e-4);
        assert_eq!((largest(&[]), largest(&a[..5])), (f32::NEG_INFINITY, a[4]));
        assert!((dot(&[2.0; 3], &[3.0; 3]) - 18.0).abs() < 1e-6);
    }

    #[test]
    fn the_exponential_is_that_of_the_library() {
        for i in -8_700..=8_800 {
            let x = i as f32 / 100.0 + 0.003;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(x < -87.0 || error < 4e-7, "exp({x}) is off by {error:e}");
        }
        assert_eq!((exp(0.0), exp(-1e9), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0));
        assert!(exp(1e9) > 1e38 && exp(f32::NAN).is_nan());
        assert!((sigmoid(0.0) - 0.5).abs() < 1e-7 && sigmoid(-200.0) == 0.0 && (sigmoid(200.0) - 1.0).abs() < 1e-7);
    }
}
