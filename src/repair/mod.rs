//! Room 10: the way back through the loop.
//!
//! [`fix`] has a failing suite teach its model, and judges what comes of it on cases that were held out.
//! [`lineage`] goes from a trained file or a run back to what it was made from, and says of each thing whether it still is what it was.

pub mod fix;
pub mod lineage;

/// What the ids of a generator's fresh cases begin with, which are none of the suite's.
const FRESH: &str = "fresh-";
