//! Which gates: the fastest at a given share, or those that save most within a loss.

use super::candidates::GateCandidate;
use super::judge::Judge;
use crate::Result;
use crate::device::Limit;

/// The index of the chosen offer of each block.
pub(super) type Choice = Vec<Option<usize>>;

/// What an offer saves: milliseconds; where gates are wanted everywhere, millions of multiply-accumulates.
pub(super) fn saved(candidate: &GateCandidate, everywhere: bool) -> f64 {
    let work = |macs: u64| macs as f64 / 1e6;
    match candidate.timed {
        None => f64::NEG_INFINITY,
        Some(_) if everywhere => work(candidate.gate.block.macs()) - work(candidate.gate.macs()),
        Some(t) => t.dense_ms - t.gated_ms,
    }
}

/// Whether an offer may be chosen: it was timed, and it is faster, or gates are wanted everywhere.
pub(super) fn eligible(candidate: &GateCandidate, everywhere: bool) -> bool {
    !candidate.timing_only && candidate.timed.is_some_and(|t| everywhere || t.faster)
}

/// For every block the eligible offer that saves most.
pub(super) fn fastest(candidates: &[Vec<GateCandidate>], everywhere: bool) -> Choice {
    let best = |list: &Vec<GateCandidate>| {
        let fit = (0..list.len()).filter(|&i| eligible(&list[i], everywhere));
        fit.max_by(|&a, &b| saved(&list[a], everywhere).total_cmp(&saved(&list[b], everywhere)))
    };
    candidates.iter().map(best).collect()
}

/// Offers of one block that are worth judging: no other is as fast and keeps as much; of many, some of every speed.
pub(super) fn worth_judging(list: &[GateCandidate], everywhere: bool) -> Vec<usize> {
    let better = |o: &GateCandidate, own: &GateCandidate| {
        eligible(o, everywhere)
            && saved(o, everywhere) >= saved(own, everywhere)
            && o.retained_energy >= own.retained_energy
            && (saved(o, everywhere) > saved(own, everywhere) || o.retained_energy > own.retained_energy)
    };
    let mut front: Vec<usize> = (0..list.len())
        .filter(|&i| eligible(&list[i], everywhere) && !list.iter().any(|o| better(o, &list[i])))
        .collect();
    front.sort_by(|&a, &b| saved(&list[a], everywhere).total_cmp(&saved(&list[b], everywhere)));
    let count = front.len().min(JUDGED);
    (0..count)
        .map(|k| front[k * (front.len() - 1) / (count - 1).max(1)])
        .collect()
}

/// Offers of a block whose loss is measured, at most.
const JUDGED: usize = 8;

/// Choices along the trade between time and loss, the most careful first.
fn frontier(candidates: &[Vec<GateCandidate>], everywhere: bool) -> Vec<Choice> {
    let usable = |o: &&GateCandidate| usable(o, everywhere);
    // Prices of loss at which something changes: what each offer saves for what it loses.
    let price = |o: &GateCandidate| saved(o, everywhere) / loss(o).max(TINY);
    let mut prices: Vec<f64> = candidates.iter().flatten().filter(usable).map(price).collect();
    prices.sort_by(|a, b| b.total_cmp(a));
    let mut all: Vec<Choice> = Vec::new();
    for price in prices.iter().copied().chain([0.0]) {
        let worth = |o: &GateCandidate| saved(o, everywhere) - 0.999 * price * loss(o).max(TINY);
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

/// The choice that saves most while the whole model drops at most `most`; and its drop. The choices in between are
/// halved, so a drop that does not grow along them is not looked for. When the time is up, the best so far stands.
pub(super) fn within(
    candidates: &[Vec<GateCandidate>],
    judge: &Judge,
    (most, everywhere): (f64, bool),
    (limit, progress): (&Limit, &dyn Fn(usize, usize)),
) -> Result<Option<(Choice, f64)>> {
    let all = frontier(candidates, everywhere);
    let mut best = None;
    let (mut low, mut high) = (0, all.len());
    let rounds = (usize::BITS - all.len().leading_zeros()) as usize;
    let mut done = 0;
    while low < high && !limit.is_up() {
        progress(done, rounds.max(done + 1));
        let middle = (low + high) / 2;
        let gates: Vec<_> = picked(candidates, &all[middle]).map(|o| &o.gate).collect();
        let drop = judge.accuracy_drop(&gates)?;
        if drop <= most {
            best = Some((all[middle].clone(), drop));
            low = middle + 1;
        } else {
            high = middle;
        }
        done += 1;
    }
    if let Some(found) = best.take() {
        best = Some(stepped(
            candidates,
            judge,
            found,
            (most, everywhere),
            (limit, progress),
        )?);
    }
    progress(done, done);
    Ok(best)
}

/// Single changes that are tried between two choices of the frontier.
const STEPS: usize = 8;

/// A choice with more single gates, or bolder ones, as long as the whole model drops at most `most`; those that save most
/// for what they lose are tried first.
fn stepped(
    candidates: &[Vec<GateCandidate>],
    judge: &Judge,
    (mut choice, mut drop): (Choice, f64),
    (most, everywhere): (f64, bool),
    (limit, progress): (&Limit, &dyn Fn(usize, usize)),
) -> Result<(Choice, f64)> {
    let mut tried: Vec<(usize, usize)> = Vec::new();
    for step in 0..STEPS {
        if limit.is_up() {
            break;
        }
        progress(step, STEPS);
        let now = |b: usize| {
            choice[b].map_or((0.0, 0.0), |i| {
                (saved(&candidates[b][i], everywhere), loss(&candidates[b][i]))
            })
        };
        let bolder = |b: usize, i: usize| {
            let (more, lost) = (
                saved(&candidates[b][i], everywhere) - now(b).0,
                loss(&candidates[b][i]) - now(b).1,
            );
            (more > 0.0).then(|| more / lost.max(TINY))
        };
        let next = (0..candidates.len())
            .flat_map(|b| (0..candidates[b].len()).map(move |i| (b, i)))
            .filter(|&(b, i)| usable(&candidates[b][i], everywhere) && !tried.contains(&(b, i)))
            .filter_map(|(b, i)| Some((bolder(b, i)?, b, i)))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, block, candidate)) = next else { break };
        tried.push((block, candidate));
        let mut more = choice.clone();
        more[block] = Some(candidate);
        let gates: Vec<_> = picked(candidates, &more).map(|o| &o.gate).collect();
        let found = judge.accuracy_drop(&gates)?;
        if found <= most {
            (choice, drop) = (more, found);
        }
    }
    Ok((choice, drop))
}

fn loss(candidate: &GateCandidate) -> f64 {
    candidate.loss.unwrap_or(0.0)
}

/// Whether an offer saves time and its loss is known.
fn usable(candidate: &GateCandidate, everywhere: bool) -> bool {
    eligible(candidate, everywhere) && candidate.loss.is_some_and(f64::is_finite) && saved(candidate, everywhere) > 0.0
}

/// The chosen offers.
pub(super) fn picked<'o>(
    candidates: &'o [Vec<GateCandidate>],
    choice: &'o Choice,
) -> impl Iterator<Item = &'o GateCandidate> {
    candidates.iter().zip(choice).filter_map(|(list, at)| list.get((*at)?))
}
