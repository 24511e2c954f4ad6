//! What a decoder is given: documents, packed into rows.

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
