//! Reinforcement: a policy answers, its answers are judged, and it is moved towards what they are worth.
//!
//! Round after round (Shao 2024, 2402.03300): [`Rollouts`] has a suite's cases answered several times by the policy as it is,
//! by the engine, prompts, samplers and scorers that examine it later; `answers` makes of each what it is worth and the tokens
//! that were drawn; the decoder reads those tokens and is moved by [`crate::train::loss::policy`]. A round's answers are kept as
//! an ordinary run, so that `tripos show` can look into it.
//!
//! What is drawn and what is learned must be the same distribution: answers are drawn at temperature 1, with nothing cut off,
//! and each round says how far the engine's log-probabilities lie from the decoder's.

mod answers;
mod health;
mod ready;
mod rollouts;
mod round;
mod sitting;
#[cfg(test)]
mod tests;

pub use ready::Ready;
pub use rollouts::Rollouts;
pub use sitting::Practising;
