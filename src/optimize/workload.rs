//! What a job is given: workloads, and what is known of the device.

use std::collections::HashSet;

use super::opened::Opened;
use crate::channels::Group;
use crate::profile::{Database, ProbeHelpers, Problem, Profile};
use crate::verify::Loaded;
use crate::{Error, Result};

/// A model at one set of input shapes, and how much of the traffic that is.
#[derive(Debug)]
pub struct Workload {
    /// The model, opened at these shapes.
    pub opened: Opened,
    /// Its share.
    pub weight: f64,
}

/// What is known of a device before anything is timed.
#[derive(Default)]
pub struct Known {
    /// The latency database, which new times go to.
    pub database: Option<Database>,
    /// Times recorded earlier.
    pub recorded: Option<Profile>,
    /// Problems that need not be timed: no choice that uses them is likely to be faster.
    pub pruned: HashSet<Problem>,
    /// Models that the device has loaded.
    pub loaded: Loaded,
    /// Who measures problems in place of this process.
    pub helpers: Option<Box<dyn ProbeHelpers>>,
}

/// The first workload, whose groups all others share.
///
/// # Errors
/// When there is none, or when channels depend on each other in another way at other shapes.
pub(super) fn first(workloads: &[Workload]) -> Result<&Workload> {
    let first = workloads
        .first()
        .ok_or_else(|| Error::Usage("no input shapes are given".to_owned()))?;
    let alike = |a: &Group, b: &Group| {
        let shape = |g: &Group| (g.classes.len(), g.unit, g.constraint.is_none(), g.can_grow());
        shape(a) == shape(b) && a.producers == b.producers && a.consumers == b.consumers
    };
    let same = |w: &Workload| {
        let (own, other) = (&w.opened.analysis.groups, &first.opened.analysis.groups);
        own.len() == other.len() && own.iter().zip(other).all(|(a, b)| alike(a, b))
    };
    if !workloads.iter().all(same) {
        return Err(Error::Model(
            "the channels hang together in other ways at the other shapes; optimize for one of them at a time"
                .to_owned(),
        ));
    }
    Ok(first)
}
