//! Lines from a terminal, with editing and a history of this chat.

use super::super::failure::Failure;
use anyhow::Context;
use rustyline::config::Behavior;
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor};

const PROMPT: &str = "> ";
/// Before the further lines of a message.
const MORE: &str = "... ";

/// What came of reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A message or command, of one line or several.
    Whole(String),
    /// Ctrl-C: what was typed is thrown away.
    Dropped,
    /// Ctrl-D.
    End,
}

/// Reads from the terminal itself, whatever stdout is.
pub(super) struct Typing(Editor<(), MemHistory>);

impl std::fmt::Debug for Typing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Typing").finish_non_exhaustive()
    }
}

impl Typing {
    pub(super) fn new() -> Result<Self, Failure> {
        let config = Config::builder().behavior(Behavior::PreferTerm).build();
        let history = MemHistory::with_config(&config);
        let editor = Editor::with_history(config, history);
        Ok(Self(editor.context("the terminal cannot be read")?))
    }

    /// The next message; a line that ends in a backslash goes on in the next.
    pub(super) fn next(&mut self) -> Result<Line, Failure> {
        let mut whole = String::new();
        let mut prompt = PROMPT;
        loop {
            match self.0.readline(prompt) {
                Ok(line) => {
                    let begun = line.strip_suffix('\\');
                    whole += begun.unwrap_or(&line);
                    if begun.is_none() {
                        break;
                    }
                    whole.push('\n');
                    prompt = MORE;
                }
                Err(ReadlineError::Interrupted) => return Ok(Line::Dropped),
                Err(ReadlineError::Eof) => return Ok(Line::End),
                Err(error) => return Err(anyhow::Error::new(error).context("the terminal cannot be read").into()),
            }
        }
        if !whole.trim().is_empty() {
            // Only a convenience; a line that cannot be remembered is sent all the same.
            let _ = self.0.add_history_entry(whole.as_str());
        }
        Ok(Line::Whole(whole))
    }
}
