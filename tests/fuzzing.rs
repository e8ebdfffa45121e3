//! The fuzz targets, without a fuzzer: every stored input, and changes of them drawn with a fixed seed.
//!
//! `SNAPPRUNE_FUZZ_SECONDS=60 cargo test --release --test fuzzing` changes for a minute a target.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;
use std::time::{Duration, Instant};

/// Inputs that are run beyond the stored ones.
const CHANGED: usize = 2000;

/// Runs one target on its stored inputs and on changes of them. Each is a test of its own, so that they run side by side.
fn refused_or_handled(name: &str) {
    let seconds = std::env::var("SNAPPRUNE_FUZZ_SECONDS")
        .ok()
        .and_then(|s| s.parse().ok());
    let (_, target) = targets::TARGETS.iter().find(|(n, _)| *n == name).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let stored: Vec<Vec<u8>> = files.iter().map(|f| std::fs::read(f).unwrap()).collect();
    assert!(stored.len() >= 3, "{name} has no stored inputs");
    let run = |bytes: &[u8], what: &str| {
        let began = computed();
        let done = std::panic::catch_unwind(|| target(bytes));
        assert!(done.is_ok(), "{name}: {what} breaks a promise: {bytes:?}");
        assert!(
            computed() - began < Duration::from_secs(10),
            "{name}: {what} takes too long"
        );
    };
    for (file, bytes) in files.iter().zip(&stored) {
        run(bytes, &file.display().to_string());
    }
    let mut random = fastrand::Rng::with_seed(9);
    let began = Instant::now();
    for k in 0.. {
        let over = seconds.map_or(k >= CHANGED, |s: u64| began.elapsed().as_secs() >= s);
        if over {
            break;
        }
        run(&changed(&stored, &mut random), &format!("change {k}"));
    }
}

macro_rules! tests {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            refused_or_handled(stringify!($name));
        })*

        #[test]
        fn every_target_has_a_test() {
            assert_eq!(targets::TARGETS.map(|(name, _)| name), [$(stringify!($name)),*]);
        }
    };
}

tests!(load, inspect, apply, npz, db_import);

/// What this thread has had of a core until now, whatever else that did.
fn computed() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    // utime and stime, hundredths of a second (proc_pid_stat(5)); names of programs may hold anything, up to the last bracket.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: u64 = fields.skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}

/// One of the inputs with some bytes set, left out, repeated, or taken from another.
fn changed(stored: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = stored[random.usize(..stored.len())].clone();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=bytes.len());
        let length = random.usize(..=(bytes.len() - at).min(32));
        match random.u8(..5) {
            0 if at < bytes.len() => bytes[at] = random.u8(..),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            2 => drop(bytes.drain(at..at + length)),
            3 => {
                let part = bytes[at..at + length].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let other = &stored[random.usize(..stored.len())];
                let from = random.usize(..=other.len());
                let to = from + random.usize(..=(other.len() - from).min(32));
                bytes.splice(at..at + length, other[from..to].iter().copied());
            }
        }
    }
    bytes
}
