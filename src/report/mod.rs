//! Showing what was done: JSON for programs, tables and a page for people.

mod ahead;
mod calibrated;
mod compared;
mod curve;
mod dot;
mod inspected;
mod json;
mod kernel_name;
mod latency_steps;
mod noise;
mod numbers;
mod page;
mod played;
mod provenance;
mod roofline;
mod table;
mod terminal;
mod video;
mod visible;

pub use compared::bench_table;
pub use curve::{pareto_svg, pareto_text};
pub use dot::inspect_dot;
pub use inspected::inspect_text;
pub use json::{inspect_json, outcome_json, profile_json};
pub use latency_steps::latency_steps_text;
pub(crate) use numbers::milliseconds;
pub use page::{About, latency_steps_svg, outcome_html, profile_html, timeline_html};
pub use played::{timeline_json, timeline_text};
pub use provenance::{Written, with_plan, with_provenance};
pub use roofline::roofline_text;
pub(crate) use table::table;
pub use terminal::{Listed, metric_text, outcome_text, task_text};
pub use video::video_text;
pub use visible::visible;
