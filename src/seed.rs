//! Every random number of Tripos comes from here: a stable 64-bit hash of what it is for, fed to `ChaCha8`.
//!
//! Nothing depends on the order in which numbers are drawn elsewhere, on the platform, or on a version of `rand`'s
//! `StdRng` (which is documented as not portable).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// A 64-bit key for a purpose: the first 8 bytes (big-endian) of the SHA-256 of the seed and each part, every part
/// preceded by its length so that `["ab", "c"]` and `["a", "bc"]` differ.
///
/// ```
/// use tripos::seed::key;
/// assert_ne!(key(1, &["ab", "c"]), key(1, &["a", "bc"]));
/// assert_ne!(key(1, &["a"]), key(2, &["a"]));
/// ```
#[must_use]
pub fn key(seed: u64, parts: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    first_u64(&hash.finalize())
}

/// The sampling seed of one trial: it depends on the trial alone, never on what else is in the run.
#[must_use]
pub fn trial(seed: u64, variant: &str, case: &str, repeat: u32) -> u64 {
    key(seed, &["trial", variant, case, &repeat.to_string()])
}

/// A generator for a key.
#[must_use]
pub fn rng(key: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(key)
}

/// The first 8 bytes of a digest, big-endian.
#[must_use]
pub fn first_u64(digest: &[u8]) -> u64 {
    digest.iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// import hashlib, struct
    /// h = hashlib.sha256(struct.pack('<Q', 7)); [h.update(struct.pack('<Q', len(p)) + p) for p in (b'trial', b'a', b'c-1', b'0')]
    /// int.from_bytes(h.digest()[:8], 'big')
    /// ```
    #[test]
    fn a_trial_seed_is_the_same_on_every_machine() {
        assert_eq!(trial(7, "a", "c-1", 0), 0xf4b1_6cb1_fc33_242a);
    }
}
