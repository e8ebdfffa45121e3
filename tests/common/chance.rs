//! Chance that can be had again: what a test draws hangs on one number, which is printed.

/// The number that draws hang on: `SNAPPRUNE_SEED`, or another one every time. A test that fails shows it.
pub fn seed() -> u64 {
    let set = std::env::var("SNAPPRUNE_SEED")
        .ok()
        .map(|s| s.parse().expect("SNAPPRUNE_SEED is a number"));
    let seed = set.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("drawn with SNAPPRUNE_SEED={seed}");
    seed
}
