//! Choosing between plans by measuring whole models, and cutting back what does not pay.

use super::candidate::{Candidate, made_by};
use super::measure::{Comparison, measure};
use crate::Result;
use crate::channels::Group;
use crate::device::NodeClock;
use crate::optimize::session::Session;
use crate::plan::{FoundPlans, Plan};
use crate::verify::Verdict;

/// How much is measured to choose.
struct Extent {
    /// Seconds for each benchmark.
    seconds: f64,
    /// Found plans that are measured.
    found: usize,
    /// Predictions are off by no more than this, as a rule.
    off: f64,
    /// Parts of a plan that are left out in turn.
    parts: usize,
    /// How often parts are left out.
    rounds: usize,
    /// A plan that is at most so much slower than predicted (ratios) has no part to look for.
    trusts: Option<f64>,
}

/// A model that takes less than so many milliseconds on a GPU is made of kernels that take hardly longer than the gaps between them.
const SHORT_MS: f64 = 4.0;

impl Extent {
    fn of(session: &Session) -> Result<Self> {
        let short = session.predict(&Plan::default()).is_some_and(|ms| ms < SHORT_MS);
        Ok(match session.timer()?.node_clock() {
            NodeClock::Host => Self {
                seconds: 3.0,
                found: 3,
                off: 1.1,
                parts: 6,
                rounds: 3,
                trusts: None,
            },
            // Where kernels were timed, predictions hold all that a plan changes (off by 2 % at the median), times hardly vary, and sessions
            // take long to make.
            NodeClock::Device => Self {
                seconds: 1.0,
                found: 2,
                off: if short { 1.25 } else { 1.05 },
                parts: 3,
                rounds: 1,
                trusts: session.costs.idle_ms().map(|_| 0.02),
            },
        })
    }
}

/// The fastest of the found plans; then without the moves that do not pay.
pub(super) fn choose(session: &Session, found: &FoundPlans) -> Result<Option<Plan>> {
    session.limit.check()?;
    let extent = Extent::of(session)?;
    let plans = field(session, found, &extent);
    if plans.is_empty() {
        return Ok(None);
    }
    let steps = extent.rounds + 2;
    session.reporter.progress(0, steps);
    let measured = |plans: &[Candidate]| measure(session, plans, session.seconds(extent.seconds));
    let mut best = fastest(&plans, &measured(&plans)?);
    session.reporter.progress(1, steps);
    if best.is_none() && !session.limit.is_up() {
        let mut fewer = most_gainful(session, &plans[0].plan);
        if extent.trusts.is_some() {
            fewer.extend(of_broadcasts(session, found));
        }
        let fewer = made_by(session, fewer);
        best = fastest(&fewer, &measured(&fewer)?);
    }
    let Some((mut chosen, ratio)) = best else {
        session.reporter.progress(steps, steps);
        return Ok(None);
    };
    let predicted = session.predicted_share(&chosen.plan);
    let as_predicted = extent
        .trusts
        .zip(predicted)
        .is_some_and(|(off, share)| ratio <= share + off);
    let rounds = if as_predicted { 0 } else { extent.rounds };
    for round in 0..rounds {
        session.reporter.progress(round + 2, steps);
        if session.limit.is_up() {
            break;
        }
        match cut_back(session, &chosen, &extent, &measured)? {
            Some(cut) => chosen = cut,
            None => break,
        }
    }
    session.reporter.progress(steps, steps);
    Ok(Some(chosen.plan))
}

/// The plans to measure: those found, each without the groups that pass through operators that move channels about (their cost
/// is not in the layers' times), and those that people make by hand, as far as they are not predicted to be slower than the
/// best one by more than predictions are off. Written-out broadcasts go in all of them; where their time is not known, plans beside them
/// tell whether they should.
fn field(session: &Session, found: &FoundPlans, extent: &Extent) -> Vec<Candidate> {
    let mut plans: Vec<Plan> = Vec::new();
    let moved = moved_about(session);
    let mut add = |plan: Plan| {
        if !plan.is_empty() && !plans.contains(&plan) {
            plans.push(plan);
        }
    };
    let without_broadcasts = |plan: Plan| Plan {
        broadcasts: session.broadcasts.clone(),
        ..plan
    };
    for f in found.settled.iter().take(extent.found) {
        add(without_broadcasts(f.plan.clone()));
        add(without_broadcasts(f.plan.without(&moved)));
    }
    let best = found.settled.first().map_or(found.present_ms, |f| f.layers_ms);
    let near = found.rounded.iter().filter(|f| f.layers_ms <= best * extent.off);
    near.for_each(|f| add(without_broadcasts(f.plan.clone())));
    if extent.trusts.is_none() || found.settled.is_empty() {
        of_broadcasts(session, found).into_iter().for_each(&mut add);
    }
    if session.limit.is_up() {
        plans.truncate(1);
    }
    made_by(session, plans)
}

/// What tells whether written-out broadcasts should go: the best plan with them, and the one without any other change.
fn of_broadcasts(session: &Session, found: &FoundPlans) -> Vec<Plan> {
    if session.broadcasts.is_empty() {
        return Vec::new();
    }
    let kept = found.settled.first().map(|f| f.plan.clone());
    let only = Plan {
        broadcasts: session.broadcasts.clone(),
        ..Plan::default()
    };
    kept.into_iter().chain([only]).collect()
}

/// Groups whose channels pass through a concatenation, a split, a gather or a reshape.
fn moved_about(session: &Session) -> Vec<usize> {
    const MOVES: [&str; 7] = ["Concat", "Split", "Slice", "Gather", "Reshape", "Transpose", "Pad"];
    let analysis = session.analysis();
    let moves = |name: &str| {
        let producer = session.graph.producer.get(name);
        producer.is_some_and(|&n| MOVES.contains(&session.graph.proto.node[n].op_type()))
    };
    let passes = |g: &Group| {
        g.places
            .iter()
            .any(|(v, _)| moves(&analysis.dependencies.value(*v).name))
    };
    analysis.groups.iter().filter(|g| passes(g)).map(|g| g.id).collect()
}

/// The plan without those parts that make it slower, if it is then measured to be faster.
fn cut_back(
    session: &Session,
    whole: &Candidate,
    extent: &Extent,
    measure: &dyn Fn(&[Candidate]) -> Result<Vec<Comparison>>,
) -> Result<Option<Candidate>> {
    let plan = &whole.plan;
    let mut field = vec![whole.clone()];
    field.extend(made_by(session, leave_one_part_out(session, plan, extent.parts)));
    if field.len() < 2 {
        return Ok(None);
    }
    let measured = measure(&field)?;
    let slower = measured[0].ratio - 0.005;
    let dropped: Vec<usize> = field
        .iter()
        .zip(&measured)
        .skip(1)
        .filter(|(_, m)| m.ratio < slower)
        .flat_map(|(part, _)| {
            let left = |g: &&usize| !part.plan.counts.contains_key(g);
            plan.counts.keys().filter(left).copied()
        })
        .collect();
    let cut = plan.without(&dropped);
    if dropped.is_empty() || cut.is_empty() {
        return Ok(None);
    }
    let Some(cut) = made_by(session, vec![cut]).pop() else {
        return Ok(None);
    };
    let again = measure(&[whole.clone(), cut.clone()])?;
    Ok((again[1].verdict == Verdict::Faster && again[1].ratio < again[0].ratio).then_some(cut))
}

/// The moves by predicted gain, greatest first.
fn by_gain(session: &Session, plan: &Plan) -> Vec<usize> {
    let (analysis, costs) = (session.analysis(), &session.costs);
    let with = session.counts(plan);
    let mut gains: Vec<(usize, f64)> = plan
        .counts
        .keys()
        .map(|&g| {
            let layers = costs.touched_by(g);
            let mut without = with.clone();
            without[g] = analysis.groups[g].classes.len();
            let ms = |c| costs.of(layers, c).map_or(0.0, |t| t.ms);
            (g, ms(&without) - ms(&with))
        })
        .collect();
    gains.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    gains.into_iter().map(|(g, _)| g).collect()
}

/// The half, the quarter and the one move with the greatest predicted gain.
fn most_gainful(session: &Session, plan: &Plan) -> Vec<Plan> {
    let order = by_gain(session, plan);
    let mut sizes = vec![order.len() / 2, order.len() / 4, 1];
    sizes.retain(|&n| n > 0 && n < order.len());
    sizes.dedup();
    sizes.into_iter().map(|n| plan.without(&order[n..])).collect()
}

/// The plan without each of a few parts of its moves, alike in predicted gain.
fn leave_one_part_out(session: &Session, plan: &Plan, parts: usize) -> Vec<Plan> {
    let order = by_gain(session, plan);
    if order.len() < 2 {
        return Vec::new();
    }
    let size = order.len().div_ceil(parts);
    order.chunks(size).map(|part| plan.without(part)).collect()
}

/// The fastest of the plans that were measured to be faster, and its ratio.
fn fastest(plans: &[Candidate], measured: &[Comparison]) -> Option<(Candidate, f64)> {
    plans
        .iter()
        .zip(measured)
        .filter(|(_, m)| m.verdict == Verdict::Faster)
        .min_by(|a, b| a.1.ratio.total_cmp(&b.1.ratio))
        .map(|(plan, m)| (plan.clone(), m.ratio))
}
