//! Detectors: what their outputs hold, boxes from them, and how good those are.

mod average_precision;
mod boxes;
mod columns;
mod counts;
mod dense;
mod found;
mod grid;
mod layout;
mod nms;
mod recognize;
mod several;

pub use average_precision::{Matches, MeanPrecision};
pub use boxes::{Detection, Rect, TrueBox};
pub use columns::Given;
pub use counts::Counts;
pub use dense::Rows;
pub use layout::{Boxes, DetectLayout, LayoutKind};
pub use recognize::recognize;

#[cfg(test)]
mod tests;
