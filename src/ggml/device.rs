//! What computes: the CPU, and before it whatever GPU ggml was built for and finds.

use super::GgmlError;
use llama_cpp_sys_2 as sys;
use std::ffi::c_int;
use std::ptr::NonNull;
use std::rc::Rc;

/// The back ends of this machine, in the order in which they are asked to compute: the GPUs, then the CPU, which does
/// what the others cannot. Clones share them.
#[derive(Debug, Clone)]
pub struct Device(Rc<Backends>);

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
    /// Opens the back ends; the CPU's computes on so many threads.
    pub fn new(threads: usize) -> Result<Self, GgmlError> {
        let failed = || GgmlError::Compute { why: "ggml has no CPU back end".into() };
        let mut backends = gpus();
        // SAFETY: takes no arguments; null is refused.
        let cpu = NonNull::new(unsafe { sys::ggml_backend_cpu_init() }).ok_or_else(failed)?;
        // SAFETY: a live CPU back end.
        unsafe { sys::ggml_backend_cpu_set_n_threads(cpu.as_ptr(), c_int::try_from(threads.max(1)).unwrap_or(1)) };
        backends.push(cpu);
        Ok(Self(Rc::new(Backends(backends))))
    }

    /// Where weights live: with the CPU, whose kernels change them; what a GPU computes, ggml copies there.
    pub(super) fn main(&self) -> sys::ggml_backend_t {
        self.0.0.last().map_or(std::ptr::null_mut(), |backend| backend.as_ptr())
    }

    pub(super) fn all(&self) -> Vec<sys::ggml_backend_t> {
        self.0.0.iter().map(|backend| backend.as_ptr()).collect()
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
