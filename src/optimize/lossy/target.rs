//! Plans for limits on what a model uses: those for a latency are measured and corrected in rounds, those for a size once.

use super::chosen::Chosen;
use super::limits::{UseLimit, limits as use_limits, within};
use super::measure::{Latency, measure};
use super::search::Search;
use crate::optimize::options::{Goals, WhenSlower};
use crate::optimize::outcome::{Declined, NoPlan};
use crate::optimize::reporter::Step;
use crate::optimize::session::Session;
use crate::plan::{Metric, ParetoPoint};

/// Seconds for each benchmark of a plan against the original, and how many plans for a latency are measured.
const SECONDS: f64 = 3.0;
const ROUNDS: usize = 6;
/// Measured this near to the target counts as met while plans are compared.
const MET: f64 = 1.005;
/// A plan that is further below the target than this could lose less.
const CLOSE: f64 = 0.985;

/// The plan that reaches the limits and loses least.
pub(super) fn by_use(
    session: &Session,
    search: &Search,
    goals: Goals,
    limits: &mut [UseLimit],
) -> Result<Chosen, NoPlan> {
    match goals.limits[Metric::Latency] {
        Some(_) => by_latency(session, search, limits),
        None => by_size(session, search, goals, limits),
    }
}

/// A plan for counted metrics: over all widths, or where that is measured to be slower than the original, over
/// multiples of blocks. Where a size is wanted for itself, latency plays no part.
fn by_size(session: &Session, search: &Search, goals: Goals, limits: &[UseLimit]) -> Result<Chosen, NoPlan> {
    let first = Chosen::of(search, &within(search, limits)?);
    if session.options.when_slower == WhenSlower::Write {
        return Ok(first);
    }
    session.reporter.step(Step::MeasureModels);
    session.limit.check()?;
    let ratio = measure(session, &first.plan, SECONDS)?.ratio;
    if let Some(blocks) = search.on_blocks.as_ref().filter(|_| ratio > MET)
        && !session.limit.is_up()
        && let Ok(point) = within(blocks, &use_limits(goals, blocks))
    {
        let second = Chosen::of(blocks, &point);
        if measure(session, &second.plan, SECONDS)?.ratio < ratio {
            return Ok(second);
        }
    }
    Ok(first)
}

/// Plans for a latency, measures, and plans again with what was measured. The first limit is the latency.
fn by_latency(session: &Session, search: &Search, limits: &mut [UseLimit]) -> Result<Chosen, NoPlan> {
    session.reporter.step(Step::MeasureModels);
    let sizes = search.space.sizes();
    let goal = limits[0].goal;
    let whole = search.whole[Metric::Latency];
    let mut best: Option<ParetoPoint> = None;
    let mut fastest: Option<Latency> = None;
    let mut tried: Vec<Vec<usize>> = Vec::new();
    for round in 0..ROUNDS {
        session.reporter.progress(round, ROUNDS);
        session.limit.check()?;
        if session.limit.is_up() && !tried.is_empty() {
            break;
        }
        let point = match within(search, limits) {
            Ok(point) => point,
            // What the tables hold to be out of reach is tried once all the same.
            Err(why) if tried.is_empty() => match within(search, &limits[1..]) {
                Ok(_) => search.frontier(search.latency()).least(),
                Err(_) => return Err(why.into()),
            },
            Err(_) => break,
        };
        if tried.contains(&point.choice) {
            break;
        }
        tried.push(point.choice.clone());
        let latency = measure(session, &search.plan(&point), SECONDS)?;
        let ratio = latency.ratio;
        let target = latency.share_of(goal);
        let predicted = limits[0].objective.of(&sizes, &point.choice) / whole;
        // The tables are off by as much as the measured plan was.
        limits[0].most = target * predicted / ratio * whole;
        if fastest.is_none_or(|f| ratio < f.ratio) {
            fastest = Some(latency);
        }
        let met = ratio <= target * MET;
        if met && best.as_ref().is_none_or(|b| point.loss < b.loss) {
            best = Some(point);
        }
        if met && ratio >= target * CLOSE {
            break;
        }
    }
    session.reporter.progress(ROUNDS, ROUNDS);
    match (best, fastest) {
        (Some(point), _) => Ok(Chosen::of(search, &point)),
        (None, Some(Latency { ms, ratio })) => Err(Declined::LatencyNotReached { goal, ratio, ms }.into()),
        (None, None) => Err(Declined::NothingMeasured.into()),
    }
}
