//! Which problems are timed in one session.

use crate::device::{NodeClock, Timer};
use crate::profile::problem::{Problem, ProducerLayout};

/// What goes into one session.
#[derive(Clone, Copy, Debug)]
pub struct SessionSize {
    /// Problems.
    problems: usize,
    /// Values of its tensors.
    values: f64,
    /// Whether problems must share an input where they read the model's.
    shared_input: bool,
}

impl Default for SessionSize {
    /// For a processor: some 256 MiB of float32.
    fn default() -> Self {
        Self {
            problems: 12,
            values: 64e6,
            shared_input: true,
        }
    }
}

impl SessionSize {
    /// For a timer. Where layers stand side by side, up to a quarter of the device's memory is taken (`memory_bytes`; float32).
    pub fn of(timer: &dyn Timer, memory_bytes: Option<f64>) -> Self {
        match timer.node_clock() {
            NodeClock::Host => Self::default(),
            NodeClock::Device => Self {
                problems: 24,
                values: (memory_bytes.unwrap_or(0.0) / 16.0).max(64e6),
                shared_input: false,
            },
        }
    }
}

/// The sessions that problems are timed in: those of one space and batch go together, and sessions stay small.
pub fn sessions(mut problems: Vec<Problem>, size: SessionSize) -> Vec<Vec<Problem>> {
    problems.sort_by(|a, b| {
        let shape = |p: &Problem| {
            (
                p.dtype.clone(),
                p.batch,
                p.space.clone(),
                p.kernel.clone(),
                p.producer_layout == ProducerLayout::Input,
            )
        };
        shape(a).cmp(&shape(b)).then_with(|| a.key().cmp(&b.key()))
    });
    let mut out: Vec<Vec<Problem>> = Vec::new();
    let mut room = 0.0;
    for problem in problems {
        let places: usize = problem.space.iter().product();
        let values = (problem.batch * places * (2 * problem.cin + problem.cout)) as f64;
        let together = out.last().is_some_and(|b: &Vec<Problem>| {
            b.len() < size.problems
                && room >= values
                && b[0].space == problem.space
                && b[0].batch == problem.batch
                && b[0].dtype == problem.dtype
                && match (b[0].producer_layout, problem.producer_layout) {
                    _ if !size.shared_input => true,
                    (ProducerLayout::Input, ProducerLayout::Input) => b[0].cin == problem.cin,
                    (ProducerLayout::Input, _) | (_, ProducerLayout::Input) => false,
                    _ => true,
                }
        });
        match out.last_mut() {
            Some(batch) if together => {
                room -= values;
                batch.push(problem);
            }
            _ => {
                room = size.values - values;
                out.push(vec![problem]);
            }
        }
    }
    out
}
