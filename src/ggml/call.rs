//! Operations of our own inside ggml's threads: what a kernel is given, and the door through which ggml calls it.

use super::GgmlError;
use super::arena::{Arena, Tensor};
use super::element::Element;
use crate::gguf::TensorType;
use llama_cpp_sys_2 as sys;
use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// Operands that a custom operation can have (`GGML_MAX_SRC` − 1).
const MOST_SOURCES: usize = 9;
/// `GGML_N_TASKS_MAX`.
const ALL_THREADS: c_int = -1;

/// A kernel, called once by each thread with its share of the work.
type Kernel = Box<dyn Fn(&Call<'_>) + Send + Sync>;

/// A kernel as ggml keeps it.
pub(super) struct Custom {
    name: &'static str,
    kernel: Kernel,
    panicked: AtomicBool,
}

impl std::fmt::Debug for Custom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Custom {
    /// The name of a kernel that panicked since this was last asked.
    pub(super) fn take_panic(&self) -> Option<&'static str> {
        self.panicked.swap(false, Ordering::Relaxed).then_some(self.name)
    }
}

/// One thread's part in a custom operation.
pub(super) struct Call<'a> {
    result: &'a sys::ggml_tensor,
    ith: usize,
    nth: usize,
}

impl Call<'_> {
    /// This thread's share of `n` pieces of work: a run of them. The shares of all threads are all `n`, each once.
    pub(super) fn share(&self, n: usize) -> Range<usize> {
        n * self.ith / self.nth..n * (self.ith + 1) / self.nth
    }

    fn source_tensor(&self, i: usize) -> Option<&sys::ggml_tensor> {
        let source = self.result.src.get(i)?;
        // SAFETY: ggml's source pointers are null or live tensors of the graph that is computed.
        unsafe { source.as_ref() }
    }

    /// The numbers of an operand; empty when there is none, or it is of another type.
    pub(super) fn source<T: Element>(&self, i: usize) -> &[T] {
        match self.source_tensor(i) {
            Some(tensor) if tensor.type_ == T::KIND.code() && !tensor.data.is_null() => {
                let len = tensor.ne.iter().product::<i64>();
                // SAFETY: the tensor is contiguous (checked when the operation was made), has memory for `len` numbers
                // of this type, and no operation writes to it meanwhile.
                unsafe { std::slice::from_raw_parts(tensor.data.cast(), usize::try_from(len).unwrap_or(0)) }
            }
            _ => &[],
        }
    }

    /// The bytes of an operand, whatever its type.
    pub(super) fn source_bytes(&self, i: usize) -> &[u8] {
        match self.source_tensor(i) {
            Some(tensor) if !tensor.data.is_null() => {
                // SAFETY: as in `source`.
                unsafe { std::slice::from_raw_parts(tensor.data.cast(), sys::ggml_nbytes(tensor)) }
            }
            _ => &[],
        }
    }

    /// How many rows of `row` numbers the first operand has.
    pub(super) fn source_rows(&self, row: usize) -> usize {
        let numbers = self.source_tensor(0).map_or(0, |tensor| tensor.ne.iter().product::<i64>());
        usize::try_from(numbers).unwrap_or(0) / row
    }

    /// Numbers in a row of the result.
    pub(super) fn row_len(&self) -> usize {
        usize::try_from(self.result.ne[0]).unwrap_or(1)
    }

    /// A part of the result, to be written.
    ///
    /// # Safety
    /// No other thread, and no other reference of this one, may touch the same part meanwhile: parts are chosen by
    /// [`share`](Self::share), so that each piece of work has its own.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn result<T: Element>(&self, part: Range<usize>) -> &mut [T] {
        // SAFETY: the result is of this type, contiguous, and has memory; the caller has the part for itself.
        unsafe { part_of(self.result, part) }
    }

    /// A part of an operand that the operation changes (the optimiser's moments).
    ///
    /// # Safety
    /// As for [`result`](Self::result).
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn change<T: Element>(&self, i: usize, part: Range<usize>) -> &mut [T] {
        // SAFETY: as above; operands that are changed have memory of their own.
        self.source_tensor(i).map_or(&mut [], |tensor| unsafe { part_of(tensor, part) })
    }
}

/// A part of a tensor's memory; empty where it does not have it.
///
/// # Safety
/// Nobody else may touch the part.
unsafe fn part_of<'a, T: Element>(tensor: &sys::ggml_tensor, part: Range<usize>) -> &'a mut [T] {
    let len = usize::try_from(tensor.ne.iter().product::<i64>()).unwrap_or(0);
    if tensor.type_ != T::KIND.code() || part.end > len || part.start > part.end || tensor.data.is_null() {
        return &mut [];
    }
    // SAFETY: the range lies inside the tensor's memory, which is aligned for its type.
    unsafe { std::slice::from_raw_parts_mut(tensor.data.cast::<T>().add(part.start), part.len()) }
}

/// Called by ggml, from each of its threads.
unsafe extern "C" fn run(result: *mut sys::ggml_tensor, ith: c_int, nth: c_int, userdata: *mut c_void) {
    // SAFETY: the pointer is that of a `Custom` that the arena of the graph keeps.
    let custom = unsafe { &*userdata.cast::<Custom>() };
    // SAFETY: ggml passes the operation's own tensor.
    let result = unsafe { &*result };
    let (ith, nth) = (usize::try_from(ith).unwrap_or(0), usize::try_from(nth).unwrap_or(1));
    // A panic must not cross C; what it leaves behind is never used: the computation is reported as failed.
    if catch_unwind(AssertUnwindSafe(|| (custom.kernel)(&Call { result, ith, nth }))).is_err() {
        custom.panicked.store(true, Ordering::Relaxed);
    }
}

impl Arena {
    /// An operation of our own: a new tensor made from others.
    pub(super) fn custom(
        &self,
        name: &'static str,
        (kind, dims): (TensorType, &[usize]),
        sources: &[&Tensor],
        kernel: impl Fn(&Call<'_>) + Send + Sync + 'static,
    ) -> Result<Tensor, GgmlError> {
        let userdata = self.keep(name, sources, kernel)?;
        let mut ne = [1_i64; 4];
        for (ne, dim) in ne.iter_mut().zip(dims) {
            *ne = i64::try_from(*dim).unwrap_or(i64::MAX);
        }
        let mut raw: Vec<_> = sources.iter().map(|source| source.raw.as_ptr()).collect();
        let count = c_int::try_from(raw.len()).unwrap_or(0);
        // SAFETY: context and sources are alive, there are at most 9 of them, and `userdata` lives as long as the arena.
        let tensor = unsafe {
            let (context, tasks) = (self.context(), ALL_THREADS);
            let [a, b, c, d] = ne;
            sys::ggml_custom_4d(context, kind.code(), a, b, c, d, raw.as_mut_ptr(), count, Some(run), tasks, userdata)
        };
        let tensor = self.adopt(name, tensor)?;
        tensor.call(name);
        Ok(tensor)
    }

    /// An operation of our own that changes its first operand, `target`; the others are its sources 1, 2, ….
    pub(super) fn custom_inplace(
        &self,
        name: &'static str,
        target: &Tensor,
        sources: &[&Tensor],
        kernel: impl Fn(&Call<'_>) + Send + Sync + 'static,
    ) -> Result<Tensor, GgmlError> {
        let all: Vec<&Tensor> = std::iter::once(target).chain(sources.iter().copied()).collect();
        let userdata = self.keep(name, &all, kernel)?;
        let mut raw: Vec<_> = sources.iter().map(|source| source.raw.as_ptr()).collect();
        let count = c_int::try_from(raw.len()).unwrap_or(0);
        // SAFETY: as in `custom`.
        let tensor = unsafe {
            let (context, target, tasks) = (self.context(), target.raw.as_ptr(), ALL_THREADS);
            sys::ggml_custom_inplace(context, target, raw.as_mut_ptr(), count, Some(run), tasks, userdata)
        };
        let tensor = self.adopt(name, tensor)?;
        tensor.call(name);
        Ok(tensor)
    }

    fn keep(
        &self,
        name: &'static str,
        sources: &[&Tensor],
        kernel: impl Fn(&Call<'_>) + Send + Sync + 'static,
    ) -> Result<*mut c_void, GgmlError> {
        if sources.len() > MOST_SOURCES {
            return Err(GgmlError::shape(name, format!("{} operands", sources.len())));
        }
        if let Some(source) = sources.iter().find(|source| !source.is_contiguous()) {
            return Err(GgmlError::shape(name, format!("{} has gaps", source.shape())));
        }
        self.refer(sources);
        let custom = Box::new(Custom { name, kernel: Box::new(kernel), panicked: AtomicBool::new(false) });
        let userdata = std::ptr::from_ref(custom.as_ref()).cast_mut().cast();
        self.0.kernels.borrow_mut().push(custom);
        Ok(userdata)
    }
}
