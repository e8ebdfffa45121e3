//! Loading several models at the same time.

use super::timer::{CpuFallback, ModelRun, TimedSession, Timer};
use crate::{Error, Result};

/// Other processes that hold models for this one: what takes long when a session is made on a GPU is done by one thread of a process at a
/// time.
pub trait SessionHelpers: Send + Sync {
    /// Loads a model in a process that holds no other, as [`Timer::prepare`] does; nodes may run on the CPU.
    ///
    /// # Errors
    /// When the job is asked to stop, or the other process cannot do it: then this one does.
    fn prepare(&self, run: ModelRun) -> Result<Box<dyn TimedSession>>;
}

/// A model that is to be loaded, and for which timer.
#[derive(Clone, Copy)]
pub struct Loading<'m> {
    /// The device's.
    pub timer: &'m dyn Timer,
    /// The model and its inputs.
    pub run: ModelRun<'m>,
    /// Whether it is to tell its nodes' times, if it can.
    pub watched: bool,
    /// Who loads it in place of this process, where several are loaded together.
    pub helpers: Option<&'m dyn SessionHelpers>,
}

impl Loading<'_> {
    fn prepare(&self, fallback: CpuFallback) -> Result<Box<dyn TimedSession>> {
        if let Some(helpers) = self.helpers {
            return helpers.prepare(self.run);
        }
        if self.watched
            && let Some(session) = self.timer.prepare_watched(self.run.model, self.run.inputs)?
        {
            return Ok(session);
        }
        self.timer.prepare(self.run.model, self.run.inputs, fallback)
    }
}

/// Loads models, at the same time where their timers allow it, then settles one after the other; in their order.
pub fn load_all(loadings: &[Loading], fallback: CpuFallback) -> Vec<Result<Box<dyn TimedSession>>> {
    let together = loadings.len() > 1 && loadings.iter().all(|l| l.timer.prepares_together(l.run.model));
    let cores = if together { cores() } else { 1 };
    let loadings: Vec<Loading> = loadings
        .iter()
        .map(|l| Loading {
            helpers: l.helpers.filter(|_| together),
            ..*l
        })
        .collect();
    // One making a session waits for the whole device, which no other may be capturing a first run of.
    let prepared = on_threads(loadings.clone(), cores, &|l| l.prepare(fallback));
    let ran = on_threads(prepared, cores, &|session| {
        let mut session = session?;
        session.first_run()?;
        Ok(session)
    });
    let alone = |l: &Loading| l.timer.load(l.run.model, l.run.inputs, fallback);
    let full = |session: &Result<Box<dyn TimedSession>>| session.as_ref().is_err_and(Error::is_out_of_memory);
    if cores > 1 && ran.iter().any(full) {
        // Which of them fit is for the first to decide.
        drop(ran);
        return loadings.iter().map(alone).collect();
    }
    let settled = |(session, loading): (Result<Box<dyn TimedSession>>, &Loading)| {
        let settled = session.and_then(|mut session| {
            session.settle()?;
            Ok(session)
        });
        match settled {
            // Others may have been in its way.
            Err(error) if cores > 1 && !matches!(error, Error::Stopped) => alone(loading),
            settled => settled,
        }
    };
    ran.into_iter().zip(&loadings).map(settled).collect()
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What `work` makes of each item, in their order, on so many threads at a time.
pub(super) fn on_threads<T: Send, R: Send>(
    items: Vec<T>,
    threads: usize,
    work: &(dyn Fn(T) -> Result<R> + Sync),
) -> Vec<Result<R>> {
    if threads < 2 || items.len() < 2 {
        return items.into_iter().map(work).collect();
    }
    let mut done = Vec::with_capacity(items.len());
    let mut items = items.into_iter();
    loop {
        let some: Vec<T> = items.by_ref().take(threads).collect();
        if some.is_empty() {
            return done;
        }
        std::thread::scope(|scope| {
            let threads: Vec<_> = some.into_iter().map(|item| scope.spawn(move || work(item))).collect();
            let joined = threads
                .into_iter()
                .map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            done.extend(joined);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::on_threads;
    use super::{Error, Result};

    #[test]
    fn work_is_done_at_the_same_time_and_stays_in_order() {
        let both = Barrier::new(2);
        let doubled = |n: usize| match n {
            0 => Err(Error::Stopped),
            n => Ok(2 * n),
        };
        let values = |done: Vec<Result<usize>>| done.into_iter().map(Result::ok).collect::<Vec<_>>();
        let items = vec![3, 0, 5, 1];
        let together = on_threads(items.clone(), 2, &|n| {
            both.wait();
            doubled(n)
        });
        let expected = [Some(6), None, Some(10), Some(2)];
        assert_eq!(values(together), expected);
        assert_eq!(values(on_threads(items, 1, &doubled)), expected);
    }
}
