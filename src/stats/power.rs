//! What so many cases could have shown: the exact power of the exact McNemar test, without any normal approximation.
//!
//! The usual `2.80·√(ψ/n)` promises differences that the exact test cannot show for few cases: at n 20 and 5 % discordance
//! it says 14 points, where there is none at all. (Connor 1987, Biometrics 43(1), for the two stages; the sum is ours.)

use super::binomial::ln_pmf;

/// The power that detectable differences and numbers of cases are told for.
pub const POWER: f64 = 0.8;
/// Halvings of the bracket around a difference.
const HALVINGS: usize = 40;
/// Where a search for a number of cases gives up.
const MOST_CASES: usize = 1 << 24;

/// What a p-value may be at most to count at a confidence level: `1 − level`, and the rounding of that subtraction.
pub(super) fn alpha(level: f64) -> f64 {
    1.0 - level + 1e-12
}

/// How often the exact McNemar test rejects at `1 − level`, where of `n` cases a share `psi` is discordant and the candidate
/// is better (or worse) by `delta`: only the candidate passes `(psi + delta)/2` of them, only the baseline `(psi − delta)/2`:
///
/// `Σ_d P(D = d) · (P(C ≤ k_d) + P(C ≥ d − k_d))`, D of n at psi, C of d at `(psi + delta) / 2psi`,
///
/// k_d the most that the smaller side may have for the test to reject. The sum runs to ten standard deviations of D above
/// its mean. 0 where psi is not in (0, 1]; a `delta` beyond psi counts as psi.
///
/// ```
/// let power = tripos::stats::mcnemar_power(200, 0.06, 0.049, 0.95);
/// assert!((power - 0.80).abs() < 0.01);
/// ```
#[must_use]
pub fn mcnemar_power(n: usize, psi: f64, delta: f64, level: f64) -> f64 {
    if !(psi > 0.0 && psi <= 1.0) || delta.is_nan() {
        return 0.0;
    }
    let most = |q: f64| q.clamp(0.0, 1.0 - 1e-12);
    let share = most(f64::midpoint(1.0, delta / psi));
    let [mut fair, mut candidate, mut baseline] = [0.5, share, most(1.0 - share)].map(Tail::new);
    let [first, last] = mass(n, psi);
    let mut power = 0.0;
    for discordant in 0..=last {
        if discordant > 0 {
            [&mut fair, &mut candidate, &mut baseline].into_iter().for_each(Tail::one_more);
        }
        // The smaller side may have one more at most than with a case less.
        if 2.0 * (fair.sum + fair.next()) <= alpha(level) {
            [&mut fair, &mut candidate, &mut baseline].into_iter().for_each(Tail::one_up);
        }
        if discordant >= first {
            power += ln_pmf(discordant, n, psi).exp() * (candidate.sum + baseline.sum);
        }
    }
    power.min(1.0)
}

/// Where the number of discordant cases lies, but for less than 1e-20 of the time.
fn mass(n: usize, psi: f64) -> [usize; 2] {
    let (mean, variance) = (n as f64 * psi, n as f64 * psi * (1.0 - psi));
    let reach = 10.0 * variance.sqrt() + 30.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to 0 to n")]
    let whole = |x: f64| x.clamp(0.0, n as f64) as usize;
    [whole(mean - reach), whole(mean + reach)]
}

/// `P(X ≤ k)` of `n` trials at `q`, kept up as n and k grow: each step costs one term.
struct Tail {
    q: f64,
    n: usize,
    /// None: not even 0.
    k: Option<usize>,
    /// `P(X = k)`.
    term: f64,
    /// `P(X ≤ k)`.
    sum: f64,
}

impl Tail {
    fn new(q: f64) -> Self {
        Self { q, n: 0, k: None, term: 0.0, sum: 0.0 }
    }

    /// One trial more: `P(X' ≤ k) = P(X ≤ k) − q·P(X = k)`.
    fn one_more(&mut self) {
        self.n += 1;
        if let Some(k) = self.k {
            self.sum = (self.sum - self.q * self.term).max(0.0);
            self.term *= self.n as f64 / (self.n - k) as f64 * (1.0 - self.q);
        }
    }

    /// `P(X = k + 1)`.
    fn next(&self) -> f64 {
        match self.k {
            None => (self.n as f64 * (1.0 - self.q).ln()).exp(),
            Some(k) => self.term * (self.n - k) as f64 / (k + 1) as f64 * self.q / (1.0 - self.q),
        }
    }

    fn one_up(&mut self) {
        self.term = self.next();
        self.sum += self.term;
        self.k = Some(self.k.map_or(0, |k| k + 1));
    }
}

/// The smallest difference that `n` cases, a share `psi` of them discordant, show in four of five tries ([`POWER`]).
///
/// A difference is `psi` at most, since cases that agree add nothing to it. `None`: not even that would be seen. So it is
/// for psi 0, and for few cases: 20 with 5 % discordance have one discordant case, and six at least are needed.
///
/// ```
/// use tripos::stats::minimum_detectable;
/// assert_eq!(minimum_detectable(20, 0.05, 0.95), None);
/// assert!((minimum_detectable(200, 0.06, 0.95).unwrap() - 0.049).abs() < 0.001);
/// ```
#[must_use]
pub fn minimum_detectable(n: usize, psi: f64, level: f64) -> Option<f64> {
    let enough = |delta: f64| mcnemar_power(n, psi, delta, level) >= POWER;
    if !enough(psi) {
        return None;
    }
    Some(least(psi, enough))
}

/// How many cases show a difference of `delta` in four of five tries where a share `max(psi, delta)` is discordant.
///
/// Exact power falls a little now and then as cases are added (the test's level jumps): this is a number at which it crosses
/// 80 %, and a few cases around it the answer is the other one. `None` for a `delta` that is not in (0, 1], and where
/// millions would not do.
///
/// ```
/// let cases = tripos::stats::cases_needed(0.03, 0.06, 0.95).unwrap();
/// assert!((500..600).contains(&cases));
/// ```
#[must_use]
pub fn cases_needed(delta: f64, psi: f64, level: f64) -> Option<usize> {
    let psi = psi.max(delta).min(1.0);
    (delta > 0.0 && delta <= 1.0).then_some(())?;
    fewest(1, MOST_CASES, |n| mcnemar_power(n, psi, delta, level) >= POWER)
}

/// The first number from `least` on, doubled until it is enough and then narrowed down.
pub(super) fn fewest(least: usize, most: usize, enough: impl Fn(usize) -> bool) -> Option<usize> {
    let (mut low, mut high) = (least.saturating_sub(1), least);
    while !enough(high) {
        if high > most {
            return None;
        }
        (low, high) = (high, high * 2);
    }
    while high - low > 1 {
        let middle = usize::midpoint(low, high);
        if enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// The least value from 0 to `high`, which is enough, that is enough.
pub(super) fn least(mut high: f64, enough: impl Fn(f64) -> bool) -> f64 {
    let mut low = 0.0;
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::mcnemar;

    /// ```python
    /// def power(n, psi, delta):  # SciPy 1.17.1
    ///     total = 0
    ///     for d in range(n + 1):
    ///         k = -1
    ///         while 2 * binom.cdf(k + 1, d, .5) <= .05 + 1e-12 and k + 1 <= d / 2: k += 1
    ///         q = (psi + delta) / 2 / psi
    ///         total += binom.pmf(d, n, psi) * (binom.cdf(k, d, q) + binom.sf(d - k - 1, d, q)) if k >= 0 else 0
    ///     return total
    /// ```
    #[test]
    fn agrees_with_the_double_sum_in_scipy() {
        let golden = [
            (20, 0.5, 0.3, 0.367_082_648_713_995_65),
            (20, 0.05, 0.05, 0.000_329_294_324_527_904_54),
            (200, 0.06, 0.049, 0.801_646_289_131_192_6),
            (100, 0.2, 0.1, 0.544_445_427_935_220_9),
            (500, 0.1, 0.04, 0.785_447_249_459_515_3),
            (2_000, 0.3, 0.03, 0.674_132_545_890_769_4),
            (20, 0.5, 0.5, 0.979_305_267_333_984_5),
            (100, 0.2, 0.0, 0.029_440_205_993_087_908),
        ];
        for (n, psi, delta, wanted) in golden {
            let got = mcnemar_power(n, psi, delta, 0.95);
            assert!((got - wanted).abs() < 1e-10, "{n} {psi} {delta}: {got}");
            assert!((mcnemar_power(n, psi, -delta, 0.95) - wanted).abs() < 1e-10, "a drop is seen as often");
        }
    }

    #[test]
    fn rejects_exactly_where_the_test_does() {
        for level in [0.9, 0.95, 0.99] {
            let mut fair = Tail::new(0.5);
            for d in 0..200 {
                if d > 0 {
                    fair.one_more();
                }
                if 2.0 * (fair.sum + fair.next()) <= alpha(level) {
                    fair.one_up();
                }
                let by_test = (0..=d / 2).rfind(|k| mcnemar(*k, d - k) <= alpha(level));
                assert_eq!(fair.k, by_test, "{d} at {level}");
            }
        }
    }

    #[test]
    fn the_smallest_difference_has_the_power_and_a_smaller_one_has_not() {
        for (n, psi) in [(100, 0.2), (500, 0.05), (500, 0.5), (25_000, 0.1), (100_000, 0.3)] {
            let least = minimum_detectable(n, psi, 0.95).unwrap();
            assert!((mcnemar_power(n, psi, least, 0.95) - POWER).abs() < 1e-3);
            let approximation = 2.80 * (psi / n as f64).sqrt();
            assert!(least > 0.98 * approximation && least < 1.4 * approximation, "{n} {psi}: {least}");
        }
    }

    #[test]
    fn few_cases_or_no_discordance_detect_nothing() {
        for (n, psi) in [(20, 0.02), (20, 0.1), (100, 0.02), (5, 1.0), (500, 0.0), (0, 0.5), (500, f64::NAN)] {
            assert_eq!(minimum_detectable(n, psi, 0.95), None, "{n} {psi}");
        }
        assert!(minimum_detectable(20, 0.5, 0.95).is_some());
        assert!((minimum_detectable(6, 1.0, 0.95).unwrap() - 1.0).abs() < 0.1, "six cases at most");
    }

    #[test]
    fn the_cases_needed_have_the_power() {
        for psi in [0.0, 0.03, 0.1, 0.5, 1.0] {
            let n = cases_needed(0.03, psi, 0.95).unwrap();
            let psi = psi.max(0.03);
            assert!(mcnemar_power(n, psi, 0.03, 0.95) >= POWER && mcnemar_power(n - 1, psi, 0.03, 0.95) < POWER);
            assert!(mcnemar_power(n * 9 / 10, psi, 0.03, 0.95) < POWER, "{n} at {psi}");
        }
        assert_eq!(cases_needed(0.0, 0.1, 0.95), None);
        assert_eq!(cases_needed(0.03, f64::NAN, 0.95), cases_needed(0.03, 0.0, 0.95));
    }

    /// Two halvings of a hundred thousand cases would take longer than all else together, were the sum not kept short.
    #[test]
    fn a_hundred_thousand_cases_take_no_time() {
        let began = std::time::Instant::now();
        assert!(minimum_detectable(100_000, 0.5, 0.95).is_some());
        assert!(began.elapsed().as_secs_f64() < 1.0, "{:?}", began.elapsed());
    }
}
