//! `tripos judge`: how good a reward model finds answers.

use super::elsewhere::local;
use super::environment;
use super::failure::Failure;
use super::interrupt;
use super::output::{complain, print};
use super::plan::PlanArgs;
use super::run::MachineArgs;
use crate::error::{Place, Problems};
use crate::prompt::{Asked, Message, Role};
use crate::report::{JudgedRow, judged};
use crate::run::Appraiser;
use crate::suite::{SuiteError, SuiteProblem, Vars, read_rows};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Arguments of `judge`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["file", "prompt"]))]
pub(super) struct Args {
    /// Rows of `prompt` (a text, or messages) and `completion`: .jsonl, .csv or .yaml
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The reward model
    #[arg(long, value_name = "FILE")]
    reward: PathBuf,
    /// What was asked: the bare question, where the reward model learned from chats
    #[arg(long, value_name = "TEXT", requires = "completion")]
    prompt: Option<String>,
    /// What was answered (repeatable)
    #[arg(long, value_name = "TEXT", conflicts_with = "file", allow_hyphen_values = true)]
    completion: Vec<String>,
    /// The model that the reward model sits on [default: looked for beside it and in models/]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    #[command(flatten)]
    machine: MachineArgs,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A table, the best first
    Table,
    /// A JSON document, in the order given
    Json,
}

/// Judges.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    let items = match (&args.file, &args.prompt) {
        (Some(file), _) => items(file)?,
        (None, Some(prompt)) => {
            args.completion.iter().map(|said| (Asked::Text(prompt.clone()), said.clone())).collect()
        }
        (None, None) => Vec::new(),
    };
    let settings = args.machine.settings(&PlanArgs::default(), false)?;
    let reward = local(&args.reward, quiet)?;
    let base = args.model.as_deref().map(|model| local(model, quiet)).transpose()?;
    let appraiser = Appraiser::open(&reward, base.as_deref(), &settings)?;
    let rewards = appraiser.judge(&items, &settings, interrupt::listen())?;
    for (at, reason) in rewards.iter().enumerate().filter_map(|(at, reward)| Some((at, reward.as_ref().err()?))) {
        if !quiet {
            complain(&format!("warning: answer {} has no reward: {reason}\n", at + 1));
        }
    }
    if !rewards.is_empty() && rewards.iter().all(Result::is_err) {
        return Err(Failure::Code(2));
    }
    print(&match args.format {
        Format::Json => format!("{}\n", document(&rewards)),
        Format::Table => judged(&rows(items, &rewards), environment::width()),
    })
}

fn document(rewards: &[Result<f64, String>]) -> Value {
    let item = |reward: &Result<f64, String>| match reward {
        Ok(reward) => json!({"reward": reward}),
        Err(reason) => json!({"reward": null, "unscored": reason}),
    };
    json!({"schema": 1, "items": rewards.iter().map(item).collect::<Vec<_>>()})
}

fn rows(items: Vec<(Asked, String)>, rewards: &[Result<f64, String>]) -> Vec<JudgedRow> {
    let row = |at: usize, (asked, answer): (Asked, String), reward: Option<f64>| {
        let prompt = asked.shown();
        JudgedRow { number: at + 1, reward, prompt, answer }
    };
    let all = items.into_iter().zip(rewards).enumerate();
    all.map(|(at, (item, reward))| row(at, item, reward.as_ref().ok().copied())).collect()
}

/// The rows of a file, or all that is wrong with them.
fn items(file: &std::path::Path) -> Result<Vec<(Asked, String)>, Problems> {
    let (rows, broken) = read_rows(file, usize::MAX);
    let mut problems = Problems::new();
    problems.extend(broken);
    let mut items = Vec::with_capacity(rows.len());
    for (row, place) in rows {
        match item(&row) {
            Some(item) => items.push(item),
            None => problems.push(unread(place)),
        }
    }
    if items.is_empty() && problems.is_empty() {
        problems.push(unread(Place::file(file)));
    }
    problems.or_ok(items)
}

fn unread(place: Place) -> SuiteError {
    let what = "there is no answer to judge here".to_owned();
    let help = "a row is {\"prompt\": TEXT or messages, \"completion\": TEXT}".to_owned();
    SuiteError::new(place, SuiteProblem::Contradiction { what, help })
}

fn item(row: &Vars) -> Option<(Asked, String)> {
    let said = row.get("completion").and_then(Value::as_str)?.to_owned();
    let asked = match row.get("prompt")? {
        Value::String(text) => Asked::Text(text.clone()),
        Value::Array(messages) => Asked::Conversation(messages.iter().map(message).collect::<Option<_>>()?),
        _ => return None,
    };
    Some((asked, said))
}

fn message(value: &Value) -> Option<Message> {
    let role = match value.get("role")?.as_str()? {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return None,
    };
    Some(Message { role, content: value.get("content")?.as_str()?.into() })
}
