//! Is it true: the outputs of the rewritten model against the original's, and their latencies side by side.

mod outputs;
mod race;

pub use outputs::{Agreement, compare};
pub use race::{Lane, Verdict, race, race_loads};
