//! The fastest plan that loses at most a given share of accuracy on the evaluation samples.

use super::chosen::Chosen;
use super::fit::fit;
use super::search::Search;
use crate::data::Dataset;
use crate::onnx::encode;
use crate::optimize::drop_told::{cannot_tell, searched_on_all};
use crate::optimize::fitting::Fitted;
use crate::optimize::outcome::{Declined, NoPlan};
use crate::optimize::reporter::Step;
use crate::optimize::session::Session;
use crate::plan::{Frontier, ParetoPoint};
use crate::verify::{Answers, Certainty, MetricJudge, MetricScores, Task, answers, task_of};
use crate::{Error, Result};

/// Plans that are tried between the last that passes and the first that fails, and how near in latency (as a share of the
/// original's) they may get.
const BETWEEN: usize = 4;
const NEAR: f64 = 0.005;

/// A plan that was made and run on the samples.
struct PassingPlan {
    point: ParetoPoint,
    fitted: Fitted,
    judged: Judged,
}

/// How the original does on samples.
enum Before<'s> {
    /// Its answers, which its task's own number is of.
    Answers(Answers),
    /// What the user's own metric gives for it.
    Metric(MetricJudge<'s>),
}

/// How a plan's model does beside the original.
enum Judged {
    Task(Box<Task>),
    Metric(MetricScores),
}

impl Judged {
    fn drop(&self) -> f64 {
        match self {
            Self::Task(task) => task.accuracy_drop(),
            Self::Metric(scores) => scores.drop(),
        }
    }
}

/// Samples, and how the original does on them.
struct DropJudge<'s> {
    session: &'s Session<'s>,
    search: &'s Search,
    data: &'s Dataset,
    before: Before<'s>,
    certainty: Certainty,
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

/// The fastest plan that loses at most `allowed` on samples: first among those of the curve by halving, then between the best that
/// passes and the next that does not. Plans are searched on one half of the samples; what the other half refuses makes way for the next
/// more careful one that was tried.
pub(super) fn by_drop(session: &Session, search: &Search, allowed: f64) -> std::result::Result<Chosen, NoPlan> {
    let data = session.eval.ok_or(Declined::DropNeedsSamples)?;
    let late = Declined::NoTimeForDrop { allowed };
    if session.limit.is_up() {
        return Err(late.into());
    }
    let mut frontier = search.frontier(search.latency());
    let points = frontier.curve();
    let judge = DropJudge::new(session, search, session.searched.unwrap_or(data), allowed)?;
    let mut passing: Vec<PassingPlan> = Vec::new();
    // The first point is what loses nothing; later ones lose ever more.
    let (mut low, mut high) = (0, points.len());
    while high - low > 1 && !session.limit.is_up() {
        let at = (low + high) / 2;
        match judge.passing(&points[at])? {
            Some(tried) => {
                low = at;
                passing.push(tried);
            }
            None => high = at,
        }
    }
    let whole = points.first().map_or(1.0, |p| p.used);
    if let Some(fails) = points.get(high) {
        let bracket = Bracket {
            passes: passing.last().map_or(whole, |b| b.point.used),
            fails: fails.used,
            near: NEAR * whole,
        };
        judge.between(&mut frontier, bracket, &mut passing)?;
    }
    if passing.is_empty() {
        let why = if high - low > 1 {
            late
        } else {
            Declined::NoPlanWithinDrop { allowed }
        };
        return Err(why.into());
    }
    let (tried, mut notes) = match session.searched {
        Some(_) => DropJudge::new(session, search, data, allowed)?.confirmed(passing)?,
        None => match passing.pop() {
            Some(tried) => (tried, vec![searched_on_all("the plan was")]),
            None => return Err(late.into()),
        },
    };
    notes.extend(told(&tried.judged, allowed));
    Ok(Chosen {
        notes,
        fitted: Some(tried.fitted),
        ..Chosen::of(search, &tried.point)
    })
}

impl<'s> DropJudge<'s> {
    /// Runs the original on the samples.
    fn new(
        session: &'s Session<'s>,
        search: &'s Search,
        data: &'s Dataset,
        allowed: f64,
    ) -> std::result::Result<Self, NoPlan> {
        session.reporter.step(Step::RunRealInputs);
        let (device, progress) = (session.device, session.progress());
        let before = match &session.options.metric {
            Some(metric) => {
                let judge = MetricJudge::within(
                    session.limit.clone(),
                    metric.clone(),
                    (device, &session.original),
                    data,
                    &progress,
                )?;
                Before::Metric(judge)
            }
            None => {
                let reading = session.judged.reading.as_ref();
                let before = answers(device, &session.original, data, reading, &progress)?;
                let Some(own) = task_of(&before, &before, Certainty::Unknown) else {
                    return Err(Declined::DropNeedsAnswers.into());
                };
                let by_labels = own.top1.or(own.numbers.first().and_then(|n| n.labelled));
                if let Some((score, _)) = by_labels.filter(|(score, _)| *score <= allowed) {
                    let why = Error::Usage(format!(
                        "by the labels the original itself has a {} of {score:.4}, so that a drop of {allowed:.4} says nothing; look at the labels, \
                         and at how the samples are scaled and laid out",
                        own.number()
                    ));
                    return Err(NoPlan::Failed(why));
                }
                Before::Answers(before)
            }
        };
        Ok(Self {
            session,
            search,
            data,
            before,
            // What the searched half says is not told where another one judges.
            certainty: match session.searched.is_some_and(|searched| std::ptr::eq(searched, data)) {
                true => Certainty::Unknown,
                false => Certainty::Interval,
            },
            allowed,
        })
    }

    /// Of plans that passed elsewhere, later ones losing more, the last that passes here too, with what is to be said of the others.
    fn confirmed(&self, mut passed: Vec<PassingPlan>) -> std::result::Result<(PassingPlan, Vec<String>), NoPlan> {
        let mut notes = Vec::new();
        let mut least: Option<(f64, String)> = None;
        while let Some(tried) = passed.pop() {
            let Some(judged) = self.judged(&tried.fitted)? else {
                continue;
            };
            let drop = judged.drop();
            if drop <= self.allowed {
                return Ok((PassingPlan { judged, ..tried }, notes));
            }
            let shown = self.shown(drop);
            notes.push(format!(
                "a faster plan lost {} on the samples that it was searched on and {shown} on the others, more than the {} that are \
                 allowed; a more careful one was taken",
                self.shown(tried.judged.drop()),
                self.shown(self.allowed)
            ));
            if least.as_ref().is_none_or(|(l, _)| drop < *l) {
                least = Some((drop, shown));
            }
        }
        Err(match least {
            Some((_, drop)) => Declined::DropOnOthers {
                drop,
                allowed: self.shown(self.allowed),
            },
            None => Declined::DropNeedsAnswers,
        }
        .into())
    }

    /// A drop as its number has it: a share, or the metric's own unit.
    fn shown(&self, drop: f64) -> String {
        match self.before {
            Before::Answers(_) => format!("{:.2} %", 100.0 * drop),
            Before::Metric(_) => format!("{drop:.4}"),
        }
    }

    /// How a model does on the samples; `None` where nothing can be told.
    fn judged(&self, fitted: &Fitted) -> Result<Option<Judged>> {
        let session = self.session;
        session.reporter.step(Step::RunRealInputs);
        let model = encode(&fitted.proto);
        match &self.before {
            Before::Metric(judge) => Ok(Some(Judged::Metric(judge.compared(&model, &session.progress())?))),
            Before::Answers(before) => {
                let reading = session.judged.reading.as_ref();
                let after = answers(session.device, &model, self.data, reading, &session.progress())?;
                Ok(task_of(before, &after, self.certainty).map(|task| Judged::Task(Box::new(task))))
            }
        }
    }

    /// Halves the predicted latencies between one that passes and one that fails, and adds the plans that pass, later ones faster.
    fn between(&self, frontier: &mut Frontier, bracket: Bracket, passing: &mut Vec<PassingPlan>) -> Result<()> {
        let Bracket {
            mut passes,
            mut fails,
            near,
        } = bracket;
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
                    passing.push(tried);
                }
                None => fails = point.used.max(fails),
            }
        }
        Ok(())
    }

    /// Makes a plan's model and runs it on the samples; `None` where it changes nothing, or loses more than is allowed.
    fn passing(&self, point: &ParetoPoint) -> Result<Option<PassingPlan>> {
        let plan = self.search.plan(point);
        if plan.is_empty() {
            return Ok(None);
        }
        let session = self.session;
        let fitted = fit(session, &plan)?;
        let judged = self.judged(&fitted)?.filter(|judged| judged.drop() <= self.allowed);
        Ok(judged.map(|judged| PassingPlan {
            point: point.clone(),
            fitted,
            judged,
        }))
    }
}

/// What the samples tell of the drop that was allowed.
fn told(judged: &Judged, most: f64) -> Vec<String> {
    let task = match judged {
        Judged::Task(task) => task,
        Judged::Metric(scores) => {
            return vec![format!(
                "the drop in {} is {:.4} (allowed: {most:.4})",
                scores.name,
                scores.drop()
            )];
        }
    };
    let percent = |v: f64| format!("{:.2} %", 100.0 * v);
    let interval = task.drop_interval;
    let mut notes = vec![format!(
        "the drop of {} in {} (allowed: {}) is that of {} samples; with 95 % confidence it is between {} and {}",
        percent(task.accuracy_drop()),
        task.number(),
        percent(most),
        task.samples,
        percent(interval.low),
        percent(interval.high)
    )];
    notes.extend(cannot_tell(interval, task.samples, most));
    notes
}
