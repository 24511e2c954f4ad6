//! `tripos lm rank`: which of several texts a model prefers behind a text.

use super::super::direct::{DirectArgs, appraiser};
use super::super::environment;
use super::super::failure::Failure;
use super::super::interrupt;
use super::super::output::{complain, print};
use super::super::rewriting::Format;
use crate::prompt::Asked;
use crate::report::lm::{RankedRow, ranked};
use crate::run::RunSettings;
use crate::run::direct::{self, Ranked, in_order};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Arguments of `lm rank`.
#[derive(Debug, clap::Args)]
#[command(override_usage = "tripos lm rank --model <FILE> <TEXT> --candidates <TEXT> <TEXT>...")]
pub(super) struct Args {
    /// The text before the candidates; control tokens that it spells are control tokens
    #[arg(value_name = "TEXT")]
    text: String,
    /// The model
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// The candidates; between the text and each stands one space, unless there is white space already
    #[arg(long, value_name = "TEXT", num_args = 1.., required = true, allow_negative_numbers = true)]
    candidates: Vec<String>,
    /// What they are put in order by
    #[arg(long, value_enum, default_value_t = By::Likelihood)]
    by: By,
    /// A reward model that judges each candidate as the answer to the text
    #[arg(long, value_name = "FILE", required_if_eq("by", "reward"))]
    reward: Option<PathBuf>,
    /// The model that the reward model sits on [default: looked for beside it and in models/]
    #[arg(long, value_name = "FILE", requires = "reward")]
    reward_base: Option<PathBuf>,
    #[command(flatten)]
    direct: DirectArgs,
    /// What is printed: for people the best first, as JSON in the order given
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What candidates are put in order by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// Log-probability: what the model would say
    Likelihood,
    /// The same for each byte: long candidates are not worse for being long
    PerByte,
    /// Log-probability less that without the text: common candidates are not better for being common
    MutualInformation,
    /// What a reward model finds
    Reward,
}

/// Ranks.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    let (model, settings) = args.direct.open(&args.model, quiet)?;
    let (by, column) = match args.by {
        By::Likelihood => (direct::By::Likelihood, 0),
        By::PerByte => (direct::By::PerByte, 1),
        By::MutualInformation => (direct::By::MutualInformation, 2),
        By::Reward => (direct::By::Reward, 3),
    };
    let mut found = model.rank(&args.text, &args.candidates, by)?;
    if args.reward.is_some() {
        judge(args, &mut found, &settings, quiet)?;
    }
    let order = in_order(&found, by);
    print(&match args.format {
        Format::Json => format!("{}\n", document(&found, args.by, &order)),
        Format::Text => {
            let rows: Vec<RankedRow> = order.iter().filter_map(|&at| found.get(at)).map(row).collect();
            ranked(&rows, column, environment::width(), environment::stdout_colour())
        }
    })
}

/// Has a reward model judge each candidate.
fn judge(args: &Args, found: &mut [Ranked], settings: &RunSettings, quiet: bool) -> Result<(), Failure> {
    let Some(file) = &args.reward else { return Ok(()) };
    let judge = appraiser(file, args.reward_base.as_deref(), settings, quiet)?;
    let items: Vec<(Asked, String)> =
        found.iter().map(|one| (Asked::Text(args.text.clone()), one.candidate.clone())).collect();
    for (one, reward) in found.iter_mut().zip(judge.judge(&items, settings, interrupt::listen())?) {
        match reward {
            Ok(reward) => one.reward = Some(reward),
            Err(reason) if !quiet => complain(&format!("warning: `{}` has no reward: {reason}\n", one.candidate)),
            Err(_) => {}
        }
    }
    Ok(())
}

fn row(of: &Ranked) -> RankedRow {
    RankedRow {
        candidate: of.candidate.clone(),
        logprob: of.readings.sum,
        share: of.share,
        per_byte: of.readings.per_byte,
        gain: of.readings.gain,
        reward: of.reward,
    }
}

fn document(found: &[Ranked], by: By, order: &[usize]) -> Value {
    let rank = |at: usize| order.iter().position(|&other| other == at).map(|place| place + 1);
    let by = by.to_possible_value().map(|value| value.get_name().replace('-', "_"));
    let one = |(at, of): (usize, &Ranked)| {
        let mut item = json!({
            "candidate": of.candidate, "rank": rank(at), "logprob": of.readings.sum, "tokens": of.likelihood.tokens,
            "bytes": of.candidate.len(), "per_byte": of.readings.per_byte,
            "unconditional": of.likelihood.unconditional, "mutual_information": of.readings.gain, "share": of.share,
        });
        if let (Some(item), Some(reward)) = (item.as_object_mut(), of.reward) {
            item.insert("reward".to_owned(), reward.into());
        }
        item
    };
    json!({"schema": 1, "by": by, "candidates": found.iter().enumerate().map(one).collect::<Vec<_>>()})
}
