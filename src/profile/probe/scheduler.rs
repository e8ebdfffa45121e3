//! Which problems are timed in one session.

use crate::device::{NodeClock, Timer, cores};
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
    /// Sessions that are loaded together: so many, and as many times the values of one.
    together: usize,
    times: f64,
}

/// Layers that stand side by side: fewer are not worth a session, and a session's layers are searched for one after the other.
const LEAST: usize = 4;
const MOST: usize = 12;

impl Default for SessionSize {
    /// For a processor: some 256 MiB of float32.
    fn default() -> Self {
        Self {
            problems: 12,
            values: 64e6,
            shared_input: true,
            together: 1,
            times: 1.0,
        }
    }
}

impl SessionSize {
    /// For a timer. Where layers stand side by side, up to a quarter of the device's memory is taken (`memory_bytes`; float32) by one of
    /// the sessions that `problems` are shared between, and half of it by those that are loaded together.
    pub fn of(timer: &dyn Timer, memory_bytes: Option<f64>, problems: usize) -> Self {
        let cores = cores();
        match timer.node_clock() {
            NodeClock::Host => Self::default(),
            NodeClock::Device => Self {
                problems: problems.div_ceil(cores).clamp(LEAST, MOST),
                values: (memory_bytes.unwrap_or(0.0) / 16.0).max(64e6),
                shared_input: false,
                together: cores,
                times: 2.0,
            },
        }
    }
}

/// Sessions in groups that are loaded together.
pub fn together(sessions: Vec<Vec<Problem>>, size: SessionSize) -> Vec<Vec<Vec<Problem>>> {
    let mut out: Vec<Vec<Vec<Problem>>> = Vec::new();
    let mut room = 0.0;
    for session in sessions {
        let needs: f64 = session.iter().map(values).sum();
        match out.last_mut() {
            Some(group) if group.len() < size.together && room >= needs => {
                room -= needs;
                group.push(session);
            }
            _ => {
                room = size.times * size.values - needs;
                out.push(vec![session]);
            }
        }
    }
    out
}

/// Values of a problem's tensors.
fn values(problem: &Problem) -> f64 {
    let places: usize = problem.space.iter().product();
    (problem.batch * places * (2 * problem.cin + problem.cout)) as f64
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
        let values = values(&problem);
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

#[cfg(test)]
mod tests {
    use super::{Problem, SessionSize, together, values};

    #[test]
    fn sessions_are_loaded_together_as_far_as_there_is_room() {
        let session = |cout| vec![Problem::plain(16, cout, 8)];
        let sessions = vec![session(16), session(16), session(16), session(512), session(16)];
        let size = SessionSize {
            values: 1.5 * values(&sessions[0][0]),
            times: 2.0,
            together: 2,
            ..SessionSize::default()
        };
        let groups = together(sessions.clone(), size);
        assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 1]);
        assert_eq!(groups.concat(), sessions);
        assert!(together(sessions, SessionSize::default()).iter().all(|g| g.len() == 1));
    }
}
