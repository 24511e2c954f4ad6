//! Room 6: a run and the folder it is kept in.
//!
//! `header.json` holds every setting, `samples.jsonl` one line a trial, appended and flushed as it is scored: a crash
//! loses nothing that was answered. Shapes: contract.md, section 2. Everything later (tables, comparisons, gates) is
//! computed from these two files. What is kept of teaching a model is in [`training`].

mod error;
mod files;
mod folder;
mod header;
mod origins;
mod paths;
mod sample;
pub mod training;

pub use error::StoreError;
pub use folder::{RunFolder, read_header, read_samples, read_samples_of, samples_file};
pub use header::{CaseSet, Header, KvCheck, ModelRecord, ScorerRecord, Segment, Status};
pub use origins::{OriginRecord, Origins};
pub use paths::{suite_sha256, without_own_paths, without_paths};
pub use sample::{CaseRecord, LikelihoodCost, MessageRecord, PromptRecord, Repeat, Sample, StageRecord, Trial};

/// The parts of a sample that other rooms made, for those who read runs and know no suite, engine or scorer.
pub use crate::engine::{Completion, StopReason};
pub use crate::score::{Likelihood, Score, ScoreValue};
pub use crate::suite::{Counterpart, Probe, Unit};

/// The version of the shapes in a run folder.
pub const SCHEMA: u32 = 1;
