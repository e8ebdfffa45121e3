//! Is it true: the outputs of the rewritten model against the original's, and their latencies side by side.

mod interval;
mod outputs;
mod pairs;
mod race;
mod task;

pub use interval::Interval;
pub use outputs::{Agreement, compare};
pub use pairs::{Pair, Tolerance, Tried, pairs};
pub use race::{Lane, Verdict, race, race_loads};
pub use task::{Classes, Task, classes, compare_task, task_of};
