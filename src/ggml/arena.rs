//! Where tensors live: a ggml context, the memory behind its tensors, and whatever they refer to.

use super::GgmlError;
use super::call::Custom;
use crate::gguf::TensorType;
use llama_cpp_sys_2 as sys;
use std::cell::RefCell;
use std::ffi::CString;
use std::ptr::NonNull;
use std::rc::Rc;

/// Room that an arena keeps back, in tensors: an operation makes fewer, and ggml ends the process where there is none.
pub(super) const SPARE: usize = 8;

/// A home for tensors. Clones share it; it ends with the last tensor or clone.
#[derive(Debug, Clone)]
pub struct Arena(pub(super) Rc<Home>);

/// What an arena owns. The fields are dropped in this order, after the context itself (see `Drop`).
#[derive(Debug)]
pub(super) struct Home {
    pub(super) context: NonNull<sys::ggml_context>,
    /// The memory of its tensors, where they have any of their own.
    buffers: RefCell<Vec<Buffer>>,
    /// The kernels of custom operations: ggml keeps pointers to them.
    #[allow(clippy::vec_box)] // the addresses must not move
    pub(super) kernels: RefCell<Vec<Box<Custom>>>,
    /// Arenas whose tensors are used here.
    uses: RefCell<Vec<Rc<Home>>>,
}

impl Drop for Home {
    fn drop(&mut self) {
        // SAFETY: the context came from ggml_init, is freed once, and no tensor of it is left: each holds this home.
        unsafe { sys::ggml_free(self.context.as_ptr()) }
    }
}

/// Memory of a back end.
#[derive(Debug)]
struct Buffer(NonNull<sys::ggml_backend_buffer>);

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the buffer came from ggml and is freed once.
        unsafe { sys::ggml_backend_buffer_free(self.0.as_ptr()) }
    }
}

impl Arena {
    /// An arena with room for so many tensors.
    pub fn new(tensors: usize) -> Result<Self, GgmlError> {
        Self::with_extra(tensors, 0)
    }

    /// With further bytes for a graph.
    pub(super) fn with_extra(tensors: usize, extra: usize) -> Result<Self, GgmlError> {
        // SAFETY: takes no arguments.
        let bytes = (tensors + SPARE) * unsafe { sys::ggml_tensor_overhead() } + extra;
        let params = sys::ggml_init_params { mem_size: bytes, mem_buffer: std::ptr::null_mut(), no_alloc: true };
        // SAFETY: ggml allocates its own memory when mem_buffer is null; the result is checked.
        let context = NonNull::new(unsafe { sys::ggml_init(params) });
        let context = context.ok_or(GgmlError::Memory { what: "tensors", bytes })?;
        let home = Home { context, buffers: RefCell::default(), kernels: RefCell::default(), uses: RefCell::default() };
        Ok(Self(Rc::new(home)))
    }

    pub(super) fn context(&self) -> *mut sys::ggml_context {
        self.0.context.as_ptr()
    }

    /// Keeps the homes of operands alive as long as this one.
    pub(super) fn refer(&self, operands: &[&Tensor]) {
        let mut uses = self.0.uses.borrow_mut();
        for operand in operands {
            if !Rc::ptr_eq(&operand.home, &self.0) && !uses.iter().any(|home| Rc::ptr_eq(home, &operand.home)) {
                uses.push(Rc::clone(&operand.home));
            }
        }
    }

    /// A tensor that ggml has just made here.
    pub(super) fn adopt(&self, op: &'static str, raw: *mut sys::ggml_tensor) -> Result<Tensor, GgmlError> {
        let raw = NonNull::new(raw).ok_or(GgmlError::Memory { what: op, bytes: 0 })?;
        // SAFETY: a live context.
        let (used, all) = unsafe { (sys::ggml_used_mem(self.context()), sys::ggml_get_mem_size(self.context())) };
        // SAFETY: takes no arguments.
        if used + SPARE * unsafe { sys::ggml_tensor_overhead() } > all {
            return Err(GgmlError::Full { op });
        }
        Ok(Tensor { raw, home: Rc::clone(&self.0) })
    }

    /// A new tensor, without memory yet; up to 4 dimensions, the row length first.
    pub fn tensor(&self, name: &str, kind: TensorType, dims: &[usize]) -> Result<Tensor, GgmlError> {
        if dims.is_empty() || dims.len() > 4 || dims.contains(&0) {
            return Err(GgmlError::shape("tensor", format!("`{name}` cannot have the shape {dims:?}")));
        }
        let mut ne = [1_i64; 4];
        for (ne, dim) in ne.iter_mut().zip(dims) {
            *ne = i64::try_from(*dim).unwrap_or(i64::MAX);
        }
        if !(ne[0].unsigned_abs()).is_multiple_of(kind.block_len()) {
            return Err(GgmlError::shape("tensor", format!("rows of `{name}` do not hold whole blocks of {kind}")));
        }
        // SAFETY: the context is alive, and the type and sizes were checked; the result is checked by `adopt`.
        let raw = unsafe { sys::ggml_new_tensor_4d(self.context(), kind.code(), ne[0], ne[1], ne[2], ne[3]) };
        let tensor = self.adopt("tensor", raw)?;
        tensor.call(name);
        Ok(tensor)
    }

    /// Gives all tensors that have no memory yet some of the device's main back end, set to 0.
    pub fn allocate(&self, device: &super::Device) -> Result<(), GgmlError> {
        let buffer = self.reserve(device)?;
        // SAFETY: a live buffer of ours.
        unsafe { sys::ggml_backend_buffer_clear(buffer.as_ptr(), 0) };
        Ok(())
    }

    /// Gives them room without touching it, so that on a CPU no memory is used: for graphs that are measured, not computed.
    pub(super) fn reserve(&self, device: &super::Device) -> Result<NonNull<sys::ggml_backend_buffer>, GgmlError> {
        // SAFETY: context and back end are alive; null means that there was nothing to do or no memory, told apart below.
        let buffer = unsafe { sys::ggml_backend_alloc_ctx_tensors(self.context(), device.main()) };
        let Some(buffer) = NonNull::new(buffer) else {
            let bytes = self.bytes();
            return Err(GgmlError::Memory { what: "weights", bytes });
        };
        self.0.buffers.borrow_mut().push(Buffer(buffer));
        Ok(buffer)
    }

    /// Bytes of all its tensors.
    fn bytes(&self) -> usize {
        let (mut bytes, context) = (0, self.context());
        // SAFETY: a live context and its own tensors.
        unsafe {
            let mut next = sys::ggml_get_first_tensor(context);
            while !next.is_null() {
                bytes += sys::ggml_nbytes(next);
                next = sys::ggml_get_next_tensor(context, next);
            }
        }
        bytes
    }
}

/// A tensor: a name for numbers in memory, or for the result of an operation. Clones are the same tensor.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub(super) raw: NonNull<sys::ggml_tensor>,
    pub(super) home: Rc<Home>,
}

impl Tensor {
    pub(super) fn get(&self) -> &sys::ggml_tensor {
        // SAFETY: the tensor lives in its home's context, which this value keeps; ggml changes its `data` and `buffer`
        // while a graph is allocated, never during a call that holds this reference.
        unsafe { self.raw.as_ref() }
    }

    /// Names it in profiles and messages.
    pub(super) fn call(&self, name: &str) {
        if let Ok(name) = CString::new(name) {
            // SAFETY: a live tensor and a NUL-terminated text, which ggml copies, cut to 63 bytes.
            unsafe { sys::ggml_set_name(self.raw.as_ptr(), name.as_ptr()) };
        }
    }

    /// Its four sizes, the row length first.
    #[must_use]
    pub fn dims(&self) -> [usize; 4] {
        self.get().ne.map(|n| usize::try_from(n).unwrap_or(0))
    }

    /// How many numbers it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dims().iter().product()
    }

    /// Never: no size is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its number format; `None` for one that GGUF files do not have.
    #[must_use]
    pub fn kind(&self) -> Option<TensorType> {
        TensorType::from_code(self.get().type_)
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // SAFETY: takes a live tensor.
        unsafe { sys::ggml_nbytes(self.raw.as_ptr()) }
    }

    /// Whether its numbers lie one after another.
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        // SAFETY: takes a live tensor.
        unsafe { sys::ggml_is_contiguous(self.raw.as_ptr()) }
    }

    /// Its shape in messages.
    #[must_use]
    pub fn shape(&self) -> String {
        format!("{} {:?}", self.kind().map_or("unknown", TensorType::name), self.dims())
    }

    fn check(&self, op: &'static str, kind: TensorType, len: usize) -> Result<(), GgmlError> {
        let wanted = self.kind() == Some(kind) && self.len() == len && self.is_contiguous();
        if !wanted || self.get().buffer.is_null() {
            return Err(GgmlError::shape(op, format!("{len} numbers of {kind} for {}", self.shape())));
        }
        Ok(())
    }

    /// Sets its numbers. Errors unless it is F32, as long, and has memory.
    pub fn set(&self, values: &[f32]) -> Result<(), GgmlError> {
        self.check("set", TensorType::F32, values.len())?;
        // SAFETY: the tensor has memory for exactly these bytes.
        unsafe { sys::ggml_backend_tensor_set(self.raw.as_ptr(), values.as_ptr().cast(), 0, size_of_val(values)) };
        Ok(())
    }

    /// Sets whole numbers. Errors unless it is I32, as long, and has memory.
    pub fn set_i32(&self, values: &[i32]) -> Result<(), GgmlError> {
        self.check("set", TensorType::I32, values.len())?;
        // SAFETY: the tensor has memory for exactly these bytes.
        unsafe { sys::ggml_backend_tensor_set(self.raw.as_ptr(), values.as_ptr().cast(), 0, size_of_val(values)) };
        Ok(())
    }

    /// Sets its bytes, whatever the format. Errors unless there are as many, and it has memory.
    pub fn set_bytes(&self, bytes: &[u8]) -> Result<(), GgmlError> {
        if bytes.len() != self.bytes() || self.get().buffer.is_null() {
            return Err(GgmlError::shape("set", format!("{} bytes for {}", bytes.len(), self.shape())));
        }
        // SAFETY: the tensor has memory for exactly these bytes.
        unsafe { sys::ggml_backend_tensor_set(self.raw.as_ptr(), bytes.as_ptr().cast(), 0, bytes.len()) };
        Ok(())
    }

    /// Its numbers. Errors unless it is F32 and has memory.
    pub fn values(&self) -> Result<Vec<f32>, GgmlError> {
        self.check("read", TensorType::F32, self.len())?;
        let mut values = vec![0.0_f32; self.len()];
        let bytes = size_of_val(values.as_slice());
        // SAFETY: the tensor has exactly as many bytes as the vector.
        unsafe { sys::ggml_backend_tensor_get(self.raw.as_ptr(), values.as_mut_ptr().cast(), 0, bytes) };
        Ok(values)
    }

    /// Leaves its numbers where they are until the next computation, so that they can be read.
    pub fn keep(&self) {
        // SAFETY: a live tensor.
        unsafe { sys::ggml_set_output(self.raw.as_ptr()) };
    }

    /// Sets every byte to 0. Errors when it has no memory.
    pub fn clear(&self) -> Result<(), GgmlError> {
        if self.get().buffer.is_null() {
            return Err(GgmlError::shape("clear", format!("{} has no memory", self.shape())));
        }
        // SAFETY: the tensor has memory for its own bytes.
        unsafe { sys::ggml_backend_tensor_memset(self.raw.as_ptr(), 0, 0, self.bytes()) };
        Ok(())
    }
}
