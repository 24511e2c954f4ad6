//! ggml's own operations, with their demands checked before ggml can assert.

use super::GgmlError;
use super::arena::{Arena, Tensor};
use crate::gguf::TensorType;
use llama_cpp_sys_2 as sys;

/// How positions turn queries and keys (Su 2021, 2104.09864), with the ways of stretching it that llama.cpp knows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// Numbers of each head that are turned.
    pub dims: usize,
    /// Whether halves of a head are paired (GPT-NeoX) rather than neighbours.
    pub halves: bool,
    /// The context that the model was first trained on (YaRN).
    pub original_context: usize,
    /// Base of the wavelengths.
    pub base: f32,
    /// What positions are multiplied by.
    pub scale: f32,
    /// How much of YaRN's extrapolation is mixed in: 0 or 1.
    pub extrapolation: f32,
    /// What the turned numbers are multiplied by.
    pub attention: f32,
    /// YaRN's β fast and β slow.
    pub betas: (f32, f32),
}

impl Arena {
    /// The product Aᵀ B: A is [k, m], B is [k, n], the result [m, n] in f32. A may be of any weight type; B is F32, or of
    /// A's type where that is F32 or BF16.
    pub fn mul_mat(&self, a: &Tensor, b: &Tensor) -> Result<Tensor, GgmlError> {
        let (da, db) = (a.dims(), b.dims());
        let alike = b.kind() == Some(TensorType::F32) || (a.kind() == b.kind() && b.kind() == Some(TensorType::BF16));
        let weight = a.kind().is_some_and(TensorType::is_weight);
        let flat = da[2..] == [1, 1] && db[2..] == [1, 1] && a.is_contiguous() && b.is_contiguous();
        if da[0] != db[0] || !flat || !alike || !weight {
            return Err(GgmlError::shape("mul_mat", format!("{} and {}", a.shape(), b.shape())));
        }
        self.refer(&[a, b]);
        // SAFETY: ggml_can_mul_mat and the types were checked above.
        self.adopt("mul_mat", unsafe { sys::ggml_mul_mat(self.context(), a.raw.as_ptr(), b.raw.as_ptr()) })
    }

    /// The sum; `b` is repeated where `a` is larger by whole multiples. Both F32.
    pub fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor, GgmlError> {
        self.both("add", a, b)?;
        // SAFETY: ggml_can_repeat and the types were checked.
        self.adopt("add", unsafe { sys::ggml_add(self.context(), a.raw.as_ptr(), b.raw.as_ptr()) })
    }

    /// Adds `b` to `a` where `a` lies.
    pub fn add_to(&self, a: &Tensor, b: &Tensor) -> Result<Tensor, GgmlError> {
        self.both("add", a, b)?;
        // SAFETY: ggml_can_repeat and the types were checked.
        self.adopt("add", unsafe { sys::ggml_add_inplace(self.context(), a.raw.as_ptr(), b.raw.as_ptr()) })
    }

    fn both(&self, op: &'static str, a: &Tensor, b: &Tensor) -> Result<(), GgmlError> {
        let fits = a.dims().iter().zip(b.dims()).all(|(a, b)| a.is_multiple_of(b));
        let f32s = [a, b].iter().all(|t| t.kind() == Some(TensorType::F32) && t.is_contiguous());
        if !fits || !f32s {
            return Err(GgmlError::shape(op, format!("{} and {}", a.shape(), b.shape())));
        }
        self.refer(&[a, b]);
        Ok(())
    }

    /// All numbers times `by`. F32.
    pub fn scale(&self, a: &Tensor, by: f32) -> Result<Tensor, GgmlError> {
        self.both("scale", a, a)?;
        // SAFETY: a contiguous F32 tensor.
        self.adopt("scale", unsafe { sys::ggml_scale(self.context(), a.raw.as_ptr(), by) })
    }

    /// Copies numbers to where `to` lies. Both F32 of one shape.
    pub fn copy_into(&self, to: &Tensor, from: &Tensor) -> Result<Tensor, GgmlError> {
        self.both("copy", to, from)?;
        if to.dims() != from.dims() {
            return Err(GgmlError::shape("copy", format!("{} to {}", from.shape(), to.shape())));
        }
        // SAFETY: contiguous tensors of one type and shape.
        self.adopt("copy", unsafe { sys::ggml_cpy(self.context(), from.raw.as_ptr(), to.raw.as_ptr()) })
    }

    /// The rows of a matrix by their numbers, in f32: `a` is [n, rows], `indices` whole numbers below `rows`, the result
    /// [n, indices]. An index that is not below `rows` ends the process: the caller has checked them.
    pub fn get_rows(&self, a: &Tensor, indices: &Tensor) -> Result<Tensor, GgmlError> {
        let flat = a.dims()[2..] == [1, 1] && indices.dims()[1..] == [1, 1, 1];
        if !flat || indices.kind() != Some(TensorType::I32) || !a.kind().is_some_and(TensorType::is_weight) {
            return Err(GgmlError::shape("get_rows", format!("{} by {}", a.shape(), indices.shape())));
        }
        self.refer(&[a, indices]);
        // SAFETY: types and shapes were checked.
        self.adopt("get_rows", unsafe { sys::ggml_get_rows(self.context(), a.raw.as_ptr(), indices.raw.as_ptr()) })
    }

    /// Turns each head by its position: `x` is F32 [head, heads, tokens]. `back` turns the other way, which is the
    /// gradient. `factors` (F32 [dims / 2]) divide the frequencies.
    pub fn rope(
        &self,
        x: &Tensor,
        positions: &Tensor,
        factors: Option<&Tensor>,
        (rope, back): (&Rope, bool),
    ) -> Result<Tensor, GgmlError> {
        let (dims, half) = (x.dims(), rope.dims / 2);
        let fits = x.kind() == Some(TensorType::F32)
            && x.is_contiguous()
            && dims[3] == 1
            && positions.kind() == Some(TensorType::I32)
            && positions.len() == dims[2]
            && rope.dims <= dims[0]
            && rope.dims.is_multiple_of(2)
            && factors.is_none_or(|f| f.kind() == Some(TensorType::F32) && f.len() >= half);
        if !fits {
            return Err(GgmlError::shape("rope", format!("{} by {}", x.shape(), positions.shape())));
        }
        self.refer(&[x, positions]);
        factors.inspect(|factors| self.refer(&[factors]));
        let int = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let turn = if back { sys::ggml_rope_ext_back } else { sys::ggml_rope_ext };
        let mode = if rope.halves { 2 } else { 0 };
        // SAFETY: types and shapes were checked.
        let raw = unsafe {
            turn(
                self.context(),
                x.raw.as_ptr(),
                positions.raw.as_ptr(),
                factors.map_or(std::ptr::null_mut(), |factors| factors.raw.as_ptr()),
                int(rope.dims),
                mode,
                int(rope.original_context),
                rope.base,
                rope.scale,
                rope.extrapolation,
                rope.attention,
                rope.betas.0,
                rope.betas.1,
            )
        };
        self.adopt("rope", raw)
    }

    /// The same numbers under another shape. They lie one after another.
    pub fn reshape(&self, a: &Tensor, dims: &[usize]) -> Result<Tensor, GgmlError> {
        self.part(a, 0, dims)
    }

    /// A part of a tensor's numbers, from the `from`-th on, under a shape of its own.
    pub fn part(&self, a: &Tensor, from: usize, dims: &[usize]) -> Result<Tensor, GgmlError> {
        let wanted: usize = dims.iter().product();
        let size = a.kind().filter(|kind| kind.block_len() == 1).map(TensorType::block_size);
        let size = size.and_then(|size| usize::try_from(size).ok());
        let (Some(size), true) = (size, a.is_contiguous() && (1..=4).contains(&dims.len()) && from + wanted <= a.len())
        else {
            return Err(GgmlError::shape("part", format!("{dims:?} from {from} of {}", a.shape())));
        };
        self.refer(&[a]);
        let mut ne = [1_i64; 4];
        for (ne, dim) in ne.iter_mut().zip(dims) {
            *ne = i64::try_from(*dim).unwrap_or(i64::MAX);
        }
        let row = |n: usize| size * dims.iter().take(n).product::<usize>();
        // SAFETY: the part lies inside the tensor.
        let raw = unsafe {
            let [p, q, r, s] = ne;
            sys::ggml_view_4d(self.context(), a.raw.as_ptr(), p, q, r, s, row(1), row(2), row(3), from * size)
        };
        self.adopt("part", raw)
    }
}
