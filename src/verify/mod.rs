//! Is it true: the outputs of the rewritten model against the original's, and their latencies side by side.

mod benchmark;
mod classes;
mod compared;
mod entry;
mod interval;
mod loaded;
mod metric;
mod outputs;
mod pairs;
mod race;
mod shown;
mod task;

pub(crate) use benchmark::{CLEAR, differ};
pub use benchmark::{Effort, benchmark, benchmark_beside, benchmark_workloads};
pub use classes::{Classes, classes};
pub use compared::{ComparedTask, compare_task};
pub use entry::{Entry, Verdict};
pub use interval::Interval;
pub use loaded::Loaded;
pub use metric::{MetricJudge, MetricScores, PythonMetric, ScoreRequest, UserMetric};
pub use outputs::{Agreement, compare, compare_loaded};
pub use pairs::{Pair, Tolerance, Tried, pairs};
pub use race::race;
pub use shown::{MOST_SHOWN, Shown, shown};
pub use task::{Answers, Certainty, Task, TaskNumber, answers, task_of};
