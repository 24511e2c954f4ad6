//! Graphs: operations in the order in which they are wanted, then memory for all that lies between, then computing.

use super::arena::{Arena, SPARE, Tensor};
use super::{Device, GgmlError};
use llama_cpp_sys_2 as sys;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;
use std::time::Instant;

/// Operations to be computed together. They are computed in the order in which they are [`need`](Self::need)ed, each
/// after its operands; the memory of a result is given to others once nothing needs it any more.
#[derive(Debug)]
pub struct Graph {
    arena: Arena,
    raw: NonNull<sys::ggml_cgraph>,
    nodes: usize,
}

impl Graph {
    /// A graph with room for so many operations; its arena refuses more.
    pub fn new(nodes: usize) -> Result<Self, GgmlError> {
        // Operands from elsewhere are counted apart, and as many.
        let room = nodes + SPARE;
        // SAFETY: takes plain numbers.
        let overhead = unsafe { sys::ggml_graph_overhead_custom(room, false) };
        let arena = Arena::with_extra(nodes, overhead)?;
        // SAFETY: the context has room for the graph.
        let raw = unsafe { sys::ggml_new_graph_custom(arena.context(), room, false) };
        let raw = NonNull::new(raw).ok_or(GgmlError::Memory { what: "a graph", bytes: overhead })?;
        Ok(Self { arena, raw, nodes })
    }

    /// Where its operations live.
    #[must_use]
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Computes this next, and before it all that it needs.
    pub fn need(&self, tensor: &Tensor) {
        self.arena.refer(&[tensor]);
        // SAFETY: the graph and the tensor are alive; it has room for all that its arena has.
        unsafe { sys::ggml_build_forward_expand(self.raw.as_ptr(), tensor.raw.as_ptr()) };
    }

    /// The bytes that the memory between operations will take, without taking them. Operands that have no memory yet are
    /// given room that is never touched.
    pub fn measure(&self, device: &Device, operands: &[&Arena]) -> Result<usize, GgmlError> {
        for arena in operands {
            arena.reserve(device)?;
        }
        let scheduler = Scheduler::new(device, self.nodes)?;
        let mut sizes = vec![0_usize; device.all().len()];
        // SAFETY: scheduler and graph are alive; `sizes` has one place a back end.
        unsafe { sys::ggml_backend_sched_reserve_size(scheduler.0.as_ptr(), self.raw.as_ptr(), sizes.as_mut_ptr()) };
        Ok(sizes.iter().sum())
    }

    /// Sets memory aside; from here the graph is fixed.
    pub fn plan(self, device: &Device) -> Result<Plan, GgmlError> {
        let scheduler = Scheduler::new(device, self.nodes)?;
        self.place(device, &scheduler);
        // SAFETY: scheduler and graph are alive.
        let allocated = unsafe { sys::ggml_backend_sched_alloc_graph(scheduler.0.as_ptr(), self.raw.as_ptr()) };
        let plan = Plan { scheduler, graph: self, device: device.clone() };
        if allocated { Ok(plan) } else { Err(GgmlError::Memory { what: "activations", bytes: plan.memory() }) }
    }

    /// Gives the products of matrices to a GPU, where there is one. The scheduler then adds what lies between them; by
    /// itself it would leave all of it with the CPU, where the weights are.
    fn place(&self, device: &Device, scheduler: &Scheduler) {
        // SAFETY: scheduler, graph and its tensors are alive, and `gpu_for` gives a back end of the scheduler's.
        unsafe {
            for at in 0..sys::ggml_graph_n_nodes(self.raw.as_ptr()) {
                let node = sys::ggml_graph_node(self.raw.as_ptr(), at);
                if (*node).op == sys::GGML_OP_MUL_MAT
                    && let Some(gpu) = device.gpu_for(node)
                {
                    sys::ggml_backend_sched_set_tensor_backend(scheduler.0.as_ptr(), node, gpu);
                }
            }
        }
    }
}

#[derive(Debug)]
struct Scheduler(NonNull<sys::ggml_backend_sched>);

impl Scheduler {
    fn new(device: &Device, nodes: usize) -> Result<Self, GgmlError> {
        let (mut backends, mut memories) = (device.all(), device.memories());
        let count = c_int::try_from(backends.len()).unwrap_or(1);
        // SAFETY: live back ends with a buffer type for each, the last of them the CPU's, as ggml demands.
        let raw = unsafe {
            let (backends, memories) = (backends.as_mut_ptr(), memories.as_mut_ptr());
            sys::ggml_backend_sched_new(backends, memories, count, nodes * 2, false, true)
        };
        NonNull::new(raw).map(Self).ok_or(GgmlError::Memory { what: "a scheduler", bytes: 0 })
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // SAFETY: it came from ggml and is freed once.
        unsafe { sys::ggml_backend_sched_free(self.0.as_ptr()) }
    }
}

/// A graph with its memory, computed as often as one likes.
#[derive(Debug)]
pub struct Plan {
    scheduler: Scheduler,
    graph: Graph,
    /// Outlives the scheduler, which refers to its back ends.
    #[allow(dead_code, reason = "held, not read")]
    device: Device,
}

impl Drop for Plan {
    /// Results have no memory after this: reading one is an error, and not a read of what others have since.
    fn drop(&mut self) {
        let context = self.graph.arena.context();
        // SAFETY: a live context, whose tensors have no memory but the scheduler's; nobody computes or reads meanwhile.
        unsafe {
            let mut next = sys::ggml_get_first_tensor(context);
            while let Some(tensor) = next.as_mut() {
                (tensor.buffer, tensor.data) = (std::ptr::null_mut(), std::ptr::null_mut());
                next = sys::ggml_get_next_tensor(context, next);
            }
        }
    }
}

impl Plan {
    /// Computes all of it. Errors when a back end fails or a kernel panics; results are then worth nothing.
    pub fn compute(&self) -> Result<(), GgmlError> {
        // SAFETY: the scheduler has allocated this very graph.
        let status =
            unsafe { sys::ggml_backend_sched_graph_compute(self.scheduler.0.as_ptr(), self.graph.raw.as_ptr()) };
        if status != sys::GGML_STATUS_SUCCESS {
            return Err(GgmlError::Compute { why: format!("ggml's status is {status}") });
        }
        // Every one is asked, so that none is left to be found the next time.
        let panicked: Vec<_> = self.graph.arena.0.kernels.borrow().iter().filter_map(|k| k.take_panic()).collect();
        match panicked.first() {
            None => Ok(()),
            Some(name) => Err(GgmlError::Compute { why: format!("the kernel `{name}` failed") }),
        }
    }

    /// Bytes of the memory between operations.
    #[must_use]
    pub fn memory(&self) -> usize {
        let scheduler = self.scheduler.0.as_ptr();
        // SAFETY: a live scheduler, and back ends by numbers below their count.
        unsafe {
            let count = sys::ggml_backend_sched_get_n_backends(scheduler);
            let backends = (0..count).map(|i| sys::ggml_backend_sched_get_backend(scheduler, i));
            backends.map(|backend| sys::ggml_backend_sched_get_buffer_size(scheduler, backend)).sum()
        }
    }

    /// Computes all of it, one operation at a time: seconds by kind of operation, the longest first.
    pub fn profile(&self) -> Result<Vec<(String, f64)>, GgmlError> {
        let mut clock = Clock { began: Instant::now(), seconds: BTreeMap::new() };
        let scheduler = self.scheduler.0.as_ptr();
        // SAFETY: the callback is used by `compute` alone, during which the clock lives and is not touched elsewhere.
        unsafe {
            let clock = std::ptr::from_mut(&mut clock).cast();
            sys::ggml_backend_sched_set_eval_callback(scheduler, Some(on_node), clock);
        }
        let done = self.compute();
        // SAFETY: takes the callback away.
        unsafe { sys::ggml_backend_sched_set_eval_callback(scheduler, None, std::ptr::null_mut()) };
        done?;
        let mut rows: Vec<_> = clock.seconds.into_iter().collect();
        rows.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(rows)
    }
}

struct Clock {
    began: Instant,
    seconds: BTreeMap<String, f64>,
}

/// Called by the scheduler before (`ask`) and after each operation.
unsafe extern "C" fn on_node(node: *mut sys::ggml_tensor, ask: bool, clock: *mut c_void) -> bool {
    // SAFETY: `profile` passes its own clock, and the scheduler a live tensor.
    let (clock, tensor) = unsafe { (&mut *clock.cast::<Clock>(), &*node) };
    if !ask {
        *clock.seconds.entry(label(tensor)).or_default() += clock.began.elapsed().as_secs_f64();
    }
    clock.began = Instant::now();
    true
}

/// The kind of an operation: ggml's name with the type of what is multiplied, or that of a kernel of ours.
fn label(tensor: &sys::ggml_tensor) -> String {
    let text = |text: *const std::ffi::c_char| {
        // SAFETY: ggml's names are NUL-terminated.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().to_lowercase()
    };
    // SAFETY: takes a live tensor and returns a static text.
    let op = text(unsafe { sys::ggml_op_desc(tensor) });
    match tensor.op {
        sys::GGML_OP_CUSTOM => text(tensor.name.as_ptr()),
        sys::GGML_OP_MUL_MAT => {
            // SAFETY: products have a first operand.
            let kind = unsafe { tensor.src[0].as_ref() }.map_or(0, |source| source.type_);
            // SAFETY: takes a type number of ggml's own and returns a static text.
            format!("{op} {}", text(unsafe { sys::ggml_type_name(kind) }))
        }
        _ => op,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::TensorType;

    /// ggml itself would end the process.
    #[test]
    fn what_has_no_room_is_refused() {
        let device = Device::cpu(1).unwrap();
        let inputs = Arena::new(2).unwrap();
        let one = inputs.tensor("one", TensorType::F32, &[1]).unwrap();
        inputs.tensor("two", TensorType::F32, &[1]).unwrap();
        assert!(matches!(inputs.tensor("three", TensorType::F32, &[1]), Err(GgmlError::Full { op: "tensor" })));
        inputs.allocate(&device).unwrap();
        one.set(&[1.0]).unwrap();
        let graph = Graph::new(4).unwrap();
        let mut sum = one.clone();
        for _ in 0..4 {
            sum = graph.arena().add(&sum, &one).unwrap();
        }
        assert!(matches!(graph.arena().add(&sum, &one), Err(GgmlError::Full { .. })));
        sum.keep();
        graph.need(&sum);
        let plan = graph.plan(&device).unwrap();
        plan.compute().unwrap();
        assert_eq!(sum.values().unwrap(), [5.0]);
    }
}
