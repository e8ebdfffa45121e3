//! All weights of a narrower model together: gradient steps on the calibration samples, with the original as the teacher (knowledge
//! distillation: Hinton et al., 2015, at the temperature at which outputs are compared; Adam: Kingma and Ba, 2015).
//!
//! The narrower model runs as it is, with its weights as inputs. A second graph of standard operators makes the gradients of the values of the
//! first, so that both run on the device like any other model.

mod adam;
mod backward;
mod batches;
mod choice;
mod codes;
mod course;
mod ends;
mod gradients;
mod loss;
mod open_batch;
mod pace;
mod rate;
mod rules;
mod seen;
mod steps;
mod tape;
mod teaching;
mod training;
mod unseen_views;
mod views;

pub use choice::Judged;
pub use ends::Trainable;
pub use gradients::{Gradients, Stopped};
pub use open_batch::open_batch;
pub use steps::{Distilled, distill};
pub use teaching::{Schedule, Teaching, samples_of_a_step};
