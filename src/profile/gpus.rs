//! GPUs by name: what their multiprocessors hold, from NVIDIA's published specifications.

use super::waves::Multiprocessors;

const fn gpu_of(count: usize, threads: usize, blocks: usize, shared_kib: usize) -> Multiprocessors {
    Multiprocessors {
        count,
        threads,
        blocks,
        registers: 65536,
        shared: shared_kib * 1024,
    }
}

/// Those known.
pub const GPUS: &[(&str, Multiprocessors)] = &[
    ("V100", gpu_of(80, 2048, 32, 96)),
    ("T4", gpu_of(40, 1024, 16, 64)),
    ("A100", gpu_of(108, 2048, 32, 164)),
    ("A30", gpu_of(56, 2048, 32, 164)),
    ("A10", gpu_of(72, 1536, 16, 100)),
    ("RTX3090", gpu_of(82, 1536, 16, 100)),
    ("Orin", gpu_of(16, 1536, 16, 164)),
    ("L4", gpu_of(58, 1536, 24, 100)),
    ("L40S", gpu_of(142, 1536, 24, 100)),
    ("RTX4090", gpu_of(128, 1536, 24, 100)),
    ("H100", gpu_of(132, 2048, 32, 228)),
    ("H100-PCIe", gpu_of(114, 2048, 32, 228)),
    ("H200", gpu_of(132, 2048, 32, 228)),
];

/// A GPU by its name, whatever its case.
pub fn gpu(name: &str) -> Option<(&'static str, Multiprocessors)> {
    GPUS.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).copied()
}
