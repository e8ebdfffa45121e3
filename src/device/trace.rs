//! Activity records from CUPTI: what ran on the GPU, with which shape, for how long, and when the host asked for it.

use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::{Mutex, PoisonError};

use cudarc::cupti::sys;
use serde::{Deserialize, Serialize};

use super::foreign::ForeignCall;
use super::stop::Stop;
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

    /// Whether it is a kernel, and not a copy or a fill.
    pub fn has_grid(&self) -> bool {
        self.blocks() > 0
    }

    /// Threads of a block.
    pub fn threads(&self) -> usize {
        self.block.iter().map(|&b| b as usize).product()
    }
}

/// A kernel, copy or fill that ran on the GPU.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Launch {
    /// What ran. Copies and fills have no grid.
    pub kernel: Kernel,
    /// When the host asked for it: nanoseconds of the system's clock (since 1970), the middle of the call.
    pub called_ns: u64,
}

/// A record of CUPTI's, as far as it is of interest.
#[derive(Debug)]
enum Activity {
    /// Something ran on the GPU.
    Ran { kernel: Kernel, correlation: u32 },
    /// The host called the runtime or the driver, in nanoseconds of CUPTI's clock.
    Called { correlation: u32, middle: u64 },
}

/// Bytes of one of CUPTI's buffers, and their alignment.
const BUFFER: usize = 1 << 20;
const ALIGN: usize = 8;

/// What CUPTI's callbacks have given since the last trace began; they know no other place to put it.
static SEEN: Mutex<Vec<Activity>> = Mutex::new(Vec::new());

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
    // SAFETY: the buffer is ours with `valid` bytes of records.
    unsafe {
        while sys::cuptiActivityGetNextRecord(buffer, valid, &mut record) == sys::CUptiResult::CUPTI_SUCCESS {
            if let (Some(activity), Ok(mut seen)) = (read(record), SEEN.lock()) {
                seen.push(activity);
            }
        }
        if let Some(layout) = layout() {
            std::alloc::dealloc(buffer, layout);
        }
    }
}

/// Records of a kind begin alike in every version since those named here.
unsafe fn read(record: *const sys::CUpti_Activity) -> Option<Activity> {
    use sys::CUpti_ActivityKind as Kind;
    // SAFETY: the caller passes a record; its kind tells what it is.
    unsafe {
        match (*record).kind {
            Kind::CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL => Some(of_kernel(record.cast())),
            Kind::CUPTI_ACTIVITY_KIND_MEMCPY => {
                let r = record.cast::<sys::CUpti_ActivityMemcpy5>().read_unaligned();
                Some(moved("memcpy", r.end.saturating_sub(r.start), r.correlationId))
            }
            Kind::CUPTI_ACTIVITY_KIND_MEMSET => {
                let r = record.cast::<sys::CUpti_ActivityMemset4>().read_unaligned();
                Some(moved("memset", r.end.saturating_sub(r.start), r.correlationId))
            }
            Kind::CUPTI_ACTIVITY_KIND_RUNTIME | Kind::CUPTI_ACTIVITY_KIND_DRIVER => {
                let r = record.cast::<sys::CUpti_ActivityAPI>().read_unaligned();
                Some(Activity::Called {
                    correlation: r.correlationId,
                    middle: r.start.midpoint(r.end),
                })
            }
            _ => None,
        }
    }
}

/// A copy or fill.
fn moved(name: &str, ns: u64, correlation: u32) -> Activity {
    let kernel = Kernel {
        name: name.to_owned(),
        grid: [0; 3],
        block: [0; 3],
        registers: 0,
        shared_bytes: 0,
        ns,
    };
    Activity::Ran { kernel, correlation }
}

unsafe fn of_kernel(record: *const sys::CUpti_ActivityKernel9) -> Activity {
    // SAFETY: the caller passes a kernel record; its name lives as long as the process.
    let r = unsafe { record.read_unaligned() };
    let name = if r.name.is_null() {
        String::new()
    } else {
        // SAFETY: as above.
        unsafe { CStr::from_ptr(r.name) }.to_string_lossy().into_owned()
    };
    let positive = |v: i32| u32::try_from(v).unwrap_or(0);
    let kernel = Kernel {
        name,
        grid: [r.gridX, r.gridY, r.gridZ].map(positive),
        block: [r.blockX, r.blockY, r.blockZ].map(positive),
        registers: u32::from(r.registersPerThread),
        shared_bytes: positive(r.staticSharedMemory) + positive(r.dynamicSharedMemory),
        ns: r.end.saturating_sub(r.start),
    };
    Activity::Ran {
        kernel,
        correlation: r.correlationId,
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

/// What is recorded: what runs on the GPU, and the calls that ask for it.
const KINDS: [sys::CUpti_ActivityKind; 5] = [
    sys::CUpti_ActivityKind::CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL,
    sys::CUpti_ActivityKind::CUPTI_ACTIVITY_KIND_MEMCPY,
    sys::CUpti_ActivityKind::CUPTI_ACTIVITY_KIND_MEMSET,
    sys::CUpti_ActivityKind::CUPTI_ACTIVITY_KIND_RUNTIME,
    sys::CUpti_ActivityKind::CUPTI_ACTIVITY_KIND_DRIVER,
];

/// What `work` had the GPU do, in the order of the records; `work` has to wait for the device itself. One trace at a time.
///
/// # Errors
/// When CUPTI refuses, the work fails, or it is asked to stop.
pub(super) fn traced(stop: &Stop, work: impl FnOnce() -> Result<()>) -> Result<Vec<Launch>> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let call = stop.enter(ForeignCall::Model)?;
    // SAFETY: the callbacks are functions of this module; the library is present.
    unsafe {
        check(
            "callbacks",
            sys::cuptiActivityRegisterCallbacks(Some(requested), Some(completed)),
        )?;
        for kind in KINDS {
            let begun = check("begin", sys::cuptiActivityEnable(kind));
            if begun.is_err() {
                for kind in KINDS {
                    sys::cuptiActivityDisable(kind);
                }
                return begun.map(|()| Vec::new());
            }
        }
    }
    if let Ok(mut seen) = SEEN.lock() {
        seen.clear();
    }
    let offset = clock_offset();
    drop(call);
    let done = work();
    let call = stop.under_way(ForeignCall::Model);
    // SAFETY: as above. Whatever fails, records are no longer made behind this.
    let mut dropped = 0;
    let (flushed, counted, ended) = unsafe {
        let flushed = sys::cuptiActivityFlushAll(1);
        let counted = sys::cuptiActivityGetNumDroppedRecords(std::ptr::null_mut(), 0, &raw mut dropped);
        let ended = KINDS.map(|kind| sys::cuptiActivityDisable(kind));
        (flushed, counted, ended)
    };
    drop(call);
    done?;
    check("flush", flushed)?;
    if counted == sys::CUptiResult::CUPTI_SUCCESS && dropped > 0 {
        return Err(Error::device(format!(
            "CUPTI: {dropped} records were dropped for want of memory"
        )));
    }
    for end in ended {
        check("end", end)?;
    }
    let seen = SEEN
        .lock()
        .map(|mut seen| std::mem::take(&mut *seen))
        .unwrap_or_default();
    Ok(launches(seen, offset?))
}

/// What to add to a time of CUPTI's for the system's clock, nanoseconds: of three pairs of readings, the closest.
fn clock_offset() -> Result<i128> {
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |d| d.as_nanos() as i128)
    };
    let mut best: Option<(i128, i128)> = None;
    for _ in 0..3 {
        let mut own = 0u64;
        let before = now();
        // SAFETY: the function writes one number; the library is present.
        check("clock", unsafe { sys::cuptiGetTimestamp(&raw mut own) })?;
        let after = now();
        let found = (after - before, before.midpoint(after) - i128::from(own));
        best = Some(best.map_or(found, |b| b.min(found)));
    }
    Ok(best.map_or(0, |b| b.1))
}

/// Brings what ran together with the calls that asked for it; what no call is known of has none (0).
fn launches(seen: Vec<Activity>, offset: i128) -> Vec<Launch> {
    let called: HashMap<u32, u64> = seen
        .iter()
        .filter_map(|activity| match activity {
            Activity::Called { correlation, middle } => Some((*correlation, *middle)),
            Activity::Ran { .. } => None,
        })
        .collect();
    let at = |correlation: u32| {
        let own = called.get(&correlation)?;
        u64::try_from(i128::from(*own) + offset).ok()
    };
    let ran = seen.into_iter().filter_map(|activity| match activity {
        Activity::Ran { kernel, correlation } => Some(Launch {
            kernel,
            called_ns: at(correlation).unwrap_or(0),
        }),
        Activity::Called { .. } => None,
    });
    ran.collect()
}

#[cfg(test)]
mod tests {
    use super::{Activity, check, launches, moved, sys};

    #[test]
    fn what_ran_finds_its_call_on_the_system_s_clock() {
        let called = |correlation, middle| Activity::Called { correlation, middle };
        let seen = vec![
            called(7, 100),
            moved("memcpy", 5, 7),
            moved("memset", 6, 9),
            called(8, 200),
        ];
        let found: Vec<(u64, u64)> = launches(seen, 1000)
            .iter()
            .map(|l| (l.kernel.ns, l.called_ns))
            .collect();
        assert_eq!(found, [(5, 1100), (6, 0)]);
    }

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
