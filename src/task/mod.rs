//! What models are for: which task a model's outputs serve, what they say there, and how good that is.
//!
//! Answers are compared with labels, or with those of another model (as [`Truth`]).

mod alphabet;
mod answers;
mod apart;
mod best_class;
mod bootstrap;
mod detect;
mod embed;
mod ends;
mod kind;
mod output_values;
mod reading;
mod recognize;
mod segment;
mod sequence;
mod truth;

pub use alphabet::{Alphabet, Letters};
pub use answers::{Answer, Compared, Number, Truth};
pub use apart::found_by_both;
pub use best_class::best_class;
pub use bootstrap::bootstrap;
pub use detect::{Boxes, Counts, DetectLayout, Detection, LayoutKind, Matches, MeanPrecision, Rect, Rows, TrueBox};
pub use ends::{OutputEnd, ends_of};
pub use kind::TaskKind;
pub use output_values::OutputValues;
pub use reading::{How, Reading};
pub use recognize::{Evidence, image_of, recognize};
pub use segment::MapCounts;
pub use sequence::{edit_distance, greedy};
pub use truth::unfit;

#[cfg(test)]
pub(crate) mod draws;
#[cfg(test)]
mod tests;
