//! How likely given texts are, read from echoes: `/completions` with `echo` and `logprobs` gives the log-probability of each
//! token of the prompt.
//!
//! Where a candidate begins is decided by tokens, as for models that run here: a token that merges the end of the context
//! with a candidate is scored whole, and all candidates of a context are scored from the same place. Here only the texts of
//! the server's tokens are known, so that place is a character: the last at which every whole begins a token, at or before
//! the end of the context.

use super::heard::Piece;

/// The tokens of an echoed text: where each begins, in characters, and its log-probability.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Echo {
    tokens: Vec<(usize, Option<f32>)>,
}

impl Echo {
    /// Lays the server's tokens onto the text that was sent. Tokens behind the text were drawn, and are left out.
    ///
    /// # Errors
    /// Tokens that do not spell the text.
    pub(super) fn new(text: &str, pieces: &[Piece]) -> Result<Self, String> {
        let length = text.chars().count();
        let tokens = by_spelling(text, pieces).or_else(|| by_offset(text, length, pieces));
        let tokens = tokens.ok_or("its tokens do not spell the text")?;
        Ok(Self { tokens: tokens.into_iter().filter(|(at, _)| *at < length).collect() })
    }

    /// Where the last token begins that begins at or before a character.
    fn begin_at(&self, at: usize) -> Option<usize> {
        self.tokens.iter().map(|(begin, _)| *begin).filter(|begin| *begin <= at).max()
    }

    /// The log-probabilities of the tokens from a character on.
    fn from(&self, at: usize) -> Option<Vec<f32>> {
        self.tokens.iter().filter(|(begin, _)| *begin >= at).map(|(_, logprob)| *logprob).collect()
    }

    /// How many tokens begin before a character.
    fn before(&self, at: usize) -> usize {
        self.tokens.iter().filter(|(begin, _)| *begin < at).count()
    }

    /// The log-probability of the last token, and where it begins.
    pub(super) fn last(&self) -> Option<(usize, f32)> {
        self.tokens.last().and_then(|(at, logprob)| Some((*at, (*logprob)?)))
    }
}

/// By the tokens' own texts. A first token may be the mark that begins a text, and the first text may have a space before
/// it that the tokenizer has put there.
fn by_spelling(text: &str, pieces: &[Piece]) -> Option<Vec<(usize, Option<f32>)>> {
    for (skipped, space) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let pieces = pieces.get(skipped..)?;
        let spelled: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.iter().copied()).collect();
        if space == 1 && spelled.first() != Some(&b' ') || !spelled.get(space..)?.starts_with(text.as_bytes()) {
            continue;
        }
        let mut tokens = Vec::with_capacity(pieces.len());
        let mut byte: usize = 0;
        for piece in pieces {
            // A token may begin inside a character: it counts as beginning where that does.
            let at = text.floor_char_boundary(byte.saturating_sub(space).min(text.len()));
            tokens.push((text.get(..at)?.chars().count(), piece.logprob));
            byte += piece.bytes.len();
        }
        return Some(tokens);
    }
    None
}

/// By the places that the server gives, where its texts cannot be put together because it cuts characters in pieces. Each token
/// whose text is whole must stand at its place: a server may count a mark that begins every text, or each piece of a cut
/// character, and all that follows would be laid beside itself.
fn by_offset(text: &str, length: usize, pieces: &[Piece]) -> Option<Vec<(usize, Option<f32>)>> {
    let tokens: Vec<(usize, Option<f32>)> =
        pieces.iter().map(|piece| Some((piece.offset?, piece.logprob))).collect::<Option<_>>()?;
    let ordered = tokens.is_sorted_by_key(|(at, _)| *at);
    let (first, last) = (tokens.first()?.0, tokens.last()?.0);
    let mark = tokens.get(1).is_some_and(|(at, _)| *at == 0);
    let stands =
        pieces.iter().skip(usize::from(mark)).zip(tokens.iter().skip(usize::from(mark))).all(|(piece, (at, _))| {
            let said = std::str::from_utf8(&piece.bytes).ok().filter(|said| !said.contains('\u{fffd}'));
            let rest = text.char_indices().nth(*at).and_then(|(byte, _)| text.get(byte..));
            // What cannot be read, and what was drawn behind the text, stands anywhere.
            said.zip(rest).is_none_or(|(said, rest)| rest.starts_with(said))
        });
    (first == 0 && ordered && stands && (length..=length + 1).contains(&(last + 1))).then_some(tokens)
}

/// The log-probabilities of each candidate's tokens behind a context of so many characters, and the tokens of the context.
///
/// # Errors
/// A server that says nothing of the first token, where a candidate begins with that.
pub(super) fn candidates(context: usize, wholes: &[Echo]) -> Result<(Vec<Vec<f32>>, usize), String> {
    let mut begin = context;
    loop {
        let earliest = wholes.iter().map(|whole| whole.begin_at(begin)).min().flatten();
        let earliest = earliest.ok_or("no token begins in the context")?;
        if earliest == begin {
            break;
        }
        begin = earliest;
    }
    let told = wholes.iter().map(|whole| whole.from(begin)).collect::<Option<Vec<_>>>();
    let told = told.ok_or("it gives none for a token behind the context")?;
    if told.iter().any(Vec::is_empty) {
        return Err("a candidate has no token of its own".into());
    }
    Ok((told, wholes.first().map_or(0, |whole| whole.before(begin))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(told: &[(&str, f32)]) -> Vec<Piece> {
        let one = |(at, (text, logprob)): (usize, &(&str, f32))| Piece {
            bytes: text.as_bytes().to_vec(),
            logprob: (at > 0).then_some(*logprob),
            ..Piece::default()
        };
        told.iter().enumerate().map(one).collect()
    }

    fn echo(text: &str, told: &[(&str, f32)]) -> Echo {
        Echo::new(text, &pieces(told)).unwrap()
    }

    #[test]
    fn a_candidate_is_the_tokens_behind_its_context_and_nothing_that_was_drawn() {
        let paris = echo("It is Paris", &[("It", 0.0), (" is", -1.0), (" Par", -2.0), ("is", -0.5), (".", -9.0)]);
        let rome = echo("It is Rome", &[("It", 0.0), (" is", -1.0), (" Rome", -3.0), ("!", -9.0)]);
        let (told, before) = candidates(5, &[paris.clone(), rome]).unwrap();
        assert_eq!((told, before), (vec![vec![-2.0, -0.5], vec![-3.0]], 2));
        assert_eq!(paris.last(), Some((9, -0.5)));
    }

    #[test]
    fn a_token_that_merges_context_and_candidate_is_scored_whole_and_so_are_the_others() {
        let merged = echo("Say: 42", &[("Say", 0.0), (": 4", -1.0), ("2", -2.0)]);
        let apart = echo("Say: no", &[("Say", 0.0), (":", -0.5), (" ", -0.25), ("no", -4.0)]);
        let (told, before) = candidates(5, &[merged, apart]).unwrap();
        assert_eq!((told, before), (vec![vec![-1.0, -2.0], vec![-0.5, -0.25, -4.0]], 1));
    }

    #[test]
    fn a_mark_and_a_space_before_the_text_and_cut_characters_are_seen_through() {
        let marked = echo("é A", &[("<s>", 0.0), (" é", -1.0), (" A", -2.0)]);
        assert_eq!(marked.tokens, [(0, Some(-1.0)), (1, Some(-2.0))]);
        let mut cut = pieces(&[("x", 0.0), ("", -1.0), ("", -2.0)]);
        (cut[1].bytes, cut[2].bytes) = (vec![0xc3], vec![0xa9]);
        assert_eq!(Echo::new("xé", &cut).unwrap().tokens, [(0, None), (1, Some(-1.0)), (1, Some(-2.0))]);
    }

    #[test]
    fn places_will_do_where_texts_do_not_and_neither_is_an_error() {
        let mut lost = pieces(&[("x", 0.0), ("\u{fffd}", -1.0), ("\u{fffd}", -2.0)]);
        assert_eq!(Echo::new("xé", &lost).unwrap_err(), "its tokens do not spell the text");
        for (piece, at) in lost.iter_mut().zip([0, 1, 1]) {
            piece.offset = Some(at);
        }
        assert_eq!(Echo::new("xé", &lost).unwrap().tokens, [(0, None), (1, Some(-1.0)), (1, Some(-2.0))]);
    }

    /// Character and byte level: `你` as three tokens that a server counts as three characters, and a mark that it counts as three.
    #[test]
    fn places_that_run_ahead_of_the_text_are_refused() {
        let laid = |text: &str, told: &[(&str, usize)]| {
            let piece = |(said, at): &(&str, usize)| Piece {
                bytes: said.as_bytes().to_vec(),
                logprob: Some(-1.0),
                offset: Some(*at),
                ..Piece::default()
            };
            Echo::new(text, &told.iter().map(piece).collect::<Vec<_>>()).is_ok()
        };
        let cut = "\u{fffd}";
        assert!(laid("a你 b", &[("a", 0), (cut, 1), (cut, 1), (cut, 1), (" b", 2), ("!", 4)]));
        assert!(
            laid("a你 b", &[("<s>", 0), ("a", 0), (cut, 1), (cut, 1), (cut, 1), (" b", 2), ("!", 4)]),
            "a mark of no width"
        );
        assert!(!laid("a你 b", &[("a", 0), (cut, 1), (cut, 2), (cut, 3), (" b", 4), ("!", 6)]), "pieces as characters");
        assert!(
            !laid("a你 b", &[("<s>", 0), ("a", 3), (cut, 4), (cut, 4), (cut, 4), (" b", 5), ("!", 7)]),
            "a mark that counts"
        );
    }

    #[test]
    fn the_first_token_has_none_so_no_candidate_may_begin_with_it() {
        let one = echo("ab", &[("ab", 0.0), ("c", -1.0)]);
        assert!(candidates(1, &[one]).unwrap_err().contains("none for a token"));
    }
}
