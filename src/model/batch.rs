//! What a decoder is given: documents, packed into rows.

use super::error::ModelError;
use crate::ggml::SEEN;
use std::ops::Range;

/// A tokenised text to learn from; or several that begin alike, as branches behind a trunk that is computed once.
///
/// ```
/// use tripos::model::Document;
/// let document = Document::new(vec![1, 5, 9, 2], vec![false, false, true, true]);
/// assert_eq!((document.targets(), document.ends()), (2, 1));
/// // A prompt of two tokens, and two answers to it.
/// let answers = Document { branches: vec![2, 4], ..Document::new(vec![1, 5, 9, 2, 8, 2], vec![false; 6]) };
/// assert_eq!(answers.ends(), 2);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// Its tokens, BOS included where the model wants one.
    pub tokens: Vec<u32>,
    /// Of each token, whether the model is to learn to predict it from those before it, which for the first of a branch are
    /// the trunk. The first of all is never predicted.
    pub learn: Vec<bool>,
    /// Where branches begin, in order: each goes on from the trunk, which ends where the first of them begins, and sees
    /// nothing of the others. Empty where there is one text.
    pub branches: Vec<usize>,
    /// Whether a head is read wherever a token that is learned is predicted from, as a critic's is, rather than at the ends.
    pub valued: bool,
}

impl Document {
    /// One text.
    #[must_use]
    pub fn new(tokens: Vec<u32>, learn: Vec<bool>) -> Self {
        Self { tokens, learn, branches: Vec::new(), valued: false }
    }

    /// How many tokens are learned.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.learned().count()
    }

    /// How many places it has at which a head is read.
    #[must_use]
    pub fn ends(&self) -> usize {
        if self.valued { self.targets() } else { self.branches.len().max(1) }
    }

    /// The places at which a head is read: the last of each branch, or those from which a token is predicted.
    pub(crate) fn heads(&self) -> Vec<usize> {
        if self.valued {
            self.learned().map(|(_, before)| before).collect()
        } else {
            self.parts().into_iter().map(|part| part.end - 1).collect()
        }
    }

    /// The places whose tokens are learned, each with the one from which it is predicted.
    pub(crate) fn learned(&self) -> impl Iterator<Item = (usize, usize)> {
        let marked = self.learn.iter().enumerate().filter(|(_, learn)| **learn);
        marked.filter_map(|(place, _)| Some((place, self.before(place)?)))
    }

    /// The place from which the token at another is predicted.
    fn before(&self, place: usize) -> Option<usize> {
        let branch = self.branches.binary_search(&place).is_ok();
        let next = if branch { self.branches.first().copied().unwrap_or(0) } else { place };
        next.checked_sub(1)
    }

    /// The parts that see the trunk and themselves: the branches, or all of it.
    #[must_use]
    pub fn parts(&self) -> Vec<Range<usize>> {
        let begins = if self.branches.is_empty() { &[0][..] } else { &self.branches };
        let ends = begins[1..].iter().copied().chain([self.tokens.len()]);
        begins.iter().zip(ends).map(|(begin, end)| *begin..end).collect()
    }

    /// Whether its branches begin one behind the other, inside it, none of them empty.
    fn is_sound(&self) -> bool {
        let rising = self.branches.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = self.branches.last().is_none_or(|last| *last < self.tokens.len());
        !self.tokens.is_empty() && self.learn.len() == self.tokens.len() && rising && inside
    }
}

/// The sizes that a decoder's graph is made for: the most that a batch may hold of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Rows computed at once.
    pub rows: usize,
    /// Tokens a row.
    pub len: usize,
    /// Targets in all rows together.
    pub targets: usize,
    /// Places in all rows together at which a head is read: ends of documents and of their branches.
    pub ends: usize,
}

impl Shape {
    /// Tokens in all rows together.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.rows * self.len
    }
}

/// Rows of documents packed one after another, as numbers for the graph. Positions begin anew with each document, and
/// attention stays inside it; those of a branch go on from the trunk. What is left of a row is filled with documents of one token that nobody learns from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Token at each place; rows × len.
    pub(super) tokens: Vec<i32>,
    /// Position inside its document, or its branch of it.
    pub(super) positions: Vec<i32>,
    /// Where its document begins, and from where up to where other branches lie that it does not see; all counted from the
    /// beginning of the row.
    pub(super) seen: Vec<i32>,
    /// The places whose next token is a target, in order; unused ones are 0.
    pub(super) places: Vec<i32>,
    /// The token to predict there; −1 where unused.
    pub(super) targets: Vec<i32>,
    /// The places at which a head is read; unused ones are 0.
    pub(super) ends: Vec<i32>,
    pub(super) count: usize,
    pub(super) end_count: usize,
}

impl Batch {
    /// Lays documents out. Errors when there are more rows, tokens a row, targets or ends than the shape holds, when a
    /// document or a branch is empty, or `learn` is not as long as `tokens`.
    pub fn new(rows: &[Vec<&Document>], shape: &Shape) -> Result<Self, ModelError> {
        let mut batch = Self::empty(shape);
        if rows.len() > shape.rows {
            return Err(ModelError::batch("rows", rows.len(), shape.rows));
        }
        for (row, documents) in rows.iter().enumerate() {
            batch.fill(row, documents, shape)?;
        }
        Ok(batch)
    }

    fn empty(shape: &Shape) -> Self {
        let zeros = vec![0; shape.tokens()];
        let alone = |place: usize| [number(place % shape.len); SEEN];
        Self {
            tokens: zeros.clone(),
            positions: zeros,
            seen: (0..shape.tokens()).flat_map(alone).collect(),
            places: vec![0; shape.targets],
            targets: vec![-1; shape.targets],
            ends: vec![0; shape.ends],
            count: 0,
            end_count: 0,
        }
    }

    fn fill(&mut self, row: usize, documents: &[&Document], shape: &Shape) -> Result<(), ModelError> {
        let tokens: usize = documents.iter().map(|document| document.tokens.len()).sum();
        if tokens > shape.len {
            return Err(ModelError::batch("tokens in a row", tokens, shape.len));
        }
        let mut start = 0;
        for document in documents {
            if !document.is_sound() {
                return Err(ModelError::batch("marks of a document", document.learn.len(), document.tokens.len()));
            }
            self.place(row * shape.len, start, document, shape)?;
            start += document.tokens.len();
        }
        Ok(())
    }

    fn place(&mut self, row: usize, start: usize, document: &Document, shape: &Shape) -> Result<(), ModelError> {
        let trunk = document.branches.first().copied().unwrap_or(0);
        self.part(row + start, 0..trunk, (start, trunk), document);
        for part in document.parts() {
            self.part(row + start, part, (start, trunk), document);
        }
        for head in document.heads() {
            if self.end_count == shape.ends {
                return Err(ModelError::batch("ends", self.end_count + 1, shape.ends));
            }
            self.ends[self.end_count] = number(row + start + head);
            self.end_count += 1;
        }
        for (place, before) in document.learned() {
            if self.count == shape.targets {
                return Err(ModelError::batch("targets", self.count + 1, shape.targets));
            }
            let first = row + start;
            (self.places[self.count], self.targets[self.count]) = (number(first + before), self.tokens[first + place]);
            self.count += 1;
        }
        Ok(())
    }

    /// Writes the tokens of one part of a document that begins at `first`, in its row at `start`.
    fn part(&mut self, first: usize, part: Range<usize>, (start, trunk): (usize, usize), document: &Document) {
        // What lies between the trunk and this part are other branches.
        let hidden = if part.start < trunk { 0..0 } else { trunk..part.start };
        let seen = [start, start + hidden.start, start + hidden.end].map(number);
        for i in part {
            let place = first + i;
            self.tokens[place] = i32::try_from(document.tokens[i]).unwrap_or(-1);
            self.positions[place] = number(i - hidden.len());
            self.seen[SEEN * place..SEEN * (place + 1)].copy_from_slice(&seen);
        }
    }

    /// How many targets it has.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.count
    }

    /// How many places it has at which a head is read.
    #[must_use]
    pub fn ends(&self) -> usize {
        self.end_count
    }
}

/// Places fit: a graph of 2³¹ tokens does not fit any memory.
fn number(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(tokens: &[u32]) -> Document {
        Document::new(tokens.to_vec(), tokens.iter().map(|token| *token > 5).collect())
    }

    #[test]
    fn two_documents_share_a_row_without_seeing_each_other() {
        let shape = Shape { rows: 2, len: 6, targets: 4, ends: 3 };
        let (a, b, c) = (document(&[1, 7, 8]), document(&[9, 6]), document(&[3]));
        let batch = Batch::new(&[vec![&a, &b], vec![&c]], &shape).unwrap();
        assert_eq!(batch.tokens, [1, 7, 8, 9, 6, 0, 3, 0, 0, 0, 0, 0]);
        assert_eq!(batch.positions, [0, 1, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        let starts: Vec<i32> = batch.seen.iter().step_by(SEEN).copied().collect();
        assert_eq!(starts, [0, 0, 0, 3, 3, 5, 0, 1, 2, 3, 4, 5]);
        assert!(batch.seen.chunks(SEEN).all(|seen| seen[1] == seen[2]), "nothing is hidden");
        // The first token of a document (9) is not predicted from another document.
        assert_eq!((&batch.places[..3], &batch.targets[..3]), (&[0, 1, 3][..], &[7, 8, 6][..]));
        assert_eq!((batch.targets(), batch.targets[3]), (3, -1));
        assert_eq!((batch.ends(), &batch.ends[..]), (3, &[2, 4, 6][..]));
        assert_eq!((a.targets(), b.targets(), c.targets()), (2, 1, 0));
    }

    #[test]
    fn branches_share_the_trunk_and_nothing_else() {
        let shape = Shape { rows: 1, len: 12, targets: 8, ends: 4 };
        let branches = Document { branches: vec![2, 4, 7], ..document(&[1, 7, 8, 9, 6, 3, 8, 9]) };
        let batch = Batch::new(&[vec![&document(&[9, 9]), &branches]], &shape).unwrap();
        assert_eq!(batch.tokens[..10], [9, 9, 1, 7, 8, 9, 6, 3, 8, 9]);
        assert_eq!(batch.positions[..10], [0, 1, 0, 1, 2, 3, 2, 3, 4, 2]);
        // Of the document's tokens 2 and 3 are the trunk; 4 and 5 are hidden from the second branch, 4 to 8 from the third.
        let hidden: Vec<&[i32]> = batch.seen.chunks(SEEN).skip(2).take(8).map(|seen| &seen[1..]).collect();
        assert_eq!(hidden[..4], [[2, 2], [2, 2], [4, 4], [4, 4]]);
        assert_eq!(hidden[4..], [[4, 6], [4, 6], [4, 6], [4, 9]]);
        assert_eq!((batch.ends(), &batch.ends[..]), (4, &[1, 5, 8, 9][..]));
        // 7 in the trunk; 8 and 9, 6, and 9 begin branches, and are predicted at its end; 9 and 8 go on with the one before.
        assert_eq!((batch.targets(), &batch.places[..7]), (7, &[0, 2, 3, 4, 3, 7, 3][..]));
        assert_eq!((&batch.targets[..7], branches.ends()), (&[9, 7, 8, 9, 6, 8, 9][..], 3));
    }

    #[test]
    fn a_critic_is_read_where_each_token_is_predicted() {
        let shape = Shape { rows: 1, len: 8, targets: 8, ends: 8 };
        let answers = Document { branches: vec![2, 4], valued: true, ..document(&[1, 7, 8, 9, 6, 3]) };
        let batch = Batch::new(&[vec![&document(&[2]), &answers]], &shape).unwrap();
        // An end of the first; then as many as the second has targets, each where it is predicted.
        assert_eq!((batch.ends(), answers.ends()), (1 + 4, 4));
        assert_eq!((batch.ends[0], &batch.ends[1..5]), (0, &batch.places[..4]));
        assert_eq!(batch.places[..4], [1, 2, 3, 2]);
    }

    #[test]
    fn refuses_more_than_the_graph_was_made_for() {
        let a = document(&[1, 7, 8]);
        let refusal = |shape: Shape, rows: &[Vec<&Document>]| Batch::new(rows, &shape).unwrap_err().to_string();
        let shape = |rows, len, targets, ends| Shape { rows, len, targets, ends };
        insta::assert_snapshot!(refusal(shape(1, 4, 9, 9), &[vec![], vec![]]), @"a batch of 2 rows: the decoder was made for 1");
        insta::assert_snapshot!(refusal(shape(1, 4, 9, 9), &[vec![&a, &a]]), @"a batch of 6 tokens in a row: the decoder was made for 4");
        insta::assert_snapshot!(refusal(shape(1, 4, 1, 9), &[vec![&a]]), @"a batch of 2 targets: the decoder was made for 1");
        insta::assert_snapshot!(refusal(shape(1, 8, 9, 1), &[vec![&a, &a]]), @"a batch of 2 ends: the decoder was made for 1");
        for branches in [vec![1, 1], vec![2, 1], vec![3]] {
            let broken = Document { branches, ..a.clone() };
            assert!(Batch::new(&[vec![&broken]], &shape(1, 8, 9, 9)).is_err(), "{broken:?}");
        }
        let empty = Document::default();
        insta::assert_snapshot!(refusal(shape(1, 8, 9, 1), &[vec![&empty]]), @"a batch of 0 marks of a document: the decoder was made for 0");
    }
}
