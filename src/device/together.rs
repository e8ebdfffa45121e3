//! Loading several models at the same time.

use super::timer::{CpuFallback, ModelRun, TimedSession, Timer};
use crate::Result;

/// A model that is to be loaded, and for which timer.
#[derive(Clone, Copy)]
pub struct Loading<'m> {
    /// The device's.
    pub timer: &'m dyn Timer,
    /// The model and its inputs.
    pub run: ModelRun<'m>,
}

impl Loading<'_> {
    fn prepare(&self, fallback: CpuFallback) -> Result<Box<dyn TimedSession>> {
        self.timer.prepare(self.run.model, self.run.inputs, fallback)
    }
}

/// Loads models, at the same time where their timers allow it, then settles one after the other; in their order.
pub fn load_all(loadings: &[Loading], fallback: CpuFallback) -> Vec<Result<Box<dyn TimedSession>>> {
    let together = loadings.iter().all(|l| l.timer.prepares_together(l.run.model));
    let prepared = match together {
        true => on_threads(loadings, &|l| l.prepare(fallback)),
        false => loadings.iter().map(|l| l.prepare(fallback)).collect(),
    };
    let settled = |session: Result<Box<dyn TimedSession>>| {
        let mut session = session?;
        session.settle()?;
        Ok(session)
    };
    prepared.into_iter().map(settled).collect()
}

/// What `work` makes of each item, in their order, on a thread for each core.
pub(super) fn on_threads<T: Sync, R: Send>(items: &[T], work: &(dyn Fn(&T) -> Result<R> + Sync)) -> Vec<Result<R>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut done = Vec::with_capacity(items.len());
    for some in items.chunks(cores) {
        std::thread::scope(|scope| {
            let threads: Vec<_> = some.iter().map(|item| scope.spawn(move || work(item))).collect();
            let joined = threads
                .into_iter()
                .map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            done.extend(joined);
        });
    }
    done
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::on_threads;
    use crate::Error;

    #[test]
    fn work_is_done_at_the_same_time_and_stays_in_order() {
        let both = Barrier::new(2);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let done = on_threads(&[3, 0, 5, 1], &|&n: &usize| {
            if cores > 1 {
                both.wait();
            }
            match n {
                0 => Err(Error::Stopped),
                n => Ok(2 * n),
            }
        });
        let values: Vec<Option<usize>> = done.into_iter().map(Result::ok).collect();
        assert_eq!(values, [Some(6), None, Some(10), Some(2)]);
    }
}
