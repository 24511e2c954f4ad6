//! Tripos examines a local language model, teaches it, and examines it again.
//!
//! A suite (YAML) declares cases and several ways of asking. Tripos renders the prompts, runs them on a GGUF model (or has
//! a server run them), judges the answers, and compares the ways in one table with honest error bars. What was asked and answered is kept in
//! a run folder, from which everything later is computed: comparisons with another run, the decision whether a change may
//! ship, and pages to look at. A recipe (YAML) teaches a model: its data is rendered by the code that renders prompts, a
//! decoder on ggml learns from it, and what comes out is a GGUF that goes straight back into the suite. People may order the
//! answers of a run; their rankings become pairs, of which a model can learn what is preferred. From whatever was made there is a way
//! back to what it was made from.
//!
//! ```text
//! suites/*.yaml ─► suite ─► prompt ─► engine ─► score ─► store ─► summary ─► gate ─► report
//!                     └────────────── run ────▲────────────┘         └─ stats ─┘
//!                                         trained GGUF
//!                                             │
//! runs ─► rank (people order answers) ─► preferences
//! recipes/*.yaml ─► train (data ─► lessons ─► model, on ggml ─► checkpoints ─► export)
//! trained GGUF, run, pairs ─► repair::lineage ─► base, recipe, data, judges
//! ```
//!
//! # Words (one word, one meaning)
//!
//! | word | meaning | type |
//! |---|---|---|
//! | suite | one YAML file: cases, variants, scorers, gate rules | [`suite::Suite`] |
//! | case | one test item: variables, a target, tags | [`suite::Case`] |
//! | example | a solved case shown inside a prompt (few-shot) | [`suite::Case`] |
//! | variant | one way of asking; what a table compares | [`suite::Variant`] |
//! | trial | one planned cell: a variant asks a case | [`store::Trial`] |
//! | prompt | what is sent, rendered once and kept verbatim | [`prompt::Prompt`] |
//! | sampling | how tokens are drawn | [`sampling::Sampling`] |
//! | completion | what the model said | [`engine::Completion`] |
//! | talk | a model that is asked again behind its own answers, and reads only what is new | [`engine::Talk`] |
//! | score | what a scorer says of one completion | [`score::Score`] |
//! | unscored | could not be judged, for a reason outside the model; it is not "wrong" | [`score::ScoreValue`] |
//! | sample | one recorded trial: prompt, completion, scores | [`store::Sample`] |
//! | metric | the aggregate of a variant's scores, with its interval | [`stats::Metric`] |
//! | probe | cases that differ in a swapped name or group alone, compared in pairs | [`suite::Probe`] |
//! | run | everything one invocation recorded: a folder | [`store::RunFolder`] |
//! | comparison | one metric of two variants, paired by case: difference, interval, test | [`gate::Comparison`] |
//! | baseline | what a change is judged against: a run, or a small JSON file kept in git | [`gate::Baseline`] |
//! | rule | a bound that a variant's metric must keep | [`suite::Rule`] |
//! | verdict | what a gate says of its rules, with the evidence | [`gate::GateRecord`] |
//! | recipe | one YAML file that says what is taught to which model, and how | [`train::Recipe`] |
//! | document | a tokenised text to learn from, and which of its tokens are learned | [`model::Document`] |
//! | reading | what a decoder says of a batch: log-probabilities of targets, outputs of a head | [`model::Readings`] |
//! | adapter | small matrices beside a model's own (LoRA): a GGUF of its own | [`model::LoraSettings`] |
//! | head | k outputs on a document's last state: what tells labels apart, or judges | [`model::Head`] |
//! | reward | how good a reward model finds an answer: a number, 0 for an average one | [`engine::RewardModel`] |
//! | judgement | what a rater says of the answers to a case: an order, scores, or that it cannot be told | [`rank::Judgement`] |
//! | preference | a prompt, an answer that was chosen and one that was rejected | [`rank::preferences::Preference`] |
//! | checkpoint | what was learned by a step and what the optimiser remembers | [`train::checkpoint`] |
//!
//! # Rooms, in the order the data flows

pub mod error;
pub mod seed;

pub mod sampling;

pub mod gguf;

pub mod suite;

pub mod prompt;

pub mod engine;

pub mod score;

pub mod stats;

pub mod store;

pub mod run;

pub mod summary;

pub mod gate;

pub mod report;

pub mod ggml;

pub mod model;

pub mod train;

pub mod repair;

pub mod rank;

pub mod hub;

pub mod import;

pub mod cli;
