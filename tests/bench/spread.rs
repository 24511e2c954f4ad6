//! Several measurements of one thing: median and range.

/// Measured values, sorted.
pub(crate) struct Spread(Vec<f64>);

impl Spread {
    /// Of values in any order; NaN sorts last.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value in the middle, or halfway between the two there; NaN of nothing.
    pub(crate) fn median(&self) -> f64 {
        let at = |index: usize| self.0.get(index).copied().unwrap_or(f64::NAN);
        let (low, high) = (self.0.len().saturating_sub(1) / 2, self.0.len() / 2);
        f64::midpoint(at(low), at(high))
    }

    /// `median [least–most]`, each written by `write`.
    pub(crate) fn show(&self, write: impl Fn(f64) -> String) -> String {
        let edge = |value: Option<&f64>| write(value.copied().unwrap_or(f64::NAN));
        format!("{} [{}–{}]", write(self.median()), edge(self.0.first()), edge(self.0.last()))
    }
}
