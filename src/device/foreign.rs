//! Calls into libraries that are not ours: which are under way, and since when. One that never answers cannot be ended, only left behind.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::DeviceError;
use crate::{Error, Result};

/// What a library is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForeignCall {
    /// A plug-in is loaded and asked for its devices, which takes this long at most.
    Loading {
        /// The plug-in's library.
        library: PathBuf,
        /// How long it may take.
        patience: Duration,
    },
    /// A model is compiled or run, a GPU is opened, or its libraries compute. That may take long on a machine that is well: only a wish to
    /// stop, or the end of the time, bounds it.
    Model,
}

/// How long a plug-in may take to load and to tell its devices, unless the caller says otherwise.
pub const PLUGIN_PATIENCE: Duration = Duration::from_secs(60);

/// How long a call may still take when the time is up, if the whole time was not longer.
const OVERTIME: Duration = Duration::from_secs(60);

/// How long a call may still take after a wish to stop.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The time that a job has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Allowed {
    end: Instant,
    whole: Duration,
}

/// Tells whether a thread has ended.
type Ended = Box<dyn Fn() -> bool + Send>;

/// Threads that were left behind in libraries.
struct Left(Mutex<Vec<Ended>>);

impl Left {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn add<T: Send + 'static>(&self, thread: JoinHandle<T>) {
        let ended = Box::new(move || thread.is_finished());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(ended);
    }

    /// Whether one of them has not come back yet. Those that have are forgotten.
    fn any(&self) -> bool {
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|ended| !ended());
        !threads.is_empty()
    }
}

static LEFT: Left = Left::new();

/// Leaves a thread of this process behind in a library: it may hold locks that ONNX Runtime or the system's loader wants, and
/// takes time from whatever else is timed. Until it comes back, no job begins in this process.
pub fn leave_behind<T: Send + 'static>(thread: JoinHandle<T>) {
    LEFT.add(thread);
}

/// Goes on unless a thread that was left behind has not come back.
///
/// # Errors
/// [`DeviceError::LeftBehind`].
pub fn check_left_behind() -> Result<()> {
    match LEFT.any() {
        true => Err(Error::Device(DeviceError::LeftBehind)),
        false => Ok(()),
    }
}

/// Which calls are under way, and what bounds them.
#[derive(Debug, Default)]
pub(super) struct ForeignCalls {
    under_way: Vec<(u64, ForeignCall, Instant)>,
    last: u64,
    /// When it was asked to stop.
    asked: Option<Instant>,
    allowed: Option<Allowed>,
}

impl ForeignCalls {
    /// A call begins; its number.
    pub(super) fn begin(&mut self, call: ForeignCall, now: Instant) -> u64 {
        self.last += 1;
        self.under_way.push((self.last, call, now));
        self.last
    }

    /// A call was answered.
    pub(super) fn end(&mut self, number: u64) {
        self.under_way.retain(|(n, _, _)| *n != number);
    }

    /// It is asked to stop; the first time counts.
    pub(super) fn asked(&mut self, now: Instant) {
        self.asked.get_or_insert(now);
    }

    /// From `now` on there is so much time.
    pub(super) fn allow(&mut self, whole: Duration, now: Instant) {
        self.allowed = now.checked_add(whole).map(|end| Allowed { end, whole });
    }

    /// What comes of a call that was not answered for too long: [`Error::Stopped`] where a wish to stop waits for it, else
    /// [`DeviceError::NoAnswer`].
    pub(super) fn unanswered(&self, now: Instant) -> Option<Error> {
        self.under_way.iter().find_map(|(_, call, since)| {
            let waited = now.saturating_duration_since(*since);
            if self
                .asked
                .is_some_and(|at| now.saturating_duration_since(at) >= LAST_WORDS)
            {
                return Some(Error::Stopped);
            }
            let library = match call {
                ForeignCall::Loading { library, patience } if waited >= *patience => Some(library.clone()),
                _ => None,
            };
            let over = self
                .allowed
                .is_some_and(|a| now.saturating_duration_since(a.end.max(*since)) >= a.whole.max(OVERTIME));
            let seconds = waited.as_secs_f64().round() as u64;
            (library.is_some() || over).then_some(Error::Device(DeviceError::NoAnswer { library, seconds }))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::{Duration, Error, ForeignCall, ForeignCalls, Instant, LAST_WORDS, Left, OVERTIME, PLUGIN_PATIENCE};
    use crate::error::DeviceError;

    const SECOND: Duration = Duration::from_secs(1);

    fn loading() -> ForeignCall {
        ForeignCall::Loading {
            library: "libthing.so".into(),
            patience: PLUGIN_PATIENCE,
        }
    }

    fn no_answer(found: Option<Error>) -> Option<(bool, u64)> {
        match found {
            Some(Error::Device(DeviceError::NoAnswer { library, seconds })) => Some((library.is_some(), seconds)),
            _ => None,
        }
    }

    #[test]
    fn loading_is_bounded_and_a_model_takes_as_long_as_it_takes() {
        let start = Instant::now();
        let mut calls = ForeignCalls::default();
        let model = calls.begin(ForeignCall::Model, start);
        assert!(calls.unanswered(start + 3600 * SECOND).is_none());
        let plugin = calls.begin(loading(), start + SECOND);
        let end = start + SECOND + PLUGIN_PATIENCE;
        assert!(calls.unanswered(end - SECOND / 10).is_none());
        assert_eq!(no_answer(calls.unanswered(end)), Some((true, 60)));
        calls.end(plugin);
        assert!(calls.unanswered(end).is_none());
        calls.end(model);
    }

    /// A thread that stays until it is let go.
    fn staying(left: &Left) -> Sender<()> {
        let (go, wait) = channel::<()>();
        left.add(std::thread::spawn(move || wait.recv().is_ok()));
        go
    }

    #[test]
    fn a_thread_is_left_behind_until_it_comes_back() {
        let left = Left::new();
        assert!(!left.any());
        let (first, second) = (staying(&left), staying(&left));
        assert!(left.any());
        let end = Instant::now() + 60 * SECOND;
        for thread in [second, first] {
            assert!(left.any(), "one is still there");
            let before = left.0.lock().unwrap().len();
            drop(thread);
            while left.any() && left.0.lock().unwrap().len() == before {
                assert!(Instant::now() < end, "it came back and is not forgotten");
                std::thread::yield_now();
            }
        }
        assert!(!left.any());
    }

    #[test]
    fn a_wish_to_stop_waits_for_a_call_only_a_moment() {
        let start = Instant::now();
        let mut calls = ForeignCalls::default();
        let number = calls.begin(ForeignCall::Model, start);
        calls.asked(start + 100 * SECOND);
        calls.asked(start + 102 * SECOND);
        let over = start + 100 * SECOND + LAST_WORDS;
        assert!(calls.unanswered(over - SECOND).is_none());
        assert!(matches!(calls.unanswered(over), Some(Error::Stopped)));
        // What is computed here ends by itself.
        calls.end(number);
        assert!(calls.unanswered(over).is_none());
    }

    #[test]
    fn time_that_is_up_ends_a_call_that_goes_on_for_as_long_again() {
        let start = Instant::now();
        for (allowed, more) in [(2 * SECOND, OVERTIME), (600 * SECOND, 600 * SECOND)] {
            let mut calls = ForeignCalls::default();
            calls.allow(allowed, start);
            let early = calls.begin(ForeignCall::Model, start);
            let end = start + allowed + more;
            assert!(calls.unanswered(end - SECOND).is_none());
            assert_eq!(
                no_answer(calls.unanswered(end)),
                Some((false, (allowed + more).as_secs()))
            );
            calls.end(early);
            // One that begins later has the same time.
            calls.begin(ForeignCall::Model, end);
            assert!(calls.unanswered(end + more - SECOND).is_none());
            assert!(no_answer(calls.unanswered(end + more)).is_some());
        }
    }
}
