//! Choosing a plan for the goals: limits on what it uses, and on what it loses.

use super::Amount;
use super::lossy::{Chosen, Narrowing, Search};
use crate::Result;
use crate::plan::{Frontier, LossCurve, ParetoPoint, Resource};

/// Seconds for each race of a plan against the original while the target is approached, and how often that is done.
const RACE_SECONDS: f64 = 3.0;
const ROUNDS: usize = 6;
/// Measured this near to the target counts as met while plans are compared; in the end, this near.
const MET: f64 = 1.005;
pub(super) const NEAR: f64 = 1.03;
/// A plan that is further below the target than this could lose less.
const CLOSE: f64 = 0.985;

/// A latency goal as a share of the original's latency, which is `ms / ratio`.
pub(super) fn share(amount: Amount, ms: f64, ratio: f64) -> f64 {
    let original = ms / ratio;
    amount.of(original) / original
}

/// A limit on what a plan uses.
struct Limit<'s> {
    what: &'static str,
    flag: Amount,
    resource: &'s Resource,
    most: f64,
}

impl Narrowing<'_, '_> {
    /// The plan that reaches the goals and loses least, or why there is none.
    pub(super) fn choose(&self, search: &Search) -> Result<Result<Chosen, String>> {
        let goals = self.options.goals;
        let mut limits = self.limits(search);
        match goals.max_drop {
            Some(most) if limits.is_empty() => self.by_drop(search, most),
            _ if goals.latency.is_some() => self.by_latency(search, &mut limits),
            _ => self.by_size(search, &limits),
        }
    }

    /// The limits that the goals set on what a plan uses, the latency first.
    fn limits<'s>(&self, search: &'s Search) -> Vec<Limit<'s>> {
        let goals = self.options.goals;
        let (sizes, present) = (search.space.sizes(), search.space.present());
        [
            ("latency", goals.latency, &search.latency),
            ("multiply-accumulates", goals.macs, &search.macs),
            ("parameters", goals.params, &search.params),
        ]
        .into_iter()
        .filter_map(|(what, flag, resource)| {
            let flag = flag?;
            Some(Limit {
                what,
                flag,
                resource,
                most: flag.of(resource.of(&sizes, &present)),
            })
        })
        .collect()
    }

    /// A plan for MACs or parameters: over all widths, or where that is measured to be slower than the original, over
    /// multiples of blocks.
    fn by_size(&self, search: &Search, limits: &[Limit]) -> Result<Result<Chosen, String>> {
        let chosen = |search: &Search, point: ParetoPoint| Chosen {
            plan: search.plan(&point),
            loss: point.loss,
            fitted: None,
            notes: Vec::new(),
        };
        let first = match within(search, limits) {
            Ok(point) => chosen(search, point),
            Err(why) => return Ok(Err(why)),
        };
        self.reporter.step("measuring whole models");
        self.limit.check()?;
        let ratio = self.measure(&first.plan, RACE_SECONDS)?.1;
        if let Some(blocks) = search.on_blocks.as_ref().filter(|_| ratio > MET)
            && !self.limit.is_up()
            && let Ok(point) = within(blocks, &self.limits(blocks))
        {
            let second = chosen(blocks, point);
            if self.measure(&second.plan, RACE_SECONDS)?.1 < ratio {
                return Ok(Ok(second));
            }
        }
        Ok(Ok(first))
    }

    /// Plans for a latency, measures, and plans again with what was measured. The first limit is the latency.
    fn by_latency(&self, search: &Search, limits: &mut [Limit]) -> Result<Result<Chosen, String>> {
        self.reporter.step("measuring whole models");
        let (sizes, present) = (search.space.sizes(), search.space.present());
        let amount = limits[0].flag;
        let whole = limits[0].resource.of(&sizes, &present);
        let mut best: Option<ParetoPoint> = None;
        let mut fastest: Option<(f64, f64)> = None;
        let mut tried: Vec<Vec<usize>> = Vec::new();
        for round in 0..ROUNDS {
            self.reporter.progress(round, ROUNDS);
            self.limit.check()?;
            if self.limit.is_up() && !tried.is_empty() {
                break;
            }
            let point = match within(search, limits) {
                Ok(point) => point,
                // What the tables hold to be out of reach is tried once all the same.
                Err(why) if tried.is_empty() => match within(search, &limits[1..]) {
                    Ok(_) => frontier(search, limits[0].resource).least(),
                    Err(_) => return Ok(Err(why)),
                },
                Err(_) => break,
            };
            if tried.contains(&point.choice) {
                break;
            }
            tried.push(point.choice.clone());
            let (ms, ratio) = self.measure(&search.plan(&point), RACE_SECONDS)?;
            let device = share(amount, ms, ratio);
            let predicted = limits[0].resource.of(&sizes, &point.choice) / whole;
            // The tables are off by as much as the measured plan was.
            limits[0].most = device * predicted / ratio * whole;
            if fastest.is_none_or(|f| ratio < f.1) {
                fastest = Some((ms, ratio));
            }
            let met = ratio <= device * MET;
            if met && best.as_ref().is_none_or(|b| point.loss < b.loss) {
                best = Some(point);
            }
            if met && ratio >= device * CLOSE {
                break;
            }
        }
        self.reporter.progress(ROUNDS, ROUNDS);
        Ok(match (best, fastest) {
            (Some(point), _) => Ok(Chosen {
                plan: search.plan(&point),
                loss: point.loss,
                fitted: None,
                notes: Vec::new(),
            }),
            (None, Some((ms, ratio))) => Err(format!(
                "a latency of {amount} was not reached; the fastest plan was measured at {ratio:.3}x ({ms:.3} ms): ask \
                 for that"
            )),
            (None, None) => Err("no plan could be measured".to_owned()),
        })
    }
}

const TIME_UP: &str = "the time was up while plans were searched for; allow more with --time-budget";

/// A search over one resource.
pub(super) fn frontier<'s>(search: &'s Search, resource: &'s Resource) -> Frontier<'s> {
    let curves = |g: usize| -> Option<&'s LossCurve> { search.curves.get(&g) };
    Frontier::new(&search.space, &curves, resource, &search.limit)
}

/// The plan within all limits that loses least. Several limits are searched as one weighted sum, whose weights rise where
/// a limit is broken.
fn within(search: &Search, limits: &[Limit]) -> Result<ParetoPoint, String> {
    const TRIES: usize = 24;
    let sizes = search.space.sizes();
    for limit in limits {
        let mut alone = frontier(search, limit.resource);
        let (present, least) = (alone.point(search.space.present()).used, alone.least().used);
        if least > limit.most {
            if search.limit.is_up() {
                return Err(TIME_UP.to_owned());
            }
            return Err(format!(
                "{}: {} cannot be reached; the least is {:.3}x: ask for that, or allow narrower layers (--min-width)",
                limit.what,
                limit.flag,
                least / present
            ));
        }
    }
    if let [one] = limits {
        let found = frontier(search, one.resource).within(one.most);
        let why = || match search.limit.is_up() {
            true => TIME_UP.to_owned(),
            false => format!("{}: {} cannot be reached", one.what, one.flag),
        };
        return found.ok_or_else(why);
    }
    let mut weights = vec![1.0; limits.len()];
    let mut best: Option<ParetoPoint> = None;
    for _ in 0..TRIES {
        let parts: Vec<(f64, &Resource)> = weights
            .iter()
            .zip(limits)
            .map(|(w, l)| (w / l.most, l.resource))
            .collect();
        let sum = Resource::weighted(&parts);
        let Some(point) = frontier(search, &sum).within(weights.iter().sum()) else {
            break;
        };
        let over: Vec<f64> = limits
            .iter()
            .map(|l| l.resource.of(&sizes, &point.choice) / l.most)
            .collect();
        let fits = over.iter().all(|&o| o <= 1.0);
        weights.iter_mut().zip(&over).for_each(|(w, o)| *w *= o.powi(6));
        if fits {
            let better = best.as_ref().is_none_or(|b| point.loss < b.loss);
            if !better {
                break;
            }
            best = Some(point);
        }
    }
    if best.is_none() {
        best = tightened(search, limits);
    }
    best.ok_or_else(|| match search.limit.is_up() {
        true => TIME_UP.to_owned(),
        false => "no plan was found that meets the limits together; relax one of them".to_owned(),
    })
}

/// The plan that loses least of those within all limits when they are searched as one sum of equal weights, drawn tighter and
/// tighter; `None` when none is.
fn tightened(search: &Search, limits: &[Limit]) -> Option<ParetoPoint> {
    const STEPS: usize = 40;
    let sizes = search.space.sizes();
    let parts: Vec<(f64, &Resource)> = limits.iter().map(|l| (1.0 / l.most, l.resource)).collect();
    let sum = Resource::weighted(&parts);
    let mut frontier = frontier(search, &sum);
    let fits = |p: &ParetoPoint| limits.iter().all(|l| l.resource.of(&sizes, &p.choice) <= l.most);
    (0..STEPS).find_map(|step| {
        let share = 1.0 - step as f64 / STEPS as f64;
        frontier.within(share * limits.len() as f64).filter(|p| fits(p))
    })
}
