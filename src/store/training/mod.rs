//! A training run and the folder it is kept in: plain records, which a report reads without a model on disk.
//!
//! ```text
//! reports/train/<recipe>-<id>/
//!   header.json         every setting, what was found before the first step, how it ended
//!   steps.jsonl         one line a step: line n is step n
//!   evaluations.jsonl   one line an evaluation, step 0 (before the first step) among them
//!   checkpoints/        the newest few and the best
//! ```
//!
//! Lines are appended and flushed one by one. Going on with a run drops the lines of steps that the checkpoint does not
//! know, so that each step is there once.

mod error;
mod folder;
mod header;
mod judging;
mod latest;
mod record;

pub use error::TrainingError;
pub use folder::{TrainingFolder, read_evaluations, read_steps, read_training};
pub use header::{
    BestRecord, FileRecord, Material, MemoryRecord, Outcome, ParityRecord, SourceRecord, Stop, TrainingHeader,
    TrainingSegment,
};
pub use judging::{JudgingRecord, MistakeRecord, ShareRecord, SureRecord};
pub use latest::latest;
pub use record::{EvaluationRecord, PracticeRecord, Said, StepRecord};

/// The version of the shapes in the folder of a training run.
pub const SCHEMA: u32 = 1;
