//! What computes: the CPU, and before it whatever GPU ggml was built for and finds.

use super::GgmlError;
use llama_cpp_sys_2 as sys;
use std::ffi::c_int;
use std::ptr::NonNull;
use std::rc::Rc;

/// What computes. On GPUs run the products of matrices and what lies between two of them, as far as they know it; all else
/// runs on the CPU, where the weights live, and numbers are copied as they are needed. Clones share it.
#[derive(Debug, Clone)]
pub struct Device(Rc<Backends>);

/// In the order in which they are asked: the GPUs, then the CPU.
#[derive(Debug)]
struct Backends(Vec<NonNull<sys::ggml_backend>>);

impl Drop for Backends {
    fn drop(&mut self) {
        for backend in &self.0 {
            // SAFETY: each came from ggml and is freed once; plans hold this value, and buffers of the CPU do without it.
            unsafe { sys::ggml_backend_free(backend.as_ptr()) }
        }
    }
}

impl Device {
    /// The CPU alone, on so many threads.
    pub fn cpu(threads: usize) -> Result<Self, GgmlError> {
        Self::behind(Vec::new(), threads)
    }

    /// The GPUs that ggml was built for and finds, and the CPU on so many threads.
    pub fn with_gpus(threads: usize) -> Result<Self, GgmlError> {
        Self::behind(gpus(), threads)
    }

    fn behind(mut backends: Vec<NonNull<sys::ggml_backend>>, threads: usize) -> Result<Self, GgmlError> {
        let failed = || GgmlError::Compute { why: "ggml has no CPU back end".into() };
        // SAFETY: takes no arguments; null is refused.
        let cpu = NonNull::new(unsafe { sys::ggml_backend_cpu_init() }).ok_or_else(failed)?;
        // SAFETY: a live CPU back end.
        unsafe { sys::ggml_backend_cpu_set_n_threads(cpu.as_ptr(), c_int::try_from(threads.max(1)).unwrap_or(1)) };
        backends.push(cpu);
        Ok(Self(Rc::new(Backends(backends))))
    }

    /// Where weights live: with the CPU, whose kernels change them.
    pub(super) fn main(&self) -> sys::ggml_backend_t {
        self.0.0.last().map_or(std::ptr::null_mut(), |backend| backend.as_ptr())
    }

    pub(super) fn all(&self) -> Vec<sys::ggml_backend_t> {
        self.0.0.iter().map(|backend| backend.as_ptr()).collect()
    }

    /// The GPU that computes an operation, if one does.
    pub(super) fn gpu_for(&self, node: *const sys::ggml_tensor) -> Option<sys::ggml_backend_t> {
        let gpus = self.0.0.split_last().map_or(&[][..], |(_, gpus)| gpus);
        // SAFETY: live back ends and a live tensor.
        let knows = |gpu: &&NonNull<_>| unsafe { sys::ggml_backend_supports_op(gpu.as_ptr(), node) };
        gpus.iter().find(knows).map(|gpu| gpu.as_ptr())
    }

    /// The kind of memory that each back end computes in: the CPU beside a GPU in some that the GPU copies from fast.
    pub(super) fn memories(&self) -> Vec<sys::ggml_backend_buffer_type_t> {
        let own = |backend: &NonNull<_>| {
            // SAFETY: a live back end.
            unsafe { sys::ggml_backend_get_default_buffer_type(backend.as_ptr()) }
        };
        let mut memories: Vec<_> = self.0.0.iter().map(own).collect();
        if let ([gpu, _, ..], Some(cpus)) = (self.0.0.as_slice(), memories.last_mut()) {
            // SAFETY: a live back end and its device; null where it has no such memory.
            let fast = unsafe { sys::ggml_backend_dev_host_buffer_type(sys::ggml_backend_get_device(gpu.as_ptr())) };
            if !fast.is_null() {
                *cpus = fast;
            }
        }
        memories
    }

    /// Whether the CPU computes alone.
    #[must_use]
    pub fn is_cpu(&self) -> bool {
        self.0.0.len() == 1
    }
}

fn gpus() -> Vec<NonNull<sys::ggml_backend>> {
    // SAFETY: takes no arguments.
    let count = unsafe { sys::ggml_backend_dev_count() };
    let devices = (0..count).filter_map(|i| {
        // SAFETY: `i` is below the count; devices live as long as the program.
        unsafe {
            let device = sys::ggml_backend_dev_get(i);
            let kind = sys::ggml_backend_dev_type(device);
            let gpu = kind == sys::GGML_BACKEND_DEVICE_TYPE_GPU || kind == sys::GGML_BACKEND_DEVICE_TYPE_IGPU;
            if gpu { NonNull::new(sys::ggml_backend_dev_init(device, std::ptr::null())) } else { None }
        }
    });
    devices.collect()
}
