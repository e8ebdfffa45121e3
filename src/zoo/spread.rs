//! Work spread over the slots of an engine.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::context::ZooContext;
use super::engine::WorkKind;
use crate::optimize::Step;
use crate::{Error, Result};

/// Does pieces of work in as many threads as the engine has slots. The first error ends it.
pub(super) fn spread<T: Send>(
    context: &ZooContext,
    step: Step,
    kind: WorkKind,
    pieces: Vec<T>,
    each: &(dyn Fn(usize, T) -> Result<()> + Sync),
) -> Result<()> {
    if pieces.is_empty() {
        return Ok(());
    }
    let total = pieces.len();
    context.reporter.step(step);
    context.reporter.progress(0, total);
    let (queue, done) = (Mutex::new(pieces.into_iter()), AtomicUsize::new(0));
    let wrong: Mutex<Option<Error>> = Mutex::new(None);
    let work = |slot: usize| {
        loop {
            let failed = wrong.lock().map_or(true, |w| w.is_some());
            let next = queue.lock().ok().and_then(|mut q| q.next());
            let Some(piece) = next.filter(|_| !failed) else { return };
            let result = context.setup.stop.check().and_then(|()| each(slot, piece));
            if let (Err(error), Ok(mut wrong)) = (result, wrong.lock()) {
                wrong.get_or_insert(error);
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..context.engine.slots(kind).clamp(1, total))
            .map(|slot| scope.spawn(move || work(slot)))
            .collect();
        while threads.iter().any(|t| !t.is_finished()) {
            context.reporter.progress(done.load(Ordering::Relaxed), total);
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    context.reporter.progress(total, total);
    wrong.into_inner().ok().flatten().map_or(Ok(()), Err)
}
