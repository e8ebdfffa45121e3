//! Which problems are timed in one session.

use crate::profile::problem::{Problem, ProducerLayout};

/// Problems in one session.
const CHAINS: usize = 12;
/// Values of one session's tensors (about 256 MiB of float32).
const SESSION_VALUES: f64 = 64e6;

/// The sessions that problems are timed in: those of one space and batch go together, and sessions stay small.
pub fn sessions(mut problems: Vec<Problem>) -> Vec<Vec<Problem>> {
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
            b.len() < CHAINS
                && room >= values
                && b[0].space == problem.space
                && b[0].batch == problem.batch
                && b[0].dtype == problem.dtype
                && match (b[0].producer_layout, problem.producer_layout) {
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
                room = SESSION_VALUES - values;
                out.push(vec![problem]);
            }
        }
    }
    out
}
