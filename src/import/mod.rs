//! What other tools made, brought into the shapes that Tripos reads.

pub mod peft;
