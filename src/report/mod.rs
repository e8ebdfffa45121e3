//! Showing what was done: JSON for programs, tables for people.

mod json;
mod provenance;
mod terminal;

pub use json::{inspect_json, outcome_json};
pub use provenance::with_provenance;
pub use terminal::{bench_table, inspect_text, outcome_text};
