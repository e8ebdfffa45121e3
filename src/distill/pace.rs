//! How many steps fit into a time.

use std::time::{Duration, Instant};

/// Steps that a device may choose its kernels in.
const FIRST: usize = 3;
/// Steps that tell how long one takes; twice as many tell it anew, and so on.
const TIMED: usize = 6;

/// Steps against time.
pub(super) struct Pace {
    started: Instant,
    at_most: Duration,
    /// Steps that were made, and the most there may be.
    pub made: usize,
    most: usize,
    /// When it is told anew how long a step takes, and since when and which step that is timed.
    next: usize,
    since: usize,
    marked: Instant,
}

impl Pace {
    /// Up to `most` steps in `at_most`.
    pub fn new(most: usize, at_most: Duration) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            at_most,
            made: 0,
            most,
            next: FIRST + TIMED,
            since: 0,
            marked: now,
        }
    }

    /// One step was made. How many there will be in all, where that is told now.
    pub fn step(&mut self) -> Option<usize> {
        self.made += 1;
        if self.made == FIRST && self.next == FIRST + TIMED {
            self.mark();
        }
        let early = self.next == FIRST + TIMED || self.started.elapsed() < self.at_most / 2;
        if self.made < self.next || !early {
            return None;
        }
        let each = self.marked.elapsed() / (self.made - self.since).max(1) as u32;
        let left = self.at_most.saturating_sub(self.started.elapsed());
        self.next = 2 * self.made;
        self.mark();
        Some(self.made.saturating_add(fitting(left, each)).min(self.most))
    }

    /// Whether how long a step takes is known.
    pub fn is_known(&self) -> bool {
        self.at_most == Duration::MAX || self.made >= FIRST + TIMED
    }

    /// What was no step took the time since the last one, so that it tells nothing of steps.
    pub fn mark(&mut self) {
        (self.since, self.marked) = (self.made, Instant::now());
    }

    /// Whether a quarter more than the time is over.
    pub fn is_late(&self) -> bool {
        self.made >= FIRST && self.started.elapsed() > self.at_most.saturating_add(self.at_most / 4)
    }
}

/// How many steps that take `each` fit into a time.
fn fitting(time: Duration, each: Duration) -> usize {
    usize::try_from(time.as_nanos() / each.as_nanos().max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Pace, fitting};

    #[test]
    fn as_many_steps_as_fit() {
        let ms = Duration::from_millis;
        assert_eq!((fitting(ms(1000), ms(30)), fitting(ms(10), ms(30))), (33, 0));
        assert_eq!(fitting(Duration::MAX, Duration::ZERO), usize::MAX);
    }

    #[test]
    fn steps_are_counted_anew_at_twice_as_many() {
        let mut pace = Pace::new(1000, Duration::MAX);
        let told: Vec<usize> = (1..=40).filter(|_| pace.step().is_some()).collect();
        assert_eq!(told, [9, 18, 36]);
        let mut slow = Pace::new(1000, Duration::ZERO);
        assert_eq!((1..=9).find_map(|_| slow.step()), Some(9));
        assert!(slow.is_late() && slow.is_known());
    }
}
