//! Showing what was done: JSON for programs, tables and a page for people.

mod curve;
mod dot;
mod json;
mod noise;
mod numbers;
mod page;
mod provenance;
mod staircase;
mod terminal;

pub use curve::{pareto_svg, pareto_text};
pub use dot::inspect_dot;
pub use json::{inspect_json, outcome_json};
pub(crate) use numbers::milliseconds;
pub use page::{About, outcome_html, profile_html, staircase_svg};
pub use provenance::{Written, with_provenance};
pub use staircase::staircase_text;
pub(crate) use terminal::table;
pub use terminal::{bench_table, inspect_text, outcome_text, task_text};
