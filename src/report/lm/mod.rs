//! What a model says when it is asked directly: how natural texts are, what comes next, which of several texts it prefers,
//! and how it cuts a text.

mod cut;
mod natural;
mod next;
mod pieces;
mod ranked;

pub use cut::{CutRow, cut, side_by_side};
pub use natural::{NaturalRow, natural};
pub use next::{NextRow, next};
pub use pieces::Shown;
pub use ranked::{RankedRow, ranked};
