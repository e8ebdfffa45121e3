//! How a long computation is watched.

use crate::device::Limit;

/// How long a computation may go on, and who is told how far it is.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Until when.
    pub limit: &'a Limit,
    /// Given how much of how much is done.
    pub progress: &'a dyn Fn(usize, usize),
}
