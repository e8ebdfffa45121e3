//! Showing what was done: JSON for programs, tables for people.

mod curve;
mod dot;
mod json;
mod provenance;
mod staircase;
mod terminal;

pub use curve::{pareto_svg, pareto_text};
pub use dot::inspect_dot;
pub use json::{inspect_json, outcome_json};
pub use provenance::{Written, with_provenance};
pub use staircase::staircase_text;
pub use terminal::{bench_table, inspect_text, outcome_text, task_text};
