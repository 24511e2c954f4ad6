//! Room 4: a completion becomes a [`Score`].

mod value;
pub use value::{Score, ScoreValue};
