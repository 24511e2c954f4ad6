//! The loop over rooms 2, 4 and 6: plan, ask, judge, record.
//!
//! [`Selection`] picks variants and cases, [`Prepared`] opens the models and compiles prompts and scorers (all problems
//! at once), and [`execute`] asks, window by window, recording each sample as it is complete.

mod appraise;
mod ask;
mod asking;
mod base;
mod classify;
pub mod direct;
mod error;
mod execute;
mod header;
mod judges;
mod kv_check;
mod models;
mod observer;
mod offers;
mod prepare;
mod prompts;
mod record;
mod rewards;
mod select;
mod similar;
mod underway;
mod want;
mod whole;

pub use appraise::Appraiser;
pub use ask::{Asked, Stages};
pub use error::RunError;
pub use execute::{Outcome, execute};
pub use header::unchanged;
pub use models::{Models, RunSettings, Servers};
pub use observer::{Observer, Silent, StopRule, Watch};
pub use prepare::Prepared;
pub use rewards::judged_tokens;
pub use select::{Cell, Plan, Selection};
pub use want::Want;
pub use whole::whole;
