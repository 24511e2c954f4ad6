//! Causal attention inside each document, and each branch of one, forward and back.
//!
//! Rows of several documents are computed without their zeros: a block of queries looks at the keys from the beginning of
//! its first document to its own end. Scores are computed anew on the way back rather than kept: they would be the largest
//! thing in memory (Dao 2022, 2205.14135).

use super::super::GgmlError;
use super::super::arena::{Arena, Tensor};
use super::super::call::Call;
use super::super::element::{Bf16, Element};
use super::expect;
use super::math::{dot, exp, largest, sum};
use super::product::{Matrix, WIDTH, add_product};
use crate::gguf::TensorType;
use std::ops::Range;

/// Queries computed at once.
const BLOCK: usize = 32;
/// Numbers that say what a token sees.
pub const SEEN: usize = 3;

/// The sizes of one attention.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    head: usize,
    heads: usize,
    kv_heads: usize,
    rows: usize,
    len: usize,
    scale: f32,
}

impl Sizes {
    /// Checks operands: q [head, heads, tokens], k and v [head, kv heads, tokens], seen [3, tokens].
    fn new(op: &'static str, [q, k, v]: [&Tensor; 3], seen: &Tensor, len: usize) -> Result<Self, GgmlError> {
        let ([head, heads, tokens, _], [_, kv_heads, ..]) = (q.dims(), k.dims());
        for (tensor, heads) in [(q, heads), (k, kv_heads), (v, kv_heads)] {
            expect(op, tensor, TensorType::F32, head * heads * tokens)?;
        }
        expect(op, seen, TensorType::I32, SEEN * tokens)?;
        if len == 0 || !tokens.is_multiple_of(len) || !heads.is_multiple_of(kv_heads) {
            return Err(GgmlError::shape(op, format!("{} in rows of {len} with {}", q.shape(), k.shape())));
        }
        Ok(Self { head, heads, kv_heads, rows: tokens / len, len, scale: 1.0 / (head as f32).sqrt() })
    }

    fn tokens(&self) -> usize {
        self.rows * self.len
    }
}

impl Arena {
    /// softmax(q kᵀ / √head) v for each head, where a token looks at those of its document up to itself. `q` is F32 [head,
    /// heads, tokens], `k` and `v` F32 [head, kv heads, tokens] with rows of `len` tokens. `seen` (I32 [3, tokens]) says of
    /// a token where in its row its document begins, which never falls inside a row, and from where up to where in it lie
    /// other branches, which it does not see. The result is [head · heads, tokens] of type `kind`.
    pub fn attention(
        &self,
        qkv: [&Tensor; 3],
        seen: &Tensor,
        len: usize,
        kind: TensorType,
    ) -> Result<Tensor, GgmlError> {
        const OP: &str = "attention";
        let sizes = Sizes::new(OP, qkv, seen, len)?;
        let (to, [q, k, v]) = ((kind, &[sizes.head * sizes.heads, sizes.tokens()][..]), qkv);
        match kind {
            TensorType::F32 => self.custom(OP, to, &[q, k, v, seen], move |call| forward::<f32>(call, &sizes)),
            TensorType::BF16 => self.custom(OP, to, &[q, k, v, seen], move |call| forward::<Bf16>(call, &sizes)),
            _ => Err(GgmlError::shape(OP, format!("a result of {kind}"))),
        }
    }

    /// The gradients of q, k and v from that of the result (`dy`, F32), each in its operand's shape.
    pub fn attention_back(
        &self,
        qkv: [&Tensor; 3],
        seen: &Tensor,
        dy: &Tensor,
        len: usize,
    ) -> Result<[Tensor; 3], GgmlError> {
        const OP: &str = "attention_back";
        let sizes = Sizes::new(OP, qkv, seen, len)?;
        let [q, k, v] = qkv;
        expect(OP, dy, TensorType::F32, q.len())?;
        let to = (TensorType::F32, &[q.len() + k.len() + v.len()][..]);
        let all = self.custom(OP, to, &[q, k, v, seen, dy], move |call| back(call, &sizes))?;
        Ok([
            self.part(&all, 0, &q.dims())?,
            self.part(&all, q.len(), &k.dims())?,
            self.part(&all, q.len() + k.len(), &v.dims())?,
        ])
    }
}

/// What one thread needs for the blocks of one head.
struct Scratch {
    /// Keys, turned: (head × padded length).
    keys: Vec<f32>,
    /// Scores, then probabilities: (block × padded length).
    scores: Vec<f32>,
    /// Queries of the block, scaled: (block × head).
    queries: Vec<f32>,
    /// The row length of `keys` and `scores`.
    padded: usize,
}

impl Scratch {
    fn new(sizes: &Sizes) -> Self {
        let padded = sizes.len.next_multiple_of(WIDTH);
        Self {
            keys: vec![0.0; sizes.head * padded],
            scores: vec![0.0; BLOCK * padded],
            queries: vec![0.0; BLOCK * sizes.head],
            padded,
        }
    }

    /// softmax(q kᵀ) of the queries of a block, for the keys from `from` on: 0 outside a query's document and branch, and in
    /// its future.
    fn probabilities(&mut self, block: &Block<'_>, q: &[f32], sizes: &Sizes) {
        let (n, from) = (block.keys(), block.from);
        for (i, query) in self.queries.chunks_exact_mut(sizes.head).take(block.rows).enumerate() {
            let q = &q[(block.first + i) * sizes.heads * sizes.head..][..sizes.head];
            query.iter_mut().zip(q).for_each(|(query, q)| *query = q * sizes.scale);
        }
        multiply(
            Matrix::rows(&self.queries, sizes.head),
            Matrix::rows(&self.keys[from..], self.padded),
            (&mut self.scores, self.padded),
            [block.rows, n, sizes.head],
        );
        for (i, scores) in self.scores.chunks_exact_mut(self.padded).take(block.rows).enumerate() {
            let (place, view) = (block.first + i, &block.views[block.first + i]);
            let (start, end) = (view.begin - from, place + 1 - from);
            scores[..start].fill(0.0);
            scores[end..n].fill(0.0);
            let others = view.others.start - view.begin..view.others.end - view.begin;
            let seen = &mut scores[start..end];
            seen[others.clone()].fill(f32::MIN);
            let most = largest(seen);
            for score in &mut *seen {
                *score = exp(*score - most);
            }
            seen[others].fill(0.0);
            let share = 1.0 / sum(seen);
            for score in seen {
                *score *= share;
            }
        }
    }
}

/// Queries `first` to `first + rows` of a row, and the first key (a multiple of the tile's width) that any of them sees.
struct Block<'a> {
    first: usize,
    rows: usize,
    from: usize,
    views: &'a [View],
}

/// What a token sees of its row: from `begin` up to itself, without `others`.
struct View {
    begin: usize,
    others: Range<usize>,
}

impl<'a> Block<'a> {
    fn of_row(views: &'a [View]) -> impl Iterator<Item = Self> {
        (0..views.len()).step_by(BLOCK).map(move |first| {
            let rows = BLOCK.min(views.len() - first);
            Self { first, rows, from: views[first].begin / WIDTH * WIDTH, views }
        })
    }

    /// How many keys are looked at: whole tiles.
    fn keys(&self) -> usize {
        (self.first + self.rows - self.from).next_multiple_of(WIDTH)
    }

    /// The same without those behind the last query.
    fn seen(&self) -> usize {
        self.first + self.rows - self.from
    }
}

/// C = A B.
fn multiply(a: Matrix<'_>, b: Matrix<'_>, (c, row): (&mut [f32], usize), [m, n, k]: [usize; 3]) {
    c.chunks_mut(row).take(m).for_each(|c| c[..n].fill(0.0));
    add_product(a, b, (c, row), [m, n, k]);
}

/// Keys or values of one head of a row, turned.
fn turn(numbers: &[f32], stride: usize, head: usize, out: &mut [f32], padded: usize) {
    for (j, token) in numbers.chunks(stride).enumerate() {
        for (c, number) in token[..head].iter().enumerate() {
            out[c * padded + j] = *number;
        }
    }
}

/// What the tokens of a row see; always themselves, and nothing behind, whatever the operand says.
fn views(seen: &[i32], row: usize, len: usize) -> Vec<View> {
    let seen = seen[row * len * SEEN..(row + 1) * len * SEEN].chunks_exact(SEEN);
    let view = |(i, seen): (usize, &[i32])| {
        let at = |n: usize, from: usize| usize::try_from(seen[n]).unwrap_or(0).clamp(from, i);
        let begin = at(0, 0);
        let first = at(1, begin);
        View { begin, others: first..at(2, first) }
    };
    seen.enumerate().map(view).collect()
}

fn forward<E: Element>(call: &Call<'_>, sizes: &Sizes) {
    let (q, k, v) = (call.source::<f32>(0), call.source::<f32>(1), call.source::<f32>(2));
    let (stride, width) = (sizes.kv_heads * sizes.head, sizes.heads * sizes.head);
    let group = sizes.heads / sizes.kv_heads;
    let mut scratch = Scratch::new(sizes);
    let mut mixed = vec![0.0; BLOCK * sizes.head];
    for task in call.share(sizes.rows * sizes.kv_heads) {
        let (row, kv) = (task / sizes.kv_heads, task % sizes.kv_heads);
        let views = views(call.source::<i32>(3), row, sizes.len);
        let first = row * sizes.len;
        let of_row = first * stride + kv * sizes.head..(first + sizes.len) * stride;
        turn(&k[of_row.clone()], stride, sizes.head, &mut scratch.keys, scratch.padded);
        for head in kv * group..(kv + 1) * group {
            let q = &q[first * width + head * sizes.head..];
            for block in Block::of_row(&views) {
                scratch.probabilities(&block, q, sizes);
                multiply(
                    Matrix::rows(&scratch.scores, scratch.padded),
                    Matrix::rows(&v[of_row.start + block.from * stride..], stride),
                    (&mut mixed, sizes.head),
                    [block.rows, sizes.head, block.seen()],
                );
                for (i, mixed) in mixed.chunks_exact(sizes.head).take(block.rows).enumerate() {
                    let at = (first + block.first + i) * width + head * sizes.head;
                    // SAFETY: each thread has heads of a row of its own.
                    let out = unsafe { call.result::<E>(at..at + sizes.head) };
                    out.iter_mut().zip(mixed).for_each(|(out, mixed)| *out = E::from_f32(*mixed));
                }
            }
        }
    }
}

/// With P the probabilities and dP = dy vᵀ: dS = P · (dP − Σ P dP), dq = dS k / √head, dk = dSᵀ q / √head, dv = Pᵀ dy.
fn back(call: &Call<'_>, sizes: &Sizes) {
    let mut scratch = Scratch::new(sizes);
    let mut sums = Sums::new(sizes, scratch.padded);
    for task in call.share(sizes.rows * sizes.kv_heads) {
        let (row, kv) = (task / sizes.kv_heads, task % sizes.kv_heads);
        sums.begin(call, sizes, (row, kv), &mut scratch);
        let views = views(call.source::<i32>(3), row, sizes.len);
        let group = sizes.heads / sizes.kv_heads;
        for head in kv * group..(kv + 1) * group {
            for block in Block::of_row(&views) {
                sums.block(call, sizes, (row, kv, head), (&block, &mut scratch));
            }
        }
        sums.end(call, sizes, (row, kv));
    }
}

/// What is summed for one head of keys and values, and the scratch for it.
struct Sums {
    values: Vec<f32>,
    scores: Vec<f32>,
    dy: Vec<f32>,
    queries: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
}

impl Sums {
    fn new(sizes: &Sizes, padded: usize) -> Self {
        let (block, row) = (vec![0.0; BLOCK * sizes.head], vec![0.0; padded * sizes.head]);
        Self {
            values: row.clone(),
            scores: vec![0.0; BLOCK * padded],
            dy: block.clone(),
            queries: block,
            dk: row.clone(),
            dv: row,
        }
    }

    fn begin(&mut self, call: &Call<'_>, sizes: &Sizes, (row, kv): (usize, usize), scratch: &mut Scratch) {
        let stride = sizes.kv_heads * sizes.head;
        let of_row = row * sizes.len * stride + kv * sizes.head..(row + 1) * sizes.len * stride;
        turn(&call.source::<f32>(1)[of_row.clone()], stride, sizes.head, &mut scratch.keys, scratch.padded);
        turn(&call.source::<f32>(2)[of_row], stride, sizes.head, &mut self.values, scratch.padded);
        self.dk.fill(0.0);
        self.dv.fill(0.0);
    }

    fn block(
        &mut self,
        call: &Call<'_>,
        sizes: &Sizes,
        (row, kv, head): (usize, usize, usize),
        (block, scratch): (&Block<'_>, &mut Scratch),
    ) {
        let (width, stride, padded) = (sizes.heads * sizes.head, sizes.kv_heads * sizes.head, scratch.padded);
        let (first, seen, from) = (row * sizes.len, block.seen(), block.from);
        let at = |i: usize| (first + block.first + i) * width + head * sizes.head;
        scratch.probabilities(block, &call.source::<f32>(0)[first * width + head * sizes.head..], sizes);
        for (i, dy) in self.dy.chunks_exact_mut(sizes.head).take(block.rows).enumerate() {
            dy.copy_from_slice(&call.source::<f32>(4)[at(i)..at(i) + sizes.head]);
        }
        multiply(
            Matrix::rows(&self.dy, sizes.head),
            Matrix::rows(&self.values[from..], padded),
            (&mut self.scores, padded),
            [block.rows, block.keys(), sizes.head],
        );
        let rows = self.scores.chunks_exact_mut(padded).zip(scratch.scores.chunks_exact(padded));
        for (ds, p) in rows.take(block.rows) {
            let mean = dot(&ds[..seen], &p[..seen]);
            ds[..seen].iter_mut().zip(p).for_each(|(ds, p)| *ds = p * (*ds - mean));
        }
        let keys = &call.source::<f32>(1)[(first + from) * stride + kv * sizes.head..];
        let (ds, p) = (Matrix::rows(&self.scores, padded), Matrix::rows(&scratch.scores, padded));
        let dq = (&mut self.queries[..], sizes.head);
        multiply(ds, Matrix::rows(keys, stride), dq, [block.rows, sizes.head, seen]);
        for (i, dq) in self.queries.chunks_exact(sizes.head).take(block.rows).enumerate() {
            // SAFETY: each thread has heads of a row of its own.
            let out = unsafe { call.result::<f32>(at(i)..at(i) + sizes.head) };
            out.iter_mut().zip(dq).for_each(|(out, dq)| *out = dq * sizes.scale);
        }
        let (shape, below) = ([seen, sizes.head, block.rows], from * sizes.head);
        let q = Matrix::rows(&scratch.queries, sizes.head);
        add_product(ds.turned(), q, (&mut self.dk[below..], sizes.head), shape);
        let dy = Matrix::rows(&self.dy, sizes.head);
        add_product(p.turned(), dy, (&mut self.dv[below..], sizes.head), shape);
    }

    fn end(&self, call: &Call<'_>, sizes: &Sizes, (row, kv): (usize, usize)) {
        let (stride, head) = (sizes.kv_heads * sizes.head, sizes.head);
        let (of_q, of_k) = (sizes.tokens() * sizes.heads * head, sizes.tokens() * stride);
        for (begin, sums) in [(of_q, &self.dk), (of_q + of_k, &self.dv)] {
            for (j, sum) in sums.chunks_exact(head).take(sizes.len).enumerate() {
                let at = begin + (row * sizes.len + j) * stride + kv * head;
                // SAFETY: each thread has heads of a row of its own.
                unsafe { call.result::<f32>(at..at + head) }.copy_from_slice(sum);
            }
        }
    }
}
