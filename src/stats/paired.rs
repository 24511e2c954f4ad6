//! One quantity of the same cases twice: the difference, how sure it is, and what so many cases could have shown.

use serde::{Deserialize, Serialize};

/// What a p-value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// The exact test of paired passes (McNemar 1947).
    McnemarExact,
    /// Signs of the differences flipped at random (Fisher 1935).
    SignFlip,
    /// Whole cases swapped between the two sides at random (Noreen 1989).
    Swap,
}
