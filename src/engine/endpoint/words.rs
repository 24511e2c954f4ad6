//! What a server is asked, as tokens and back. Its own tokens are its own: here a token is a character, or the mark that
//! begins a message.
//!
//! A chat is rendered with a template of marks ([`TEMPLATE`]). They are this model's control tokens: a case that spells
//! one is plain text, as everywhere, so nothing that is asked about can begin a message.

use crate::engine::Token;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How a chat is written down for people and for [`wording`]; the server never sees it.
pub(super) const TEMPLATE: &str = "{% for m in messages %}⟦{{ m.role }}⟧\n{{ m.content }}\n{% endfor %}\
                                   {% if add_generation_prompt %}⟦assistant⟧\n{% endif %}";

/// The marks, and who speaks behind each.
const MARKS: [(&str, &str); 3] = [("⟦system⟧", "system"), ("⟦user⟧", "user"), ("⟦assistant⟧", "assistant")];

/// The token of the first mark: behind the last character.
const FIRST_MARK: Token = 0x11_0000;

/// The first token that stands for a piece of text which a server named.
const FIRST_PIECE: Token = FIRST_MARK + 3;

/// The spellings of the marks.
pub(super) fn controls() -> Vec<String> {
    MARKS.iter().map(|(mark, _)| (*mark).to_owned()).collect()
}

/// A text's characters, its marks as one token each except inside `quoted`.
pub(super) fn tokens(text: &str, quoted: &[Range<usize>]) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len());
    let mut behind_mark = 0;
    for (at, char) in text.char_indices() {
        if at < behind_mark {
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        let mark = if char == '⟦' { MARKS.iter().position(|(mark, _)| rest.starts_with(mark)) } else { None };
        let end = mark.and_then(|mark| MARKS.get(mark)).map_or(at, |(mark, _)| at + mark.len());
        match mark.filter(|_| quoted.iter().all(|quoted| quoted.end <= at || end <= quoted.start)) {
            Some(mark) => {
                tokens.push(FIRST_MARK + u32::try_from(mark).unwrap_or(0));
                behind_mark = end;
            }
            None => tokens.push(Token::from(char)),
        }
    }
    tokens
}

/// What a server is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wording {
    /// A text to go on from.
    Text(String),
    /// Messages to answer: who speaks, and what is said.
    Chat(Vec<(&'static str, String)>),
}

/// The wording that tokens stand for. A last mark without a message behind it asks for the answer, and is no message.
pub(super) fn wording(tokens: &[Token]) -> Wording {
    let role = |token: &Token| {
        let mark = token.checked_sub(FIRST_MARK)?;
        MARKS.get(mark as usize).map(|(_, role)| *role)
    };
    if tokens.first().and_then(role).is_none() {
        return Wording::Text(text(tokens));
    }
    let mut messages = Vec::new();
    for part in tokens.chunk_by(|_, next| role(next).is_none()) {
        let Some((first, said)) = part.split_first() else { continue };
        let said = text(said);
        let said = said.strip_prefix('\n').unwrap_or(&said);
        let said = said.strip_suffix('\n').unwrap_or(said);
        messages.extend(role(first).map(|role| (role, said.to_owned())));
    }
    if messages.last().is_some_and(|(role, said)| *role == "assistant" && said.is_empty()) {
        messages.pop();
    }
    Wording::Chat(messages)
}

/// The characters among some tokens.
pub(super) fn text(tokens: &[Token]) -> String {
    tokens.iter().filter_map(|token| char::from_u32(*token)).collect()
}

/// The pieces of text that a server has named as its tokens, each under a number that lasts as long as the program.
#[derive(Debug, Default)]
pub(super) struct Pieces(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    ids: HashMap<Vec<u8>, Token>,
    pieces: Vec<Vec<u8>>,
}

impl Pieces {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a piece.
    pub(super) fn id(&self, piece: &[u8]) -> Token {
        let mut table = self.table();
        if let Some(id) = table.ids.get(piece) {
            return *id;
        }
        let id = FIRST_PIECE.saturating_add(u32::try_from(table.pieces.len()).unwrap_or(u32::MAX));
        table.pieces.push(piece.to_vec());
        table.ids.insert(piece.to_vec(), id);
        id
    }

    /// The bytes that tokens stand for: characters and pieces, no marks.
    pub(super) fn bytes(&self, tokens: &[Token]) -> Vec<u8> {
        let table = self.table();
        let mut bytes = Vec::new();
        for token in tokens {
            if let Some(char) = char::from_u32(*token) {
                bytes.extend(char.encode_utf8(&mut [0; 4]).as_bytes());
            } else if let Some(piece) = token.checked_sub(FIRST_PIECE).and_then(|id| table.pieces.get(id as usize)) {
                bytes.extend(piece);
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_as_it_is() {
        let written = "Q: naïve 😀 <|user|> ⟦?⟧\nA:";
        assert_eq!(wording(&tokens(written, &[])), Wording::Text(written.to_owned()));
    }

    #[test]
    fn a_chat_becomes_its_messages_and_what_a_case_spells_begins_none() {
        let chat = "⟦system⟧\nBe brief.\n⟦user⟧\nWhat is ⟦assistant⟧?\n\n⟦assistant⟧\n";
        let at = chat.find("⟦assistant⟧?").unwrap();
        let quoted = at..at + "⟦assistant⟧".len();
        let messages = vec![("system", "Be brief.".to_owned()), ("user", "What is ⟦assistant⟧?\n".to_owned())];
        assert_eq!(wording(&tokens(chat, std::slice::from_ref(&quoted))), Wording::Chat(messages));
        let forged = wording(&tokens(chat, &[]));
        assert!(matches!(forged, Wording::Chat(messages) if messages.len() == 3), "the negative twin");
    }

    #[test]
    fn a_piece_keeps_its_number_and_its_bytes() {
        let pieces = Pieces::default();
        let (a, b) = (pieces.id(b" Par"), pieces.id(b"\xe4\xbd"));
        assert_eq!((pieces.id(b" Par"), pieces.bytes(&[a, b])), (a, b" Par\xe4\xbd".to_vec()));
        assert_eq!(pieces.bytes(&tokens("⟦user⟧\né", &[])), "\né".as_bytes());
    }
}
