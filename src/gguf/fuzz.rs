//! Damage of every kind done to the bundled model: reading and checking must end in an answer, never in a panic.

use super::Gguf;
use crate::seed;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use std::path::Path;

const TRIALS: u64 = 1000;

/// Where the header of the bundled model ends.
const HEADER: u64 = 22_633;

fn below(rng: &mut ChaCha8Rng, limit: u64) -> u64 {
    rng.next_u64() % limit
}

fn place(rng: &mut ChaCha8Rng, limit: u64) -> usize {
    usize::try_from(below(rng, limit)).unwrap()
}

/// One mutation: flipped bytes, a cut, or a length or count set to something tempting.
fn mutate(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    match below(rng, 4) {
        0 => {
            for _ in 0..=below(rng, 8) {
                let at = place(rng, HEADER);
                bytes[at] ^= u8::try_from(1 + below(rng, 255)).unwrap();
            }
        }
        1 => {
            let limit = if below(rng, 2) == 0 { HEADER } else { bytes.len() as u64 };
            let len = place(rng, limit);
            bytes.truncate(len);
        }
        // The high bytes of most numbers in a header are 0: eight bytes that could be a length are.
        2 => {
            let start = place(rng, HEADER - 8);
            let lengths = |at: &usize| bytes[*at] > 0 && bytes[at + 2..at + 8].iter().all(|b| *b == 0);
            if let Some(at) = (start..bytes.len() - 8).find(lengths) {
                let old = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
                let tempting = [0, 1, old + 1, old - 1, old * 2, 1 << 31, 1 << 32, 1 << 60, u64::MAX, u64::MAX - 7];
                let new = tempting[place(rng, tempting.len() as u64)];
                bytes[at..at + 8].copy_from_slice(&new.to_le_bytes());
            }
        }
        _ => {
            let at = place(rng, HEADER - 4);
            let tempting = [0, 1, 5, 9, 255, 256, 1 << 31, u32::MAX];
            let new: u32 = tempting[place(rng, tempting.len() as u64)];
            bytes[at..at + 4].copy_from_slice(&new.to_le_bytes());
        }
    }
}

#[test]
fn a_thousand_damaged_files_are_answered_without_a_panic() {
    let whole = std::fs::read("models/tripos-tiny.gguf").unwrap();
    let mut accepted = 0;
    for trial in 0..TRIALS {
        let mut rng = seed::rng(seed::key(trial, &["gguf", "fuzz"]));
        let mut bytes = whole.clone();
        mutate(&mut bytes, &mut rng);
        let gguf = Gguf::parse(bytes.as_slice(), bytes.len() as u64, Path::new("mutant.gguf"));
        if let Ok(gguf) = gguf {
            // Facts are asked of damaged files too, to describe them.
            let _ = (gguf.parameter_count(), gguf.quantisation(), gguf.data_offset());
            accepted += u64::from(gguf.check().is_ok());
        }
    }
    println!("{accepted} of {TRIALS} damaged files were accepted");
    assert!((1..TRIALS / 2).contains(&accepted), "{accepted}");
}
