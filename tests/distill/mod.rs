//! Weights trained by gradients: rules against differences, and models that lose less.

mod convolutions;
mod detections;
mod gated;
mod quantized;
mod rules;
mod stops;
mod teaching;
