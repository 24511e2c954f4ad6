//! Random moments to kill a program at.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Draws them anew in each test, from a seed that is printed; `TRIPOS_KILL_SEED` draws those of a failure again.
pub(crate) struct Moments(ChaCha8Rng);

impl Moments {
    pub(crate) fn draw() -> Self {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
        let given = std::env::var("TRIPOS_KILL_SEED").ok();
        let seed: u64 = given.map_or_else(|| u64::from(now()), |seed| seed.parse().unwrap());
        println!("the moments of the kills: TRIPOS_KILL_SEED={seed}");
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// How far a run has come: 0 to `end`.
    pub(crate) fn progress(&mut self, end: usize) -> usize {
        self.0.random_range(0..=end)
    }

    /// How long after that.
    pub(crate) fn pause(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.0.random_range(0.0..1.0))
    }
}
