//! Waves: how many rounds of thread blocks a GPU needs for a kernel, and how full the last one is.

use serde::{Deserialize, Serialize};

use crate::device::{DeviceInfo, Kernel};

/// What one multiprocessor can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multiprocessors {
    /// How many there are.
    pub count: usize,
    /// Threads that one holds.
    pub threads: usize,
    /// Blocks that one holds.
    pub blocks: usize,
    /// Registers (32 bit) that one has.
    pub registers: usize,
    /// Shared memory that one has, bytes.
    pub shared: usize,
}

/// Shared memory that CUDA keeps for itself in every block (compute capability 8.0 and later), bytes.
const RESERVED_SHARED: usize = 1024;
/// Registers are given to warps in portions of this many.
const REGISTER_PORTION: usize = 256;
/// Threads of a warp.
const WARP: usize = 32;

impl Multiprocessors {
    /// From a device's facts; `None` for what is no CUDA device.
    pub fn of(device: &DeviceInfo) -> Option<Self> {
        let fact = |name: &str| device.facts.get(name)?.parse().ok();
        Some(Self {
            count: fact("multiprocessors")?,
            threads: fact("threads_per_multiprocessor")?,
            blocks: fact("blocks_per_multiprocessor")?,
            registers: fact("registers_per_multiprocessor")?,
            shared: fact("shared_memory_per_multiprocessor")?,
        })
    }

    /// Blocks of a kernel that one multiprocessor holds at a time: the least of what its threads, registers
    /// and shared memory allow (CUDA's occupancy rule). At least 1, as the kernel did run.
    pub fn resident(&self, kernel: &Kernel) -> usize {
        let threads = kernel.threads().max(1);
        let warps = threads.div_ceil(WARP);
        let warp_registers = (kernel.registers as usize * WARP).next_multiple_of(REGISTER_PORTION);
        let shared = kernel.shared_bytes as usize + RESERVED_SHARED;
        let by_registers = self.registers.checked_div(warp_registers * warps).unwrap_or(usize::MAX);
        [self.blocks, self.threads / threads, by_registers, self.shared / shared]
            .into_iter()
            .min()
            .unwrap_or(1)
            .max(1)
    }
}

/// How a kernel fills a device.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Waves {
    /// Blocks in the grid.
    pub blocks: usize,
    /// Blocks that one multiprocessor holds.
    pub resident: usize,
    /// Threads resident over threads possible.
    pub occupancy: f64,
    /// Rounds: blocks over what the device holds, rounded up.
    pub waves: usize,
    /// Blocks over what the rounds could hold.
    pub tail_use: f64,
}

impl Waves {
    /// How much of the last round is used.
    pub fn last_use(&self) -> f64 {
        self.tail_use * self.waves as f64 - (self.waves as f64 - 1.0)
    }
}

/// The waves of a kernel: waves = ⌈blocks / (multiprocessors · resident)⌉, tail use = blocks / (waves · capacity).
pub fn waves(kernel: &Kernel, device: &Multiprocessors) -> Waves {
    let blocks = kernel.blocks().max(1);
    let resident = device.resident(kernel);
    let capacity = (device.count * resident).max(1);
    let waves = blocks.div_ceil(capacity);
    Waves {
        blocks,
        resident,
        occupancy: (resident * kernel.threads()) as f64 / device.threads.max(1) as f64,
        waves,
        tail_use: blocks as f64 / (waves * capacity) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::{Multiprocessors, waves};
    use crate::device::Kernel;

    const H200: Multiprocessors = Multiprocessors {
        count: 132,
        threads: 2048,
        blocks: 32,
        registers: 65536,
        shared: 233_472,
    };

    fn kernel(grid: u32, threads: u32, registers: u32, shared_bytes: u32) -> Kernel {
        Kernel {
            name: "k".to_owned(),
            grid: [grid, 1, 1],
            block: [threads, 1, 1],
            registers,
            shared_bytes,
            ns: 1000,
        }
    }

    #[test]
    fn each_limit_binds_in_turn() {
        assert_eq!(H200.resident(&kernel(1, 1024, 16, 0)), 2, "threads");
        assert_eq!(H200.resident(&kernel(1, 128, 255, 0)), 2, "registers");
        assert_eq!(H200.resident(&kernel(1, 32, 16, 0)), 32, "blocks");
        assert_eq!(H200.resident(&kernel(1, 256, 64, 100 * 1024)), 2, "shared memory");
        assert_eq!(H200.resident(&kernel(1, 384, 168, 200 * 1024)), 1);
    }

    #[test]
    fn one_block_past_a_wave_costs_a_whole_one() {
        let full = waves(&kernel(264, 128, 255, 0), &H200);
        assert_eq!((full.waves, full.tail_use), (1, 1.0));
        let past = waves(&kernel(265, 128, 255, 0), &H200);
        assert_eq!(past.waves, 2);
        assert!((past.tail_use - 265.0 / 528.0).abs() < 1e-9);
        assert!((past.occupancy - 0.125).abs() < 1e-9);
    }
}
