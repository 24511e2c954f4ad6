//! A small matrix product in f32, for the blocks of attention.

/// Columns of a tile: two vectors of 256 bits, or one of 512.
pub(super) const WIDTH: usize = 16;
/// Rows of a tile.
const HEIGHT: usize = 8;

/// A matrix as it lies in memory: where a row and a column begin, in numbers.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) numbers: &'a [f32],
    pub(super) row: usize,
    pub(super) column: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after another, `row` numbers apart.
    pub(super) fn rows(numbers: &'a [f32], row: usize) -> Self {
        Self { numbers, row, column: 1 }
    }

    /// The same numbers turned: rows become columns.
    pub(super) fn turned(self) -> Self {
        Self { numbers: self.numbers, row: self.column, column: self.row }
    }
}

/// C += A B, with A (m × k), B (k × n) and C (m × n), whose rows lie `c.1` apart. The columns of B lie side by side.
pub(super) fn add_product(a: Matrix<'_>, b: Matrix<'_>, c: (&mut [f32], usize), [m, n, k]: [usize; 3]) {
    let (c, row) = c;
    let mut i = 0;
    while i < m {
        let height = if i + HEIGHT <= m { HEIGHT } else { 1 };
        let mut j = 0;
        while j < n {
            let a = Matrix { numbers: &a.numbers[i * a.row..], ..a };
            let b = Matrix { numbers: &b.numbers[j..], ..b };
            let c = &mut c[i * row + j..];
            let width = if j + WIDTH <= n { WIDTH } else { 1 };
            match (height, width) {
                (HEIGHT, WIDTH) => tile::<HEIGHT, WIDTH>(a, b, (c, row), k),
                (HEIGHT, _) => tile::<HEIGHT, 1>(a, b, (c, row), k),
                (_, WIDTH) => tile::<1, WIDTH>(a, b, (c, row), k),
                _ => tile::<1, 1>(a, b, (c, row), k),
            }
            j += width;
        }
        i += height;
    }
}

/// One tile of C, kept in registers.
#[inline]
fn tile<const M: usize, const N: usize>(a: Matrix<'_>, b: Matrix<'_>, (c, row): (&mut [f32], usize), k: usize) {
    let mut sums = [[0.0_f32; N]; M];
    for p in 0..k {
        let b = &b.numbers[p * b.row..p * b.row + N];
        for (i, sums) in sums.iter_mut().enumerate() {
            let a = a.numbers[i * a.row + p * a.column];
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = a.mul_add(*b, *sum);
            }
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        c[i * row..i * row + N].iter_mut().zip(sums).for_each(|(c, sum)| *c += sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition_for_any_size_and_layout() {
        for [m, n, k] in [[1, 1, 1], [8, 16, 4], [9, 33, 7], [3, 5, 1], [17, 48, 32]] {
            let a: Vec<f32> = (0..m * k).map(|i| (i as f32 * 0.7).sin()).collect();
            let b: Vec<f32> = (0..k * n).map(|i| (i as f32 * 0.3).cos()).collect();
            let turned: Vec<f32> = (0..k * m).map(|i| a[i % m * k + i / m]).collect();
            for a_matrix in [Matrix::rows(&a, k), Matrix::rows(&turned, m).turned()] {
                let mut c = vec![1.0; m * (n + 2)];
                add_product(a_matrix, Matrix::rows(&b, n), (&mut c, n + 2), [m, n, k]);
                for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                    let exact: f32 = (0..k).map(|p| a[i * k + p] * b[p * n + j]).sum();
                    assert!((c[i * (n + 2) + j] - 1.0 - exact).abs() < 1e-4, "{m} {n} {k} at {i}, {j}");
                }
                assert!((0..m).all(|i| (c[i * (n + 2) + n] - 1.0).abs() < 1e-6));
            }
        }
    }
}
