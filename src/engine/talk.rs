//! A model that is asked again behind its own answers, and heard while it speaks.

use super::{Answer, Ask, Completion, Engine, EngineError, Request, StopReason, Token};
use crate::sampling::Sampling;
use std::sync::atomic::AtomicBool;

/// Goes on with one text after another. What a text has in common with the beginning of the one before it, what was said to
/// that included, need not be read again: a conversation costs its newest turn, not its history.
pub trait Talk {
    /// Goes on with a text of at least one token. `hear` gets what is said as soon as it is certain: whole characters,
    /// nothing of a stop text, no token that ends an answer. All that it gets is the completion's text. Once `stop` is set,
    /// no token is drawn any more, and what was said until then is the answer.
    ///
    /// # Errors
    /// Where text and answer do not fit the context, and when decoding fails; the next text is then read whole.
    fn say(
        &mut self,
        text: &[Token],
        sampling: (&Sampling, u64),
        hear: &mut dyn FnMut(&str),
        stop: &AtomicBool,
    ) -> Result<Completion, EngineError>;
}

/// An engine that remembers nothing between two texts, and is heard when it has said all.
pub(super) struct Forgetful<'e, E: ?Sized>(pub(super) &'e E);

impl<E: Engine + ?Sized> Talk for Forgetful<'_, E> {
    fn say(
        &mut self,
        text: &[Token],
        (sampling, seed): (&Sampling, u64),
        hear: &mut dyn FnMut(&str),
        stop: &AtomicBool,
    ) -> Result<Completion, EngineError> {
        let ask = Ask::Generate { sampling: sampling.clone(), seed };
        let mut said = None;
        let mut done = |_: usize, answer: Answer| {
            if let Answer::Completion(completion) = answer {
                said = Some(completion);
            }
        };
        self.0.answer(vec![Request { id: 0, tokens: text.to_vec(), ask }], &mut done, stop)?;
        let said = said.unwrap_or_else(|| Completion {
            text: String::new(),
            tokens: Vec::new(),
            stop_reason: StopReason::Stop,
            prompt_tokens: text.len(),
            prompt_tokens_decoded: 0,
            completion_tokens: 0,
            elapsed_s: 0.0,
            logprobs: None,
            end: None,
        });
        if !said.text.is_empty() {
            hear(&said.text);
        }
        Ok(said)
    }
}

/// Hands out a text that grows byte by byte, as far as it is certain.
#[derive(Debug)]
pub(super) struct Outlet<'s> {
    stops: &'s [String],
    /// Bytes handed out.
    passed: usize,
}

impl<'s> Outlet<'s> {
    pub(super) fn new(stops: &'s [String]) -> Self {
        Self { stops, passed: 0 }
    }

    /// What is new and certain of all the bytes so far: not the beginning of a stop text, nor half a character, unless
    /// this is the `end`. Bytes that are no text are replaced, as `String::from_utf8_lossy` does.
    pub(super) fn next(&mut self, bytes: &[u8], end: bool) -> String {
        let certain = if end { bytes.len() } else { bytes.len() - self.held_back(bytes) };
        let mut out = String::new();
        let mut chunks = bytes.get(self.passed..certain).unwrap_or_default().utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            out += chunk.valid();
            self.passed += chunk.valid().len();
            let unfinished = chunks.peek().is_none() && is_unfinished(chunk.invalid());
            if !chunk.invalid().is_empty() && (end || !unfinished) {
                out.push(char::REPLACEMENT_CHARACTER);
                self.passed += chunk.invalid().len();
            }
        }
        out
    }

    /// Bytes at the end that may become a stop text.
    fn held_back(&self, bytes: &[u8]) -> usize {
        let of = |stop: &String| {
            let longest = stop.len().saturating_sub(1).min(bytes.len());
            (1..=longest).rev().find(|&count| bytes.ends_with(&stop.as_bytes()[..count])).unwrap_or(0)
        };
        self.stops.iter().map(of).max().unwrap_or(0)
    }
}

/// Whether further bytes could make a character of these.
fn is_unfinished(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes out piece by piece when bytes come in piece by piece; the last is the end.
    fn pieces(stops: &[&str], bytes: &[&[u8]]) -> Vec<String> {
        let stops: Vec<String> = stops.iter().map(|&stop| stop.to_owned()).collect();
        let mut outlet = Outlet::new(&stops);
        let mut all = Vec::new();
        let mut out = Vec::new();
        for piece in bytes {
            all.extend_from_slice(piece);
            out.push(outlet.next(&all, false));
        }
        out.push(outlet.next(&all, true));
        out
    }

    #[test]
    fn half_a_character_waits_for_its_other_half() {
        assert_eq!(pieces(&[], &[b"a\xe4", b"\xbd", b"\xa0b"]), ["a", "", "你b", ""]);
        assert_eq!(pieces(&[], &[b"a\xe4\xbd"]), ["a", "\u{fffd}"], "nothing more came");
        assert_eq!(pieces(&[], &[b"a\xe4", b"b"]), ["a", "\u{fffd}b", ""], "it was none");
    }

    #[test]
    fn what_may_become_a_stop_text_waits_until_it_is_known() {
        assert_eq!(pieces(&["\n\nQ:"], &[b"42\n", b"\n", b"A"]), ["42", "", "\n\nA", ""]);
        assert_eq!(pieces(&["ab", "b!"], &[b"xa", b"c", b"b"]), ["x", "ac", "", "b"]);
    }

    proptest! {
        #[test]
        fn all_that_comes_out_is_the_lossy_text(bytes in prop::collection::vec(any::<u8>(), 0..40), cut in 1..4_usize) {
            let parts: Vec<&[u8]> = bytes.chunks(cut).collect();
            prop_assert_eq!(pieces(&["ab"], &parts).concat(), String::from_utf8_lossy(&bytes).into_owned());
        }

        #[test]
        fn no_piece_ends_in_half_a_character(text in "\\PC{0,12}", cut in 1..4_usize) {
            let parts: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
            let out = pieces(&[], &parts);
            prop_assert!(out.iter().all(|piece| text.contains(piece.as_str())));
            prop_assert_eq!(out.concat(), text);
        }
    }
}
