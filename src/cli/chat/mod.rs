//! `tripos chat`: a conversation with a model.

mod command;
mod session;
mod typing;

use super::direct::{DirectArgs, appraiser};
use super::failure::Failure;
use super::output::complain;
use super::rewriting::Format;
use crate::run::direct::Conversation;
use crate::sampling::SamplingSpec;
use session::{Judge, Session};
use std::io::{IsTerminal, Read};
use std::path::PathBuf;

/// Arguments of `chat`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "On a terminal, /help lists what can be typed. Where stdin is no terminal, all of it is one message, and the program ends behind the answer."
)]
pub(super) struct Args {
    /// The model
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// What stands before the conversation
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// A reward model that judges each answer
    #[arg(long, value_name = "FILE")]
    reward: Option<PathBuf>,
    /// The model that the reward model sits on [default: looked for beside it and in models/]
    #[arg(long, value_name = "FILE", requires = "reward")]
    reward_base: Option<PathBuf>,
    /// 0 says the likeliest; higher is more random [default: 0]
    #[arg(long, value_name = "T")]
    temperature: Option<f32>,
    /// Draw from the likeliest tokens, as many as are together this probable
    #[arg(long, value_name = "P")]
    top_p: Option<f32>,
    /// Most tokens of an answer [default: as many as fit the context]
    #[arg(long, value_name = "N")]
    max_tokens: Option<u32>,
    /// A text that ends an answer (repeatable)
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Moves every draw [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    direct: DirectArgs,
    /// What is printed; JSON needs a message on stdin
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl Args {
    fn sampling(&self) -> SamplingSpec {
        SamplingSpec {
            temperature: self.temperature,
            top_p: self.top_p,
            max_tokens: self.max_tokens,
            stop: (!self.stop.is_empty()).then(|| self.stop.clone()),
            seed: self.seed,
            ..SamplingSpec::default()
        }
    }
}

/// Talks.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    let piped = if std::io::stdin().is_terminal() { None } else { Some(message()?) };
    if piped.is_none() && args.format == Format::Json {
        return Err(anyhow::anyhow!("--format json needs a message on stdin: echo TEXT | tripos chat …").into());
    }
    let (model, settings) = args.direct.open(&args.model, quiet)?;
    let mut conversation = Conversation::new(&model, &args.sampling())?;
    conversation.set_system(args.system.clone());
    let judge = match &args.reward {
        Some(file) => Some(Judge::new(appraiser(file, args.reward_base.as_deref(), &settings, quiet)?, settings)),
        None => None,
    };
    let mut session = Session::new(conversation, judge, quiet);
    if piped.is_none() && !quiet {
        let context = model.engine().context();
        complain(&format!("{}, {context} tokens of context. /help says what can be typed.\n", args.model.display()));
    }
    let mut outcome = Ok(());
    model.engine().talk(&mut |talk| {
        outcome = match &piped {
            Some(message) => session.once(talk, message, args.format),
            None => session.go_on(talk),
        };
    })?;
    outcome
}

/// All of stdin, the line end behind it aside.
fn message() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|e| anyhow::Error::new(e).context("cannot read stdin"))?;
    let mut text = String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("what came on stdin is no UTF-8 text"))?;
    if text.trim().is_empty() {
        return Err(
            anyhow::anyhow!("nothing came on stdin: echo TEXT | tripos chat …, or start it on a terminal").into()
        );
    }
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    Ok(text)
}
