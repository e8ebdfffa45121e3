//! The fastest plan that loses at most a given share of accuracy on the evaluation samples.

use super::fitting::Fitted;
use super::lossy::{Chosen, Narrowing, Search};
use super::target_search::frontier;
use crate::Result;
use crate::data::Dataset;
use crate::onnx::encode;
use crate::plan::{Frontier, ParetoPoint};
use crate::verify::{Classes, Task, classes, task_of};

/// Plans that are tried between the last that passes and the first that fails, and how near in latency (as a share of the
/// original's) they may get.
const BETWEEN: usize = 4;
const NEAR: f64 = 0.005;

/// A plan that was made and run on the samples.
struct Tried {
    point: ParetoPoint,
    fitted: Fitted,
    task: Task,
}

impl Narrowing<'_, '_> {
    /// The fastest plan that loses at most `most` on the evaluation samples: first among those of the curve by halving, then
    /// between the best that passes and the next that does not.
    pub(super) fn by_drop(&self, search: &Search, most: f64) -> Result<Result<Chosen, String>> {
        let Some(data) = &self.eval else {
            return Ok(Err("--max-drop needs --eval samples to measure the drop on".to_owned()));
        };
        let late = || {
            format!(
                "the time of --time-budget was up before a plan was found that loses at most {:.2} %; allow more time, or fewer \
                 --eval samples",
                100.0 * most
            )
        };
        if self.limit.is_up() {
            return Ok(Err(late()));
        }
        let mut frontier = frontier(search, &search.latency);
        let points = frontier.curve();
        self.reporter.step("running real inputs");
        let before = classes(self.device, &self.original, data, &|done, total| {
            self.reporter.progress(done, total)
        })?;
        if task_of(&before, &before).is_none() {
            return Ok(Err("--max-drop: the model's first output holds no classes".to_owned()));
        }
        let mut best: Option<Tried> = None;
        // The first point is what loses nothing; later ones lose ever more.
        let (mut low, mut high) = (0, points.len());
        while high - low > 1 && !self.limit.is_up() {
            let at = (low + high) / 2;
            match self.tried(search, &points[at], (data, &before))? {
                Some(tried) if tried.task.accuracy_drop() <= most => {
                    low = at;
                    best = Some(tried);
                }
                _ => high = at,
            }
        }
        let whole = points.first().map_or(1.0, |p| p.used);
        let fails = points.get(high).map(|p| p.used);
        if let Some(fails) = fails {
            let passes = best.as_ref().map_or(whole, |b| b.point.used);
            let found = self.between(
                search,
                &mut frontier,
                ((passes, fails), NEAR * whole),
                most,
                (data, &before),
            )?;
            best = found.or(best);
        }
        Ok(match best {
            Some(tried) => Ok(Chosen {
                plan: search.plan(&tried.point),
                loss: tried.point.loss,
                notes: told(&tried.task, most),
                fitted: Some(tried.fitted),
            }),
            None if high - low > 1 => Err(late()),
            None => Err(format!(
                "no plan loses at most {:.2} %; allow more with --max-drop",
                100.0 * most
            )),
        })
    }

    /// Halves the predicted latencies between one that passes and one that fails; the fastest plan that passes, if one does.
    fn between(
        &self,
        search: &Search,
        frontier: &mut Frontier,
        ((mut passes, mut fails), near): ((f64, f64), f64),
        most: f64,
        samples: (&Dataset, &Classes),
    ) -> Result<Option<Tried>> {
        let mut best: Option<Tried> = None;
        for _ in 0..BETWEEN {
            if passes - fails <= near || self.limit.is_up() {
                break;
            }
            let limit = 0.5 * (passes + fails);
            let Some(point) = frontier.within(limit).filter(|p| p.used > fails) else {
                fails = limit;
                continue;
            };
            match self.tried(search, &point, samples)? {
                Some(tried) if tried.task.accuracy_drop() <= most => {
                    passes = tried.point.used;
                    best = Some(tried);
                }
                _ => fails = point.used.max(fails),
            }
        }
        Ok(best)
    }

    /// Makes a plan's model and runs it on the samples; `None` where it changes nothing.
    fn tried(
        &self,
        search: &Search,
        point: &ParetoPoint,
        (data, before): (&Dataset, &Classes),
    ) -> Result<Option<Tried>> {
        let plan = search.plan(point);
        if plan.is_empty() {
            return Ok(None);
        }
        let fitted = self.fitted(&plan)?;
        self.reporter.step("running real inputs");
        let after = classes(self.device, &encode(&fitted.proto), data, &|done, total| {
            self.reporter.progress(done, total)
        })?;
        Ok(task_of(before, &after).map(|task| Tried {
            point: point.clone(),
            fitted,
            task,
        }))
    }
}

/// What the samples tell of the drop that was allowed.
fn told(task: &Task, most: f64) -> Vec<String> {
    let percent = |v: f64| format!("{:.2} %", 100.0 * v);
    let interval = task.drop_interval;
    let mut notes = vec![format!(
        "the drop of {} (allowed: {}) is that of the samples which the plan was searched on; with 95 % confidence it is between {} \
         and {}",
        percent(task.accuracy_drop()),
        percent(most),
        percent(interval.low),
        percent(interval.high)
    )];
    if interval.high > 2.0 * most.max(1e-9) {
        notes.push(format!(
            "{} samples cannot tell a drop of {} from one of {}; more of them in --eval can",
            task.samples,
            percent(most),
            percent(interval.high)
        ));
    }
    notes
}
