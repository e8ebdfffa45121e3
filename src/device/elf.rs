//! Whether a file is a shared library for this processor, and whole: the system's loader takes the process down with one that is
//! cut short.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Where the fields of a 64-bit ELF header are, and of its program headers (System V ABI).
const MACHINE: usize = 18;
const PROGRAMS_AT: usize = 32;
const PROGRAM_SIZE: usize = 54;
const PROGRAM_COUNT: usize = 56;
const HEADER: usize = 64;
const PROGRAM: usize = 56;
const LOAD: u32 = 1;

/// What is wrong with a library, as far as its headers tell; `None` where they do not.
pub(super) fn fault(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut head = Vec::new();
    file.by_ref().take(64 << 10).read_to_end(&mut head).ok()?;
    if head.len() < HEADER || !head.starts_with(b"\x7fELF\x02\x01") {
        return cfg!(target_os = "linux").then(|| "it is no shared library".to_owned());
    }
    let short = |at: usize| {
        head.get(at..at + 2)
            .and_then(|b| b.try_into().ok())
            .map_or(0, u16::from_le_bytes)
    };
    let long = |at: usize| {
        head.get(at..at + 8)
            .and_then(|b| b.try_into().ok())
            .map_or(0, u64::from_le_bytes)
    };
    let own = match std::env::consts::ARCH {
        "x86_64" => 62,
        "aarch64" => 183,
        "riscv64" => 243,
        _ => short(MACHINE),
    };
    if short(MACHINE) != own {
        return Some(format!(
            "it is for another processor than this one ({})",
            std::env::consts::ARCH
        ));
    }
    let programs = usize::try_from(long(PROGRAMS_AT)).ok()?;
    let ends = (0..usize::from(short(PROGRAM_COUNT))).filter_map(|k| {
        let at = programs.checked_add(k * usize::from(short(PROGRAM_SIZE)).max(PROGRAM))?;
        let kind = head
            .get(at..at + 4)
            .and_then(|b| b.try_into().ok())
            .map(u32::from_le_bytes)?;
        (kind == LOAD).then(|| long(at + 8).saturating_add(long(at + 32)))
    });
    let needed = ends.max().unwrap_or(0);
    (needed > length).then(|| format!("it is cut short: {length} bytes of at least {needed}"))
}
