//! Kernel records from CUPTI: what ran on the GPU, with which shape, for how long.

use std::ffi::CStr;
use std::sync::Mutex;

use cudarc::cupti::sys;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// One launch of a kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    /// Its (mangled) name.
    pub name: String,
    /// Blocks in x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block in x, y, z.
    pub block: [u32; 3],
    /// Registers of a thread.
    pub registers: u32,
    /// Shared memory of a block, static and dynamic, bytes.
    pub shared_bytes: u32,
    /// Time on the device, nanoseconds.
    pub ns: u64,
}

impl Kernel {
    /// Blocks of the grid.
    pub fn blocks(&self) -> usize {
        self.grid.iter().map(|&g| g as usize).product()
    }

    /// Threads of a block.
    pub fn threads(&self) -> usize {
        self.block.iter().map(|&b| b as usize).product()
    }
}

/// Bytes of one of CUPTI's buffers, and their alignment.
const BUFFER: usize = 1 << 20;
const ALIGN: usize = 8;

/// What CUPTI's callbacks have given since the last trace began; they know no other place to put it.
static SEEN: Mutex<Vec<Kernel>> = Mutex::new(Vec::new());

fn layout() -> Option<std::alloc::Layout> {
    std::alloc::Layout::from_size_align(BUFFER, ALIGN).ok()
}

unsafe extern "C" fn requested(buffer: *mut *mut u8, size: *mut usize, most: *mut usize) {
    // SAFETY: CUPTI passes valid places for the three answers; a null buffer tells it that there is none.
    unsafe {
        *buffer = layout().map_or(std::ptr::null_mut(), |l| std::alloc::alloc_zeroed(l));
        *size = if (*buffer).is_null() { 0 } else { BUFFER };
        *most = 0;
    }
}

unsafe extern "C" fn completed(_: cudarc::driver::sys::CUcontext, _: u32, buffer: *mut u8, _: usize, valid: usize) {
    if buffer.is_null() {
        return;
    }
    let mut record = std::ptr::null_mut();
    // SAFETY: the buffer is ours with `valid` bytes of records; kernel records of every version since 9 begin alike.
    unsafe {
        while sys::cuptiActivityGetNextRecord(buffer, valid, &mut record) == sys::CUptiResult::CUPTI_SUCCESS {
            let kind = (*record).kind;
            if kind == sys::CUpti_ActivityKind::CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL
                && let Ok(mut seen) = SEEN.lock()
            {
                seen.push(read(record.cast()));
            }
        }
        if let Some(layout) = layout() {
            std::alloc::dealloc(buffer, layout);
        }
    }
}

unsafe fn read(record: *const sys::CUpti_ActivityKernel9) -> Kernel {
    // SAFETY: the caller passes a kernel record; its name lives as long as the process.
    let r = unsafe { record.read_unaligned() };
    let name = if r.name.is_null() {
        String::new()
    } else {
        // SAFETY: as above.
        unsafe { CStr::from_ptr(r.name) }.to_string_lossy().into_owned()
    };
    let positive = |v: i32| u32::try_from(v).unwrap_or(0);
    Kernel {
        name,
        grid: [r.gridX, r.gridY, r.gridZ].map(positive),
        block: [r.blockX, r.blockY, r.blockZ].map(positive),
        registers: u32::from(r.registersPerThread),
        shared_bytes: positive(r.staticSharedMemory) + positive(r.dynamicSharedMemory),
        ns: r.end.saturating_sub(r.start),
    }
}

/// Whether CUPTI's library can be loaded.
pub(super) fn cupti_present() -> bool {
    // SAFETY: only tries to open the library.
    unsafe { sys::is_culib_present() }
}

fn check(what: &str, result: sys::CUptiResult) -> Result<()> {
    match result {
        sys::CUptiResult::CUPTI_SUCCESS => Ok(()),
        other => Err(Error::device(format!("CUPTI: {what}: {other:?}; {}", remedy(other)))),
    }
}

/// What to do about a refusal.
fn remedy(refusal: sys::CUptiResult) -> &'static str {
    use sys::CUptiResult as R;
    match refusal {
        R::CUPTI_ERROR_INSUFFICIENT_PRIVILEGES | R::CUPTI_ERROR_VIRTUALIZED_DEVICE_INSUFFICIENT_PRIVILEGES => {
            "the driver keeps profiling to administrators: load its module with NVreg_RestrictProfilingToAdminUsers=0, or run this as root \
             (in a container, with the capability SYS_ADMIN)"
        }
        R::CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED | R::CUPTI_ERROR_HARDWARE_BUSY => {
            "another profiler is at work: end it (Nsight, DCGM, a tracer that CUDA_INJECTION64_PATH names) and measure again"
        }
        _ => "end other profilers, and see that CUPTI is of the driver's CUDA version (pip install nvidia-cuda-cupti)",
    }
}

/// The kernels that `work` launched and finished; `work` has to wait for the device itself. One trace at a time.
///
/// # Errors
/// When CUPTI refuses, or the work fails.
pub(super) fn traced(work: impl FnOnce() -> Result<()>) -> Result<Vec<Kernel>> {
    const KIND: sys::CUpti_ActivityKind = sys::CUpti_ActivityKind::CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
    // SAFETY: the callbacks are functions of this module; the library is present.
    unsafe {
        check(
            "callbacks",
            sys::cuptiActivityRegisterCallbacks(Some(requested), Some(completed)),
        )?;
        check("begin", sys::cuptiActivityEnable(KIND))?;
    }
    if let Ok(mut seen) = SEEN.lock() {
        seen.clear();
    }
    let done = work();
    // SAFETY: as above. Whatever fails, records are no longer made behind this.
    let (flushed, ended) = unsafe { (sys::cuptiActivityFlushAll(1), sys::cuptiActivityDisable(KIND)) };
    done?;
    check("flush", flushed)?;
    check("end", ended)?;
    Ok(SEEN
        .lock()
        .map(|mut seen| std::mem::take(&mut *seen))
        .unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{check, sys};

    #[test]
    fn a_refusal_says_what_to_do() {
        let said = |code| check("begin", code).map_err(|e| e.to_string());
        assert_eq!(said(sys::CUptiResult::CUPTI_SUCCESS), Ok(()));
        let refused = said(sys::CUptiResult::CUPTI_ERROR_INSUFFICIENT_PRIVILEGES).unwrap_err();
        assert!(refused.contains("NVreg_RestrictProfilingToAdminUsers=0"), "{refused}");
        let taken = said(sys::CUptiResult::CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED).unwrap_err();
        assert!(taken.contains("another profiler"), "{taken}");
    }
}
