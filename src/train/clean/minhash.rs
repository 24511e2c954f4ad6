//! MinHash: two sets of numbers compared by short signatures.
//!
//! The smallest value of a random hash function over a set is the same for two sets with a probability equal to their
//! Jaccard similarity (Broder 1997, "On the resemblance and containment of documents"). So the share of equal values
//! in two signatures estimates it, and signatures that agree in a whole band of values are likely to be of similar sets
//! (Indyk and Motwani 1998; Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", chapter 3).

use super::words::mix;
use crate::seed;
use rand_chacha::rand_core::Rng;

/// Values of a signature.
pub(super) const HASHES: usize = 128;

/// The share of pairs at the threshold itself that must share a band.
const RECALL: f64 = 0.995;

/// The hash functions x ↦ a·x + b modulo 2⁶⁴ with a odd, of which the high bits count (Dietzfelbinger et al. 1997,
/// "multiply-shift"): enough for MinHash over numbers that are hashes themselves (Thorup 2013, 1303.5479).
#[derive(Debug)]
pub(super) struct MinHash {
    multipliers: [u64; HASHES],
    addends: [u64; HASHES],
}

/// Of each hash function the smallest value over a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature([u64; HASHES]);

/// A byte of each value of a signature: equal values have equal bytes, and others in one of 256 cases (Li and König 2010,
/// "b-bit minwise hashing").
#[derive(Debug)]
pub(super) struct Bytes([u8; HASHES]);

impl MinHash {
    /// The same functions every time.
    pub(super) fn new() -> Self {
        let mut random = seed::rng(seed::key(0, &["clean", "minhash"]));
        let multipliers = std::array::from_fn(|_| random.next_u64() | 1);
        let addends = std::array::from_fn(|_| random.next_u64());
        Self { multipliers, addends }
    }

    /// The signature of a set.
    pub(super) fn signature(&self, set: &[u64]) -> Signature {
        let mut least = [u64::MAX; HASHES];
        for number in set {
            for ((least, a), b) in least.iter_mut().zip(&self.multipliers).zip(&self.addends) {
                *least = (*least).min(number.wrapping_mul(*a).wrapping_add(*b));
            }
        }
        Signature(least)
    }
}

impl Signature {
    /// One number for each band of `rows` values; values that are left over belong to none.
    pub(super) fn bands(&self, rows: usize) -> impl Iterator<Item = u64> {
        self.0.chunks_exact(rows).map(|band| band.iter().fold(0, |all, value| mix(all ^ value)))
    }

    /// A byte of each value: the lowest of the high half, where a multiply-shift is random.
    pub(super) fn bytes(&self) -> Bytes {
        Bytes(self.0.map(|value| value.to_le_bytes()[4]))
    }
}

impl Bytes {
    /// How many of them are equal; over [`HASHES`], an estimate of the similarity.
    pub(super) fn equal(&self, other: &Self) -> u8 {
        self.0.iter().zip(&other.0).fold(0, |equal: u8, (a, b)| equal.wrapping_add(u8::from(a == b)))
    }
}

/// The probability that two sets of this similarity s share a band of r values, of which there are b: 1 − (1 − sʳ)ᵇ.
pub(super) fn recall(similarity: f64, rows: usize) -> f64 {
    let bands = HASHES / rows;
    1.0 - (1.0 - similarity.powf(rows as f64)).powf(bands as f64)
}

/// The most values a band can have if sets at the threshold are still found: the more, the fewer others are looked at.
///
/// At 0.8 this is 6, in 21 bands: 0.9983 of the pairs with that similarity share a band, all but 1 in 8 million at 0.9, 0.28
/// at 0.5, and 0.015 at 0.3.
pub(super) fn rows(threshold: f64) -> usize {
    (1..=HASHES).rev().find(|rows| recall(threshold, *rows) >= RECALL).unwrap_or(1)
}

/// The fewest equal bytes of two sets at the threshold t: four standard errors, √(t(1 − t) / [`HASHES`]) each, below t.
pub(super) fn fewest_equal(threshold: f64) -> f64 {
    let hashes = HASHES as f64;
    hashes * threshold - 4.0 * (hashes * threshold * (1.0 - threshold)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sets of which `shared` of `shared + 2 · own` numbers are in both.
    fn pair(shared: u64, own: u64, seed: u64) -> [Vec<u64>; 2] {
        let number = |i: u64| mix(seed * 1_000_000 + i);
        let both = (0..shared).map(number);
        [0, own].map(|from| both.clone().chain((shared + from..shared + from + own).map(number)).collect())
    }

    #[test]
    fn the_share_of_equal_values_estimates_the_similarity() {
        let minhash = MinHash::new();
        for (shared, own) in [(90, 5), (80, 10), (50, 25), (20, 40)] {
            let similarity = shared as f64 / (shared + 2 * own) as f64;
            let trials = 200;
            let equal: f64 = (0..trials)
                .map(|seed| {
                    let [a, b] = pair(shared, own, seed).map(|set| minhash.signature(&set).bytes());
                    f64::from(a.equal(&b))
                })
                .sum();
            let estimate = equal / (trials as f64 * HASHES as f64);
            // A byte is equal by chance in one of 256 cases.
            let expected = similarity + (1.0 - similarity) / 256.0;
            let stderr = (similarity * (1.0 - similarity) / (trials as f64 * HASHES as f64)).sqrt();
            assert!((estimate - expected).abs() < 5.0 * stderr, "{estimate} for {expected} ± {stderr}");
        }
    }

    /// ```python
    /// [(r, 1 - (1 - s**r)**(128 // r)) for s, r in ((.8, 6), (.8, 7), (.9, 6), (.5, 6), (.3, 6))]
    /// ```
    #[test]
    fn bands_are_as_long_as_the_recall_at_the_threshold_allows() {
        assert_eq!(rows(0.8), 6);
        assert_eq!([0.5, 0.7, 0.9, 1.0].map(rows), [3, 4, 9, 128]);
        assert_eq!([0.0, 1e-9].map(rows), [1, 1]);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-4, "{a} for {b}");
        near(recall(0.8, 6), 0.9983);
        near(recall(0.8, 7), 0.9855);
        near(1.0 - recall(0.9, 6), 0.0);
        near(recall(0.5, 6), 0.2816);
        near(recall(0.3, 6), 0.0152);
    }

    #[test]
    fn pairs_share_bands_as_often_as_the_formula_says() {
        let minhash = MinHash::new();
        let found = |shared, own| {
            let shares = (0..1000).filter(|seed| {
                let [a, b] = pair(shared, own, *seed).map(|set| minhash.signature(&set));
                a.bands(6).zip(b.bands(6)).any(|(a, b)| a == b)
            });
            shares.count() as f64 / 1000.0
        };
        assert!((found(90, 5) - 1.0).abs() < 1e-9, "recall at 0.9");
        assert!(found(80, 10) > 0.99, "recall at 0.8");
        let expected = recall(0.5, 6);
        assert!((found(50, 25) - expected).abs() < 5.0 * (expected * (1.0 - expected) / 1000.0).sqrt());
    }
}
