//! The integration tests: one binary, so that llama.cpp is linked once.
//!
//! They run the real program on real files. Nothing here needs a network or a GPU; what needs `../shared` says so and
//! skips where it is absent.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says why it skips"
)]

mod architecture;
mod asking;
mod bad_input;
mod bad_models;
mod cached;
mod chatting;
mod chromium;
mod classifier;
mod commands;
mod comparing;
mod contract;
mod direct;
mod endpoint_faults;
mod endpoints;
mod exactness;
mod families;
mod fixing;
mod fleets;
mod gating;
mod goldens;
mod html_report;
mod hub;
mod hub_faults;
mod hub_kills;
mod hub_resuming;
mod hub_server;
mod hub_splits;
mod importing;
mod importing_mistakes;
mod importing_promptfoo;
mod likelihoods;
mod lineage;
mod llama_cpp_server;
mod models;
mod moments;
mod peft;
mod perplexity;
mod policies;
mod preferences;
mod prefix_tree;
mod pretraining;
mod probes;
mod ranking;
mod ranking_page;
mod ranking_server;
mod recipes;
mod resume;
mod rewards;
mod running;
mod served_models;
mod shared_data;
mod sharing;
mod shipped;
mod states;
mod stub_server;
mod talk;
mod tiny_models;
mod training;
mod training_kills;
mod training_page;
mod training_parity;
mod vocabulary;
mod workspace;
