//! stub
use super::record::*;
use crate::stats::{Difference, Direction};
pub fn standing(_: &Difference, _: Direction, _: Option<f64>, _: f64) -> Standing {
    Standing::Undecided
}
pub fn no_worse_by(_: f64, _: &Difference, _: Direction, _: Option<f64>) -> Decision {
    Decision::Undecided
}
pub fn at_least(_: f64, _: Option<f64>, _: Option<[f64; 2]>) -> Decision {
    Decision::Undecided
}
pub fn at_most(_: f64, _: Option<f64>, _: Option<[f64; 2]>) -> Decision {
    Decision::Undecided
}
