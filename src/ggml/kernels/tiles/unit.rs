//! The matrix unit of Intel's CPUs (AMX, "Intel 64 and IA-32 Architectures Software Developer's Manual", volume 1, chapter
//! 18): eight registers of 16 rows by 64 bytes, and one instruction that multiplies two of them in BF16 and adds to a third
//! in f32. Rust's own intrinsics for it are unstable, so its instructions are written out here.

/// Rows of a tile, and pairs of numbers in each of its rows.
pub(super) const SIDE: usize = 16;
/// Numbers along the sum that a tile covers: each of its rows holds 16 pairs.
pub(super) const DEPTH: usize = 2 * SIDE;
/// Pairs of BF16 numbers in a tile.
pub(super) const TILE: usize = SIDE * SIDE;
/// Rows and columns of what [`Unit::multiply`] computes at a time.
pub(super) const BLOCK: usize = 2 * SIDE;

/// One block of a result, row by row.
#[repr(C, align(64))]
pub(in crate::ggml) struct Block(pub(super) [[f32; BLOCK]; BLOCK]);

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx {
    use super::{BLOCK, Block, TILE};
    use std::arch::asm;
    use std::arch::x86_64::__cpuid_count;
    use std::marker::PhantomData;
    use std::sync::OnceLock;

    /// Whether this CPU has the unit, and Linux lets this process use it (Documentation/arch/x86/xstate.rst).
    pub(in crate::ggml) fn available() -> bool {
        static AVAILABLE: OnceLock<bool> = OnceLock::new();
        const BF16: u32 = 1 << 22;
        const TILES: u32 = 1 << 24;
        *AVAILABLE.get_or_init(|| __cpuid_count(7, 0).edx & (BF16 | TILES) == BF16 | TILES && permitted())
    }

    /// `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`: holds for all threads of the process.
    fn permitted() -> bool {
        const ARCH_PRCTL: u64 = 158;
        let mut answer = ARCH_PRCTL;
        // SAFETY: a system call that takes two numbers and touches no memory of ours.
        unsafe {
            asm!("syscall", inlateout("rax") answer, in("rdi") 0x1023, in("rsi") 18, out("rcx") _, out("r11") _,
                options(nostack));
        }
        answer == 0
    }

    /// What the unit's registers hold: their rows and bytes a row.
    #[repr(C, align(64))]
    struct Config([u8; 64]);

    impl Config {
        /// All eight as large as they can be.
        fn whole() -> Self {
            let mut bytes = [0; 64];
            bytes[0] = 1;
            for register in 0..8 {
                bytes[16 + 2 * register] = 64;
                bytes[48 + register] = 16;
            }
            Self(bytes)
        }
    }

    /// The unit, set up for this thread; set back when dropped, because ggml sets it up once a thread for its own kernels.
    pub(in crate::ggml) struct Unit(Config, PhantomData<*const ()>);

    impl Unit {
        /// `None` where there is none.
        pub(in crate::ggml) fn set_up() -> Option<Self> {
            if !available() {
                return None;
            }
            let (mut before, config) = (Config([0; 64]), Config::whole());
            // SAFETY: the CPU has the unit; both are 64 bytes, aligned.
            unsafe {
                asm!("sttilecfg [{}]", in(reg) &raw mut before.0, options(nostack));
                asm!("ldtilecfg [{}]", in(reg) &raw const config.0, options(nostack, readonly));
            }
            Some(Self(before, PhantomData))
        }

        /// Rows 0–31 of `left` times columns 0–31 of `right`: each is two runs of tiles, of one length, one after the
        /// other.
        #[allow(clippy::unused_self, reason = "it says that the unit is set up for this thread")]
        pub(in crate::ggml) fn multiply(&self, left: &[i32], right: &[i32], block: &mut Block) {
            let depth = left.len() / (2 * TILE);
            assert!(left.len() == right.len() && depth > 0 && left.len().is_multiple_of(2 * TILE));
            let (l, r, run) = (left.as_ptr(), right.as_ptr(), depth * TILE * size_of::<i32>());
            // SAFETY: the unit is set up; `depth` tiles of 1,024 bytes are read from the two runs of either side, and the
            // block has room for 2 × 2 tiles, 128 bytes a row.
            unsafe {
                asm!(
                    "tilezero tmm0",
                    "tilezero tmm1",
                    "tilezero tmm2",
                    "tilezero tmm3",
                    "2:",
                    "tileloadd tmm4, [{l} + {row}]",
                    "tileloadd tmm6, [{r} + {row}]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{r2} + {row}]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tileloadd tmm5, [{l2} + {row}]",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "add {l}, 1024",
                    "add {l2}, 1024",
                    "add {r}, 1024",
                    "add {r2}, 1024",
                    "dec {depth}",
                    "jnz 2b",
                    "add {row}, {row}",
                    "tilestored [{to} + {row}], tmm0",
                    "tilestored [{to} + {row} + 64], tmm1",
                    "tilestored [{to} + {row} + 2048], tmm2",
                    "tilestored [{to} + {row} + 2112], tmm3",
                    l = inout(reg) l => _,
                    l2 = inout(reg) l.byte_add(run) => _,
                    r = inout(reg) r => _,
                    r2 = inout(reg) r.byte_add(run) => _,
                    depth = inout(reg) depth => _,
                    row = inout(reg) 64_usize => _,
                    to = in(reg) &raw mut block.0,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
            const { assert!(BLOCK * size_of::<f32>() == 128) }
        }
    }

    impl Drop for Unit {
        fn drop(&mut self) {
            // SAFETY: the CPU has the unit; what is loaded was stored by it. A configuration of zeros releases it.
            unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const self.0.0, options(nostack, readonly)) };
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod amx {
    use super::Block;

    /// There is none.
    pub(in crate::ggml) fn available() -> bool {
        false
    }

    /// None.
    pub(in crate::ggml) struct Unit;

    impl Unit {
        pub(in crate::ggml) fn set_up() -> Option<Self> {
            None
        }

        pub(in crate::ggml) fn multiply(&self, _: &[i32], _: &[i32], _: &mut Block) {}
    }
}

pub(super) use amx::Unit;
pub(in crate::ggml) use amx::available;
