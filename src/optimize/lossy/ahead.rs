//! What goals would give where nothing is to be had without any loss.

use std::time::Instant;

use super::search::{SEARCHING, Search};
use super::sensitivity::guess;
use super::space::space_on;
use crate::Result;
use crate::optimize::options::Amount;
use crate::optimize::outcome::GoalAhead;
use crate::optimize::session::Session;
use crate::plan::{Grid, Metric, ParetoPoint};

/// Latencies that are looked at, as shares of the original's.
const SHARES: [f64; 3] = [0.9, 0.8, 0.7];

/// For some latency goals, what the measured tables say of a plan. Which channels such plans take is guessed from the weights: what
/// they lose is told by samples alone. Widths are timed for at most as long as the options give to what is only shown; none where
/// that is no time.
///
/// # Errors
/// When a probe fails.
pub(crate) fn ahead(session: &mut Session) -> Result<Vec<GoalAhead>> {
    let time = session.limit.at_most(session.options.latency_steps);
    if time.is_zero() || session.device.timer().is_none() {
        return Ok(Vec::new());
    }
    let (before, skipped) = (session.prober.deadline, session.prober.skipped);
    session.prober.deadline = Instant::now().checked_add(time);
    let space = space_on(session, Grid::Blocks);
    session.prober.deadline = before;
    // What is not timed for what is only shown is no fault of the search.
    session.prober.skipped = skipped;
    let space = space?;
    let below = space.groups.iter().zip(&space.options);
    let below = below.map(|(&g, o)| (g, o.iter().copied().filter(|&n| n < space.base[g]).collect::<Vec<_>>()));
    let narrower = below.filter(|(_, o)| !o.is_empty()).collect();
    let known = guess(session, &narrower, &session.limit.at_least(SEARCHING))?;
    let search = Search::over(session, space, known.curves);
    let (sizes, present) = (search.space.sizes(), search.space.present());
    let whole = search.latency().of(&sizes, &present);
    let Some(ms) = session.costs.predict(&session.present()) else {
        return Ok(Vec::new());
    };
    let mut frontier = search.frontier(search.latency());
    let row = |point: ParetoPoint, target: f64| {
        let latency = point.used / whole;
        let shares = search.rows(std::slice::from_ref(&point)).pop()?;
        Some(GoalAhead {
            goal: Amount::Times(target).to_string(),
            predicted_ms: latency * ms,
            latency,
            macs: shares.shares[Metric::Macs],
            groups: shares.groups,
            command: String::new(),
        })
    };
    let found = SHARES.map(|share| frontier.within(share * whole).and_then(|p| row(p, share)));
    // Where one plan serves several goals, the furthest says it all.
    let mut goals: Vec<GoalAhead> = found.into_iter().flatten().rev().collect();
    goals.dedup_by(|a, b| a.predicted_ms == b.predicted_ms && a.macs == b.macs);
    goals.reverse();
    Ok(goals)
}
