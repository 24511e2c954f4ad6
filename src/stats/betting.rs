//! A mean watched while its values come in: confidence that holds at every moment, however often one looks (Waudby-Smith and
//! Ramdas 2024, "Estimating means of bounded random variables by betting", JRSS B 86(1), arXiv 2010.09686, section 4: the
//! hedged capital process with predictable plug-in bets).
//!
//! Two gamblers start with 1. At each value x in [0, 1] one bets that the mean lies above m and the other below it:
//!
//! `K⁺ ← K⁺·(1 + λ⁺(x − m))`, `K⁻ ← K⁻·(1 − λ⁻(x − m))`, `λ⁺ = min(λ, ½/m)`, `λ⁻ = min(λ, ½/(1 − m))`,
//!
//! where `λ = √(2 ln(2/α) / (σ̂²·t·ln(1 + t)))` and σ̂² come from the values before. Were m the mean, neither could be expected
//! to win, so one that ever has 2/α refutes m (Ville 1939); each error has α/2. Both capitals are monotone in m, so the values of
//! m that stand form an interval, and one threshold needs one pair of gamblers.
//!
//! The values are taken as drawn at random from a population whose mean is meant; so their order must be random.

/// The most that may be lost at once (the paper's c).
const MOST_AT_STAKE: f64 = 0.5;
/// Halvings of the bracket around a bound.
const HALVINGS: usize = 50;

/// How much to bet next, from what was seen.
#[derive(Debug, Clone)]
struct Bets {
    /// `2 ln(2/α)`.
    scale: f64,
    n: f64,
    sum: f64,
    squares: f64,
}

impl Bets {
    fn new(level: f64) -> Option<Self> {
        let scale = (level > 0.0 && level < 1.0).then(|| 2.0 * (2.0 / (1.0 - level)).ln())?;
        Some(Self { scale, n: 0.0, sum: 0.0, squares: 0.0 })
    }

    /// λ for the next value: `σ̂² = (¼ + Σ(xᵢ − μ̂ᵢ)²)/(t + 1)`, `μ̂ᵢ = (½ + Σⱼ≤ᵢ xⱼ)/(i + 1)`.
    fn next(&self) -> f64 {
        let variance = (0.25 + self.squares) / (self.n + 1.0);
        let t = self.n + 1.0;
        (self.scale / (variance * t * (1.0 + t).ln())).sqrt()
    }

    fn see(&mut self, x: f64) {
        self.n += 1.0;
        self.sum += x;
        let mean = (0.5 + self.sum) / (self.n + 1.0);
        self.squares += (x - mean).powi(2);
    }
}

/// The logarithms by which one value multiplies the two capitals at m.
fn gains(x: f64, m: f64, bet: f64) -> [f64; 2] {
    let (up, down) = (bet.min(MOST_AT_STAKE / m), bet.min(MOST_AT_STAKE / (1.0 - m)));
    [(1.0 + up * (x - m)).ln(), (1.0 - down * (x - m)).ln()]
}

/// Whether the mean of values lies above or below one threshold, asked after each of them.
///
/// ```
/// use tripos::stats::Wager;
/// let mut wager = Wager::new(0.5, 0.95).unwrap();
/// for _ in 0..40 {
///     wager.push(0.9);
/// }
/// assert!(wager.above() && !wager.below());
/// ```
#[derive(Debug, Clone)]
pub struct Wager {
    threshold: f64,
    /// What refutes the threshold: ln(2/α).
    enough: f64,
    bets: Bets,
    capitals: [f64; 2],
    /// What was once refuted stays so.
    refuted: [bool; 2],
}

impl Wager {
    /// A wager on a threshold, cut to [0, 1], at a confidence level; `None` for NaN or a level outside (0, 1).
    #[must_use]
    pub fn new(threshold: f64, level: f64) -> Option<Self> {
        let bets = Bets::new(level).filter(|_| !threshold.is_nan())?;
        let threshold = threshold.clamp(0.0, 1.0);
        Some(Self { threshold, enough: bets.scale / 2.0, bets, capitals: [0.0; 2], refuted: [false; 2] })
    }

    /// Takes the next value. One outside [0, 1] is not taken, and the answer is then `false`.
    pub fn push(&mut self, x: f64) -> bool {
        if !(0.0..=1.0).contains(&x) {
            return false;
        }
        let gained = gains(x, self.threshold, self.bets.next());
        for ((capital, gain), refuted) in self.capitals.iter_mut().zip(gained).zip(&mut self.refuted) {
            *capital += gain;
            *refuted |= *capital >= self.enough;
        }
        self.bets.see(x);
        true
    }

    /// The mean lies above the threshold: the lower bound has passed it.
    #[must_use]
    pub fn above(&self) -> bool {
        self.refuted[0]
    }

    /// The mean lies below the threshold: the upper bound has passed it.
    #[must_use]
    pub fn below(&self) -> bool {
        self.refuted[1]
    }
}

/// The interval of the mean after all of these values, each in [0, 1]: the m that neither gambler has refuted (now; what was
/// refuted on the way is not taken out). `None` for a value outside [0, 1], no values, or a level outside (0, 1).
///
/// ```
/// let [low, high] = tripos::stats::betting_interval(&[1.0; 50], 0.95).unwrap();
/// assert!(low > 0.8 && high == 1.0);
/// ```
#[must_use]
pub fn betting_interval(values: &[f64], level: f64) -> Option<[f64; 2]> {
    let mut bets = Bets::new(level).filter(|_| !values.is_empty())?;
    let enough = bets.scale / 2.0;
    let mut placed = Vec::with_capacity(values.len());
    for x in values {
        (0.0..=1.0).contains(x).then_some(())?;
        placed.push((*x, bets.next()));
        bets.see(*x);
    }
    let capital = |m: f64, side: usize| -> f64 { placed.iter().map(|(x, bet)| gains(*x, m, *bet)[side]).sum() };
    // `refuted` is true at the outer end of the bracket, if anywhere.
    let bound = |mut outer: f64, mut inner: f64, side: usize| {
        if capital(outer, side) < enough {
            return outer;
        }
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(outer, inner);
            if capital(middle, side) < enough {
                inner = middle;
            } else {
                outer = middle;
            }
        }
        inner
    };
    Some([bound(0.0, 1.0, 0), bound(1.0, 0.0, 1)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;
    use rand_chacha::rand_core::Rng;

    fn values() -> Vec<f64> {
        (0..60_u32).map(|i| f64::from(i * 37 % 101) / 100.0).map(|x| x * x).collect()
    }

    /// ```python
    /// x = (np.arange(60) * 37 % 101 / 100) ** 2; a = .05  # NumPy 2.4.6
    /// t = np.arange(1, 61); mu = (.5 + np.cumsum(x)) / (t + 1); s2 = (.25 + np.cumsum((x - mu) ** 2)) / (t + 1)
    /// l = np.sqrt(2 * np.log(2 / a) / (np.append(.25, s2[:-1]) * t * np.log(1 + t)))
    /// m = np.linspace(1e-6, 1 - 1e-6, 1000001)
    /// up = sum(np.log1p(np.minimum(b, .5 / m) * (y - m)) for y, b in zip(x, l))
    /// down = sum(np.log1p(-np.minimum(b, .5 / (1 - m)) * (y - m)) for y, b in zip(x, l))
    /// k = m[np.maximum(up, down) < np.log(2 / a)]; k.min(), k.max()
    /// ```
    #[test]
    fn agrees_with_a_grid_in_numpy() {
        let [low, high] = betting_interval(&values(), 0.95).unwrap();
        assert!((low - GRID[0]).abs() < 3e-6 && (high - GRID[1]).abs() < 3e-6, "{low} {high}");
    }

    const GRID: [f64; 2] = [0.218_120_564, 0.449_933_100];

    #[test]
    fn a_wager_is_decided_where_its_threshold_leaves_the_interval() {
        let all = values();
        for threshold in [0.1, 0.2, 0.3, 0.4, 0.5, 0.6] {
            let mut wager = Wager::new(threshold, 0.95).unwrap();
            let (mut above, mut below) = (false, false);
            for seen in 1..=all.len() {
                wager.push(all[seen - 1]);
                let [low, high] = betting_interval(&all[..seen], 0.95).unwrap();
                above |= threshold < low;
                below |= threshold > high;
                assert_eq!((wager.above(), wager.below()), (above, below), "{threshold} after {seen}");
            }
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_not_taken() {
        let mut wager = Wager::new(0.5, 0.95).unwrap();
        assert!(!wager.push(1.5) && !wager.push(f64::NAN) && wager.push(1.0));
        assert!(Wager::new(f64::NAN, 0.95).is_none() && Wager::new(0.5, 1.0).is_none());
        assert_eq!(betting_interval(&[0.5, 2.0], 0.95), None);
        assert_eq!(betting_interval(&[], 0.95), None);
        let mut edge = Wager::new(-3.0, 0.95).unwrap();
        (0..50).for_each(|_| assert!(edge.push(0.5)));
        assert!(edge.above());
    }

    /// At the true mean either gambler may refute it within 300 values α/2 of the time at most; looking at each step at an
    /// interval made for one look, the control, does so several times as often.
    #[test]
    fn looking_after_every_value_raises_no_alarms() {
        let mut rng = seed::rng(seed::key(1, &["betting"]));
        let (runs, mean) = (2_000, 0.7);
        let (mut above, mut below, mut naive) = (0, 0, 0);
        for _ in 0..runs {
            let mut wager = Wager::new(mean, 0.95).unwrap();
            let (mut passes, mut alarm) = (0, false);
            for n in 1..=300 {
                let pass = f64::from(rng.next_u32()) < mean * 4_294_967_296.0;
                wager.push(f64::from(u8::from(pass)));
                passes += usize::from(pass);
                let [low, high] = crate::stats::wilson(passes, n, 0.95).unwrap();
                alarm |= n >= 20 && !(low..=high).contains(&mean);
            }
            above += usize::from(wager.above());
            below += usize::from(wager.below());
            naive += usize::from(alarm);
        }
        assert!(above <= runs / 40 && below <= runs / 40, "{above} {below}");
        assert!(naive > runs / 10, "the control: {naive}");
    }
}
