//! What a decoder is given: documents, packed into rows.

use super::error::ModelError;

/// A tokenised text to learn from.
///
/// ```
/// use tripos::model::Document;
/// let document = Document { tokens: vec![1, 5, 9, 2], learn: vec![false, false, true, true] };
/// assert_eq!(document.targets(), 2);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// Its tokens, BOS included where the model wants one.
    pub tokens: Vec<u32>,
    /// Of each token, whether the model is to learn to predict it from those before it. The first is never predicted.
    pub learn: Vec<bool>,
}

impl Document {
    /// How many tokens are learned.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.learn.iter().skip(1).filter(|learn| **learn).count()
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
    /// Documents in all rows together.
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
/// attention stays inside it. What is left of a row is filled with documents of one token that nobody learns from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Token at each place; rows × len.
    pub(super) tokens: Vec<i32>,
    /// Position inside its document.
    pub(super) positions: Vec<i32>,
    /// Where its document begins, counted from the beginning of the row.
    pub(super) starts: Vec<i32>,
    /// The places whose next token is a target, in order; unused ones are 0.
    pub(super) places: Vec<i32>,
    /// The token to predict there; −1 where unused.
    pub(super) targets: Vec<i32>,
    /// The place of the last token of each document; unused ones are 0.
    pub(super) ends: Vec<i32>,
    pub(super) count: usize,
    pub(super) documents: usize,
}

impl Batch {
    /// Lays documents out. Errors when there are more rows, tokens a row, targets or documents than the shape holds, when
    /// a document is empty, or `learn` is not as long as `tokens`.
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
        let starts = (0..shape.tokens()).map(|place| number(place % shape.len)).collect();
        Self {
            tokens: zeros.clone(),
            positions: zeros,
            starts,
            places: vec![0; shape.targets],
            targets: vec![-1; shape.targets],
            ends: vec![0; shape.ends],
            count: 0,
            documents: 0,
        }
    }

    fn fill(&mut self, row: usize, documents: &[&Document], shape: &Shape) -> Result<(), ModelError> {
        let tokens: usize = documents.iter().map(|document| document.tokens.len()).sum();
        if tokens > shape.len {
            return Err(ModelError::batch("tokens in a row", tokens, shape.len));
        }
        let mut start = 0;
        for document in documents {
            if document.tokens.is_empty() || document.learn.len() != document.tokens.len() {
                return Err(ModelError::batch("marks of a document", document.learn.len(), document.tokens.len()));
            }
            self.place(row * shape.len, start, document, shape)?;
            start += document.tokens.len();
        }
        Ok(())
    }

    fn place(&mut self, row: usize, start: usize, document: &Document, shape: &Shape) -> Result<(), ModelError> {
        for (i, token) in document.tokens.iter().enumerate() {
            let place = row + start + i;
            self.tokens[place] = i32::try_from(*token).unwrap_or(-1);
            (self.positions[place], self.starts[place]) = (number(i), number(start));
            if i > 0 && document.learn[i] {
                if self.count == shape.targets {
                    return Err(ModelError::batch("targets", self.count + 1, shape.targets));
                }
                (self.places[self.count], self.targets[self.count]) = (number(place - 1), self.tokens[place]);
                self.count += 1;
            }
        }
        if self.documents == shape.ends {
            return Err(ModelError::batch("documents", self.documents + 1, shape.ends));
        }
        self.ends[self.documents] = number(row + start + document.tokens.len() - 1);
        self.documents += 1;
        Ok(())
    }

    /// How many targets it has.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.count
    }

    /// How many documents it has.
    #[must_use]
    pub fn documents(&self) -> usize {
        self.documents
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
        Document { tokens: tokens.to_vec(), learn: tokens.iter().map(|token| *token > 5).collect() }
    }

    #[test]
    fn two_documents_share_a_row_without_seeing_each_other() {
        let shape = Shape { rows: 2, len: 6, targets: 4, ends: 3 };
        let (a, b, c) = (document(&[1, 7, 8]), document(&[9, 6]), document(&[3]));
        let batch = Batch::new(&[vec![&a, &b], vec![&c]], &shape).unwrap();
        assert_eq!(batch.tokens, [1, 7, 8, 9, 6, 0, 3, 0, 0, 0, 0, 0]);
        assert_eq!(batch.positions, [0, 1, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(batch.starts, [0, 0, 0, 3, 3, 5, 0, 1, 2, 3, 4, 5]);
        // The first token of a document (9) is not predicted from another document.
        assert_eq!((&batch.places[..3], &batch.targets[..3]), (&[0, 1, 3][..], &[7, 8, 6][..]));
        assert_eq!((batch.targets(), batch.targets[3]), (3, -1));
        assert_eq!((batch.documents(), &batch.ends[..]), (3, &[2, 4, 6][..]));
        assert_eq!((a.targets(), b.targets(), c.targets()), (2, 1, 0));
    }

    #[test]
    fn refuses_more_than_the_graph_was_made_for() {
        let a = document(&[1, 7, 8]);
        let refusal = |shape: Shape, rows: &[Vec<&Document>]| Batch::new(rows, &shape).unwrap_err().to_string();
        let shape = |rows, len, targets, ends| Shape { rows, len, targets, ends };
        insta::assert_snapshot!(refusal(shape(1, 4, 9, 9), &[vec![], vec![]]), @"a batch of 2 rows: the decoder was made for 1");
        insta::assert_snapshot!(refusal(shape(1, 4, 9, 9), &[vec![&a, &a]]), @"a batch of 6 tokens in a row: the decoder was made for 4");
        insta::assert_snapshot!(refusal(shape(1, 4, 1, 9), &[vec![&a]]), @"a batch of 2 targets: the decoder was made for 1");
        insta::assert_snapshot!(refusal(shape(1, 8, 9, 1), &[vec![&a, &a]]), @"a batch of 2 documents: the decoder was made for 1");
        let empty = Document::default();
        insta::assert_snapshot!(refusal(shape(1, 8, 9, 1), &[vec![&empty]]), @"a batch of 0 marks of a document: the decoder was made for 0");
    }
}
