//! Reinforcement: a policy answers, its answers are judged, and it is moved towards what they are worth.
//!
//! Round after round (Schulman 2017, 1707.06347; Shao 2024, 2402.03300): [`Rollouts`] has a suite's cases answered by the policy as
//! it is, by the engine, prompts, samplers and scorers that examine it later; `answers` makes of each what it is worth and the tokens
//! that were drawn; the decoder reads those tokens and is moved by [`crate::train::loss::policy`]. A round's answers are kept as
//! an ordinary run, so that `tripos show` can look into it.
//!
//! How much better an answer is than was to be expected says either its group, the other answers to its prompt (`kind: grpo`), or a
//! critic, a head of the policy's that is read wherever a token is drawn (`kind: ppo`). The rest is the same.
//!
//! Other than in the papers:
//! - the critic is a head on the policy's own states, and begins by expecting nothing, where InstructGPT's is a model of its own that
//!   begins as the reward model: what is written into the trained file is the policy alone;
//! - what a critic's policy pays for its distance is log π − log π_ref of each token drawn (Ouyang 2022, equation 2), whose gradient is
//!   that of the KL divergence; it can be negative. What is shown, and what pulls a group's policy, is k3, which never is;
//! - a round whose answers are all worth the same moves the critic alone;
//! - one step reads all answers of a round; `passes` says how many such steps are made of it.
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
