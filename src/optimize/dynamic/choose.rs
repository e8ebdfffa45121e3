//! Which gates: the fastest at a given share, or those that save most within a loss.

use super::super::options::Placement;
use super::candidate::GateCandidate;
use super::judge::Judge;
use crate::Result;

/// The index of the chosen candidate of each block.
pub(super) type Choice = Vec<Option<usize>>;

/// A choice, and what the whole model loses with it.
pub(super) struct Judged {
    pub choice: Choice,
    /// See [`Judge::accuracy_drop`].
    pub drop: f64,
}

/// What a candidate saves: milliseconds; where gates are wanted everywhere, millions of multiply-accumulates.
pub(super) fn saved(candidate: &GateCandidate, placement: Placement) -> f64 {
    let work = |macs: u64| macs as f64 / 1e6;
    match candidate.timed {
        None => f64::NEG_INFINITY,
        Some(_) if placement == Placement::Everywhere => {
            work(candidate.gate.block.macs()) - work(candidate.gate.macs())
        }
        Some(t) => t.dense_ms - t.gated_ms,
    }
}

/// Whether a candidate may be chosen: it was timed, and it is faster, or gates are wanted everywhere.
pub(super) fn eligible(candidate: &GateCandidate, placement: Placement) -> bool {
    !candidate.timing_only
        && candidate
            .timed
            .is_some_and(|t| placement == Placement::Everywhere || t.faster)
}

/// For every block the eligible candidate that saves most.
pub(super) fn fastest(candidates: &[Vec<GateCandidate>], placement: Placement) -> Choice {
    let best = |list: &Vec<GateCandidate>| {
        let fit = (0..list.len()).filter(|&i| eligible(&list[i], placement));
        fit.max_by(|&a, &b| saved(&list[a], placement).total_cmp(&saved(&list[b], placement)))
    };
    candidates.iter().map(best).collect()
}

/// Candidates of one block that are worth judging: no other is as fast and keeps as much; of many, some of every speed.
pub(super) fn worth_judging(list: &[GateCandidate], placement: Placement) -> Vec<usize> {
    let better = |o: &GateCandidate, own: &GateCandidate| {
        eligible(o, placement)
            && o.gate.fills_zero() == own.gate.fills_zero()
            && saved(o, placement) >= saved(own, placement)
            && o.retained_energy >= own.retained_energy
            && (saved(o, placement) > saved(own, placement) || o.retained_energy > own.retained_energy)
    };
    let mut front: Vec<usize> = (0..list.len())
        .filter(|&i| eligible(&list[i], placement) && !list.iter().any(|o| better(o, &list[i])))
        .collect();
    front.sort_by(|&a, &b| saved(&list[a], placement).total_cmp(&saved(&list[b], placement)));
    // Of gates with means in the place of what they leave out, and of those with nothing there.
    let (zero, means): (Vec<usize>, Vec<usize>) = front.into_iter().partition(|&i| list[i].gate.fills_zero());
    [zero, means].iter().flat_map(|front| spread(front)).collect()
}

/// Some of a list, evenly.
fn spread(front: &[usize]) -> Vec<usize> {
    let count = front.len().min(JUDGED);
    (0..count)
        .map(|k| front[k * (front.len() - 1) / (count - 1).max(1)])
        .collect()
}

/// Candidates of a block and of one fill whose loss is measured, at most.
const JUDGED: usize = 6;

/// Choices along the trade between time and loss, the most careful first.
fn frontier(candidates: &[Vec<GateCandidate>], placement: Placement) -> Vec<Choice> {
    let usable = |o: &&GateCandidate| usable(o, placement);
    // Prices of loss at which something changes: what each candidate saves for what it loses.
    let price = |o: &GateCandidate| saved(o, placement) / loss(o).max(TINY);
    let mut prices: Vec<f64> = candidates.iter().flatten().filter(usable).map(price).collect();
    prices.sort_by(|a, b| b.total_cmp(a));
    let mut all: Vec<Choice> = Vec::new();
    for price in prices.iter().copied().chain([0.0]) {
        let worth = |o: &GateCandidate| saved(o, placement) - 0.999 * price * loss(o).max(TINY);
        let best = |list: &Vec<GateCandidate>| {
            let fit = (0..list.len()).filter(|&i| usable(&&list[i]) && worth(&list[i]) > 0.0);
            fit.max_by(|&a, &b| worth(&list[a]).total_cmp(&worth(&list[b])))
        };
        let choice: Choice = candidates.iter().map(best).collect();
        if choice.iter().any(Option::is_some) && all.last() != Some(&choice) {
            all.push(choice);
        }
    }
    all
}

/// Losses below this count alike.
const TINY: f64 = 1e-6;

/// What a choice may lose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The whole model: see [`Judge::accuracy_drop`].
    pub drop: f64,
    /// The sum of what its gates lose alone.
    pub loss: f64,
}

/// What the gates of a choice lose alone, together.
fn losses(candidates: &[Vec<GateCandidate>], choice: &Choice) -> f64 {
    picked(candidates, choice).map(loss).sum()
}

/// The choice that saves most within bounds. The choices in between are halved, so a drop that does not grow along them is not
/// looked for. When the time is up, the best so far stands.
pub(super) fn within(candidates: &[Vec<GateCandidate>], judge: &Judge, bounds: Bounds) -> Result<Option<Judged>> {
    let (session, placement) = (judge.search.session, judge.search.dynamics.placement);
    let progress = session.progress();
    let mut all = frontier(candidates, placement);
    all.retain(|choice| losses(candidates, choice) <= bounds.loss);
    let mut best = None;
    let (mut low, mut high) = (0, all.len());
    let rounds = (usize::BITS - all.len().leading_zeros()) as usize;
    let mut done = 0;
    while low < high && !session.limit.is_up() {
        progress(done, rounds.max(done + 1));
        let middle = (low + high) / 2;
        let gates: Vec<_> = picked(candidates, &all[middle]).collect();
        let drop = judge.accuracy_drop(&gates)?;
        if drop <= bounds.drop {
            best = Some(Judged {
                choice: all[middle].clone(),
                drop,
            });
            low = middle + 1;
        } else {
            high = middle;
        }
        done += 1;
    }
    if let Some(found) = best.take() {
        best = Some(stepped(candidates, judge, found, bounds)?);
    }
    progress(done, done);
    Ok(best)
}

/// Single changes that are tried between two choices of the frontier.
const STEPS: usize = 8;

/// A choice with more single gates, or bolder ones, within the same bounds; those that save most for what they lose are tried first.
fn stepped(candidates: &[Vec<GateCandidate>], judge: &Judge, from: Judged, bounds: Bounds) -> Result<Judged> {
    let Judged { mut choice, mut drop } = from;
    let (session, placement) = (judge.search.session, judge.search.dynamics.placement);
    let mut tried: Vec<(usize, usize)> = Vec::new();
    for step in 0..STEPS {
        if session.limit.is_up() {
            break;
        }
        session.reporter.progress(step, STEPS);
        let now = |b: usize| {
            choice[b].map_or((0.0, 0.0), |i| {
                (saved(&candidates[b][i], placement), loss(&candidates[b][i]))
            })
        };
        let bolder = |b: usize, i: usize| {
            let (more, lost) = (
                saved(&candidates[b][i], placement) - now(b).0,
                loss(&candidates[b][i]) - now(b).1,
            );
            (more > 0.0).then(|| more / lost.max(TINY))
        };
        let next = (0..candidates.len())
            .flat_map(|b| (0..candidates[b].len()).map(move |i| (b, i)))
            .filter(|&(b, i)| usable(&candidates[b][i], placement) && !tried.contains(&(b, i)))
            .filter_map(|(b, i)| Some((bolder(b, i)?, b, i)))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, block, candidate)) = next else { break };
        tried.push((block, candidate));
        let mut more = choice.clone();
        more[block] = Some(candidate);
        if losses(candidates, &more) > bounds.loss {
            continue;
        }
        let gates: Vec<_> = picked(candidates, &more).collect();
        let found = judge.accuracy_drop(&gates)?;
        if found <= bounds.drop {
            (choice, drop) = (more, found);
        }
    }
    Ok(Judged { choice, drop })
}

fn loss(candidate: &GateCandidate) -> f64 {
    candidate.loss.unwrap_or(0.0)
}

/// Whether a candidate saves time and its loss is known.
fn usable(candidate: &GateCandidate, placement: Placement) -> bool {
    eligible(candidate, placement) && candidate.loss.is_some_and(f64::is_finite) && saved(candidate, placement) > 0.0
}

/// The chosen candidates.
pub(super) fn picked<'o>(
    candidates: &'o [Vec<GateCandidate>],
    choice: &'o Choice,
) -> impl Iterator<Item = &'o GateCandidate> {
    candidates.iter().zip(choice).filter_map(|(list, at)| list.get((*at)?))
}
