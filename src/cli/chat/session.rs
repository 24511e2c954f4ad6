//! A chat under way: messages are answered, commands obeyed. Answers go to stdout as they are said, all else to stderr.

use super::super::environment;
use super::super::failure::{Failure, print_problems};
use super::super::interrupt::Turn;
use super::super::output::{complain, print};
use super::super::rewriting::Format;
use super::command::{Typed, help, typed};
use super::typing::{Line, Typing};
use crate::engine::{StopReason, Talk};
use crate::error::Problems;
use crate::prompt::{Asked, Message, Role};
use crate::report::{JudgedRow, dim, judged};
use crate::run::direct::{Conversation, Said};
use crate::run::{Appraiser, RunSettings};
use anyhow::Context;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where conversations are kept unless said otherwise.
const SAVED: &str = "chat.jsonl";

/// A reward model that looks on.
#[derive(Debug)]
pub(super) struct Judge {
    appraiser: Appraiser,
    settings: RunSettings,
}

impl Judge {
    pub(super) fn new(appraiser: Appraiser, settings: RunSettings) -> Self {
        Self { appraiser, settings }
    }

    /// The reward of each answer, as an answer to all before it, or why it has none.
    fn rewards(&self, answers: &[(Asked, String)], stop: &AtomicBool) -> Result<Vec<Result<f64, String>>, Problems> {
        self.appraiser.judge(answers, &self.settings, stop)
    }
}

/// A conversation and what is around it.
#[derive(Debug)]
pub(super) struct Session<'m> {
    conversation: Conversation<'m>,
    judge: Option<Judge>,
    last: Option<Said>,
    /// Answers that were stopped or cut: what a model learns from should end where it ends.
    cut: usize,
    quiet: bool,
}

impl<'m> Session<'m> {
    pub(super) fn new(conversation: Conversation<'m>, judge: Option<Judge>, quiet: bool) -> Self {
        Self { conversation, judge, last: None, cut: 0, quiet }
    }

    /// Answers one message.
    pub(super) fn once(&mut self, talk: &mut dyn Talk, message: &str, format: Format) -> Result<(), Failure> {
        let stopped = self.answer(talk, message, format == Format::Text)?;
        if let (Format::Json, Some(said)) = (format, &self.last) {
            print(&format!("{}\n", self.document(said)?))?;
        }
        if stopped { Err(Failure::Code(130)) } else { Ok(()) }
    }

    /// Answers what is typed until Ctrl-D.
    pub(super) fn go_on(&mut self, talk: &mut dyn Talk) -> Result<(), Failure> {
        let mut typing = Typing::new()?;
        loop {
            let line = match typing.next()? {
                Line::Whole(line) => line,
                Line::Dropped => {
                    self.note("Ctrl-D ends the chat");
                    continue;
                }
                Line::End => return Ok(()),
            };
            let outcome = match typed(&line) {
                Ok(Typed::Message(message)) => self.answer(talk, &message, true).map(|_| ()),
                Ok(command) => self.obey(command),
                Err(why) => {
                    complain(&format!("{why}\n"));
                    Ok(())
                }
            };
            match outcome {
                Ok(()) => {}
                Err(Failure::Problems(problems)) => print_problems(&problems),
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Has a message answered, aloud or not; whether it was stopped.
    fn answer(&mut self, talk: &mut dyn Talk, message: &str, aloud: bool) -> Result<bool, Failure> {
        let turn = Turn::begin();
        let on_terminal = std::io::stdout().is_terminal();
        let mut printed = Ok(());
        let mut ends_in_line = true;
        let mut hear = |piece: &str| {
            if aloud && printed.is_ok() {
                printed = print(&if on_terminal { harmless(piece) } else { piece.to_owned() });
                if printed.is_err() {
                    turn.stop().store(true, Ordering::Relaxed);
                }
                ends_in_line = piece.ends_with('\n');
            }
        };
        let said = self.conversation.say(talk, message, &mut hear, turn.stop());
        printed?;
        if !ends_in_line {
            print("\n")?;
        }
        let said = said?;
        let stopped = turn.stop().load(Ordering::Relaxed);
        self.tell(&said, stopped);
        let answered = !said.completion.tokens.is_empty();
        self.cut += usize::from(answered && (stopped || said.completion.stop_reason == StopReason::Length));
        self.last = Some(said);
        if aloud && answered && !stopped {
            self.tell_reward(turn.stop())?;
        }
        Ok(stopped)
    }

    /// What a user should know of an answer.
    fn tell(&self, said: &Said, stopped: bool) {
        let context = self.conversation.context();
        if said.forgotten > 0 {
            let turns = if said.forgotten == 1 { "turn is" } else { "turns are" };
            self.note(&format!(
                "{} earlier {turns} not seen any more: {context} tokens of context hold no more",
                said.forgotten
            ));
        }
        let nothing = said.completion.tokens.is_empty();
        match said.completion.stop_reason {
            _ if stopped && nothing => self.note("stopped before a word; the message is taken back"),
            _ if stopped => self.note("stopped"),
            StopReason::Stop if nothing => self.note("the model says nothing; the message is taken back"),
            StopReason::Stop => {}
            StopReason::Length if said.full => self.note(&format!("cut: the {context} tokens of context are full")),
            StopReason::Length => self.note("cut at --max-tokens"),
        }
    }

    /// What the reward model finds in the last answer. Stopped, the answer stands without.
    fn tell_reward(&self, stop: &AtomicBool) -> Result<(), Failure> {
        let Some(judge) = &self.judge else { return Ok(()) };
        let last = self.answers().pop();
        let rewards = judge.rewards(last.as_slice(), stop)?;
        if stop.load(Ordering::Relaxed) {
            self.note("stopped before its reward was known");
            return Ok(());
        }
        match rewards.first() {
            Some(Ok(reward)) => self.note(&format!("reward {reward:+.3}")),
            Some(Err(reason)) => self.note(&format!("no reward: {reason}")),
            None => {}
        }
        Ok(())
    }

    fn note(&self, text: &str) {
        if !self.quiet {
            complain(&format!("{}\n", dim(&format!("({text})"), environment::stderr_colour())));
        }
    }

    fn obey(&mut self, command: Typed) -> Result<(), Failure> {
        match command {
            Typed::Nothing | Typed::Message(_) => {}
            Typed::Help => complain(&help()),
            Typed::Reset => {
                self.conversation.reset();
                (self.last, self.cut) = (None, 0);
                self.note("what was said is forgotten");
            }
            Typed::System(None) => complain(&format!("{}\n", self.conversation.system().unwrap_or("(none)"))),
            Typed::System(Some(text)) if text == "-" => {
                self.conversation.set_system(None);
                self.note("no system message from the next answer on");
            }
            Typed::System(Some(text)) => {
                self.conversation.set_system(Some(text));
                self.note("it stands there from the next answer on");
            }
            Typed::Save(file) => self.save(Path::new(file.as_deref().unwrap_or(SAVED))),
            Typed::Tokens => self.tokens(),
            Typed::Reward => self.rewards()?,
        }
        Ok(())
    }

    /// Adds the conversation to a file.
    fn save(&self, file: &Path) {
        let messages = self.conversation.messages();
        if messages.iter().all(|message| message.role == Role::System) {
            return complain("nothing was said yet\n");
        }
        let one = |message: &Message| json!({"role": message.role.name(), "content": message.content.as_ref()});
        let line = format!("{}\n", json!({"messages": messages.iter().map(one).collect::<Vec<_>>()}));
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(file);
        match opened.and_then(|mut file| file.write_all(line.as_bytes())).context("it is not saved") {
            Ok(()) if self.cut == 0 => self.note(&format!("added to {}", file.display())),
            Ok(()) => self.note(&format!("added to {}; {} of its answers were cut short", file.display(), self.cut)),
            Err(error) => complain(&format!("error: {}: {error:#}\n", file.display())),
        }
    }

    fn tokens(&self) {
        let context = self.conversation.context();
        let Some(Said { completion, .. }) = &self.last else {
            return complain(&format!("nothing was said yet; {context} tokens of context\n"));
        };
        let (read, new, said) =
            (completion.prompt_tokens, completion.prompt_tokens_decoded, completion.completion_tokens);
        let seconds = completion.elapsed_s.max(1e-9);
        complain(&format!(
            "{} of {context} tokens of context; the last answer: {new} of {read} tokens read anew, {said} said, {:.0} tokens/s\n",
            read + said,
            (new + said) as f64 / seconds
        ));
    }

    /// Each answer of the conversation with what it is an answer to.
    fn answers(&self) -> Vec<(Asked, String)> {
        let messages = self.conversation.messages();
        let said = messages.iter().enumerate().filter(|(_, message)| message.role == Role::Assistant);
        said.map(|(at, message)| (Asked::Conversation(messages[..at].to_vec()), message.content.to_string())).collect()
    }

    fn rewards(&self) -> Result<(), Failure> {
        let Some(judge) = &self.judge else {
            complain("there is no reward model: begin with --reward FILE\n");
            return Ok(());
        };
        let answers = self.answers();
        if answers.is_empty() {
            complain("nothing was said yet\n");
            return Ok(());
        }
        let turn = Turn::begin();
        let rewards = judge.rewards(&answers, turn.stop())?;
        let mut rows = Vec::with_capacity(answers.len());
        for (at, ((asked, answer), reward)) in answers.into_iter().zip(rewards).enumerate() {
            let prompt = match asked {
                Asked::Conversation(mut messages) => messages.pop().map(|last| last.content.to_string()),
                Asked::Text(text) => Some(text),
            };
            rows.push(JudgedRow { number: at + 1, reward: reward.ok(), prompt: prompt.unwrap_or_default(), answer });
        }
        complain(&judged(&rows, environment::width()));
        Ok(())
    }

    /// An answer for programs.
    fn document(&self, said: &Said) -> Result<Value, Failure> {
        let Said { completion, full, .. } = said;
        let mut document = json!({
            "schema": 1, "text": completion.text, "stop_reason": completion.stop_reason, "context_full": full,
            "prompt_tokens": completion.prompt_tokens, "completion_tokens": completion.completion_tokens,
            "elapsed_s": completion.elapsed_s,
        });
        if let (Some(judge), Some(document)) = (&self.judge, document.as_object_mut()) {
            let reward = judge.rewards(&self.answers(), &AtomicBool::new(false))?.pop().and_then(Result::ok);
            document.insert("reward".to_owned(), reward.into());
        }
        Ok(document)
    }
}

/// What a model says, unable to speak to the terminal.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}
