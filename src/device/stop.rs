//! Stopping a long job: from outside, or because its time is up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::foreign::{ForeignCall, ForeignCalls};
use crate::{Error, Result};

/// A wish to stop, seen wherever a model is loaded or run. Clones share it, and with it the calls into libraries that are under way:
/// these see no wish.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    requested: AtomicBool,
    calls: Mutex<ForeignCalls>,
}

/// A call into a library, under way until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct UnderWay {
    stop: Stop,
    number: u64,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.stop.calls().end(self.number);
    }
}

impl Stop {
    /// Asks for it.
    pub fn request(&self) {
        self.0.requested.store(true, Ordering::Relaxed);
        self.calls().asked(Instant::now());
    }

    /// Whether it was asked for.
    pub fn requested(&self) -> bool {
        self.0.requested.load(Ordering::Relaxed)
    }

    /// Goes on into a library, unless it was asked to stop. Until what this gives is dropped, the call is known to be under way.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn enter(&self, call: ForeignCall) -> Result<UnderWay> {
        self.check()?;
        Ok(self.under_way(call))
    }

    /// The same for what has to be done whether or not it was asked to stop.
    pub(super) fn under_way(&self, call: ForeignCall) -> UnderWay {
        UnderWay {
            number: self.calls().begin(call, Instant::now()),
            stop: self.clone(),
        }
    }

    /// Tells how much time there is from now on, for calls that never end.
    pub fn allow(&self, time: Duration) {
        self.calls().allow(time, Instant::now());
    }

    /// What comes of a call into a library that is not answered, if there is one: whoever waits for the job's end should leave it behind
    /// then. [`Error::Stopped`] where a wish to stop waits for it, else
    /// [`DeviceError::NoAnswer`](crate::error::DeviceError::NoAnswer).
    pub fn unanswered(&self) -> Option<Error> {
        self.calls().unanswered(Instant::now())
    }

    fn calls(&self) -> MutexGuard<'_, ForeignCalls> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on unless it was asked for.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn check(&self) -> Result<()> {
        if self.requested() { Err(Error::Stopped) } else { Ok(()) }
    }
}

/// How long a step may go on: until it is asked to stop, or until a moment. Long computations look at it again and again,
/// and end early with what they have.
#[derive(Clone, Debug, Default)]
pub struct Limit {
    stop: Stop,
    end: Option<Instant>,
}

impl Limit {
    /// Ended by `stop`, and at `end` where there is one. `Limit::default()` never ends.
    pub fn new(stop: Stop, end: Option<Instant>) -> Self {
        Self { stop, end }
    }

    /// The wish to stop that ends it too.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// The moment at which the time is up, if there is one.
    pub fn end(&self) -> Option<Instant> {
        self.end
    }

    /// The same, with at least so long from now on.
    #[must_use]
    pub fn at_least(&self, least: Duration) -> Self {
        let end = self.end.map(|end| end.max(Instant::now() + least));
        Self { end, ..self.clone() }
    }

    /// Whether the time is up.
    pub fn is_up(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// Whether to end now: the time is up, or it was asked for.
    pub fn ended(&self) -> bool {
        self.stop.requested() || self.is_up()
    }

    /// Goes on unless it was asked to stop. That the time is up is no error.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn check(&self) -> Result<()> {
        self.stop.check()
    }

    /// What is left of the time: `most`, or less where the moment is nearer.
    pub fn at_most(&self, most: Duration) -> Duration {
        self.end
            .map_or(most, |end| end.saturating_duration_since(Instant::now()).min(most))
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, ForeignCall, Instant, Limit, Stop};

    #[test]
    fn what_has_to_be_done_is_known_to_be_under_way_after_a_wish_to_stop() {
        let stop = Stop::default();
        stop.request();
        assert!(stop.enter(ForeignCall::Model).is_err());
        let call = stop.under_way(ForeignCall::Model);
        let later = Instant::now() + Duration::from_secs(60);
        assert!(stop.calls().unanswered(later).is_some());
        drop(call);
        assert!(stop.calls().unanswered(later).is_none());
    }

    #[test]
    fn a_limit_ends_when_asked_to_or_when_its_time_is_up() {
        let never = Limit::default();
        assert!(!never.ended() && never.check().is_ok());
        let second = Duration::from_secs(1);
        assert_eq!(never.at_most(second), second);
        let past = Limit::new(Stop::default(), Some(Instant::now()));
        assert!(past.is_up() && past.ended() && past.check().is_ok());
        assert_eq!(past.at_most(second), Duration::ZERO);
        let stop = Stop::default();
        let asked = Limit::new(stop.clone(), None);
        stop.request();
        assert!(asked.ended() && !asked.is_up() && asked.check().is_err());
    }
}
