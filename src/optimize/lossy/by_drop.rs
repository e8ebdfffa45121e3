//! The fastest plan that loses at most a given share of accuracy on the evaluation samples.

use super::chosen::Chosen;
use super::fit::fit;
use super::search::Search;
use crate::Result;
use crate::data::Dataset;
use crate::onnx::encode;
use crate::optimize::fitting::Fitted;
use crate::optimize::outcome::{Declined, NoPlan};
use crate::optimize::reporter::Step;
use crate::optimize::session::Session;
use crate::plan::{Frontier, ParetoPoint};
use crate::verify::{Classes, MetricScores, Task, classes, task_of};

/// Plans that are tried between the last that passes and the first that fails, and how near in latency (as a share of the
/// original's) they may get.
const BETWEEN: usize = 4;
const NEAR: f64 = 0.005;

/// A plan that was made and run on the samples.
struct PassingPlan {
    point: ParetoPoint,
    fitted: Fitted,
    /// What the samples tell of its drop.
    told: Vec<String>,
}

/// The evaluation samples, and how the original does on them.
struct DropJudge<'s> {
    session: &'s Session<'s>,
    search: &'s Search,
    data: &'s Dataset,
    /// Its classes, where no metric of the user's own judges.
    before: Option<Classes>,
    /// The drop that is allowed, 0 to 1.
    allowed: f64,
}

/// Latencies (in the frontier's unit) of a plan that passes and of one that fails.
struct Bracket {
    passes: f64,
    fails: f64,
    /// So near to each other, they are one.
    near: f64,
}

/// The fastest plan that loses at most `allowed` on the evaluation samples: first among those of the curve by halving, then
/// between the best that passes and the next that does not.
pub(super) fn by_drop(session: &Session, search: &Search, allowed: f64) -> std::result::Result<Chosen, NoPlan> {
    let data = session.eval.ok_or(Declined::DropNeedsSamples)?;
    let late = Declined::NoTimeForDrop { allowed };
    if session.limit.is_up() {
        return Err(late.into());
    }
    let mut frontier = search.frontier(search.latency());
    let points = frontier.curve();
    session.reporter.step(Step::RunRealInputs);
    let before = match &session.metric {
        Some(_) => None,
        None => Some(classes(session.device, &session.original, data, &session.progress())?),
    };
    if before.as_ref().is_some_and(|own| task_of(own, own).is_none()) {
        return Err(Declined::DropNeedsClasses.into());
    }
    let judge = DropJudge {
        session,
        search,
        data,
        before,
        allowed,
    };
    let mut best: Option<PassingPlan> = None;
    // The first point is what loses nothing; later ones lose ever more.
    let (mut low, mut high) = (0, points.len());
    while high - low > 1 && !session.limit.is_up() {
        let at = (low + high) / 2;
        match judge.passing(&points[at])? {
            Some(tried) => {
                low = at;
                best = Some(tried);
            }
            None => high = at,
        }
    }
    let whole = points.first().map_or(1.0, |p| p.used);
    if let Some(fails) = points.get(high) {
        let bracket = Bracket {
            passes: best.as_ref().map_or(whole, |b| b.point.used),
            fails: fails.used,
            near: NEAR * whole,
        };
        best = judge.between(&mut frontier, bracket)?.or(best);
    }
    match best {
        Some(tried) => Ok(Chosen {
            notes: tried.told,
            fitted: Some(tried.fitted),
            ..Chosen::of(search, &tried.point)
        }),
        None if high - low > 1 => Err(late.into()),
        None => Err(Declined::NoPlanWithinDrop { allowed }.into()),
    }
}

impl DropJudge<'_> {
    /// Halves the predicted latencies between one that passes and one that fails; the fastest plan that passes, if one does.
    fn between(&self, frontier: &mut Frontier, bracket: Bracket) -> Result<Option<PassingPlan>> {
        let Bracket {
            mut passes,
            mut fails,
            near,
        } = bracket;
        let mut best: Option<PassingPlan> = None;
        for _ in 0..BETWEEN {
            if passes - fails <= near || self.session.limit.is_up() {
                break;
            }
            let limit = 0.5 * (passes + fails);
            let Some(point) = frontier.within(limit).filter(|p| p.used > fails) else {
                fails = limit;
                continue;
            };
            match self.passing(&point)? {
                Some(tried) => {
                    passes = tried.point.used;
                    best = Some(tried);
                }
                None => fails = point.used.max(fails),
            }
        }
        Ok(best)
    }

    /// Makes a plan's model and runs it on the samples; `None` where it changes nothing, or loses more than is allowed.
    fn passing(&self, point: &ParetoPoint) -> Result<Option<PassingPlan>> {
        let plan = self.search.plan(point);
        if plan.is_empty() {
            return Ok(None);
        }
        let session = self.session;
        let fitted = fit(session, &plan)?;
        session.reporter.step(Step::RunRealInputs);
        let told = self.within(&encode(&fitted.proto))?;
        Ok(told.map(|told| PassingPlan {
            point: point.clone(),
            fitted,
            told,
        }))
    }

    /// What the samples tell of a model's drop; `None` where it is more than is allowed.
    fn within(&self, model: &[u8]) -> Result<Option<Vec<String>>> {
        let session = self.session;
        if let Some(judge) = &session.metric {
            let scores = judge.compared(model, &session.progress())?;
            return Ok((scores.drop() <= self.allowed).then(|| told_by_metric(&scores, self.allowed)));
        }
        let after = classes(session.device, model, self.data, &session.progress())?;
        let task = self.before.as_ref().and_then(|before| task_of(before, &after));
        let task = task.filter(|task| task.accuracy_drop() <= self.allowed);
        Ok(task.map(|task| told(&task, self.allowed)))
    }
}

/// What the user's own metric tells of the drop that was allowed.
fn told_by_metric(scores: &MetricScores, most: f64) -> Vec<String> {
    vec![format!(
        "the drop of {:.4} in {} (allowed: {most:.4}) is that of the samples which the plan was searched on",
        scores.drop(),
        scores.name
    )]
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
            "{} samples cannot tell a drop of {} from one of {}; more samples for evaluation can",
            task.samples,
            percent(most),
            percent(interval.high)
        ));
    }
    notes
}
