//! stdout for the product, stderr for everything else.

use super::failure::Failure;
use std::io::{ErrorKind, Write};

/// Writes to stdout. That whoever read it went away is no failure: the command finishes its work unseen, and its exit
/// code is its own. Any other failure to write is an error.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(Failure::Message(anyhow::Error::new(e).context("cannot write to stdout"))),
    }
}

/// Writes to stderr; where that fails there is nobody to tell.
pub fn complain(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
