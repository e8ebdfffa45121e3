//! Choosing a plan for the goals: limits on what it uses, and on what it loses.

use super::Amount;
use super::narrow::{Chosen, Fitted, Narrowing, Search};
use crate::Result;
use crate::plan::{Curve, Frontier, Point, Resource};
use crate::verify::{classes, drop_of};

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
        let chosen = |search: &Search, point: Point| Chosen {
            plan: search.plan(&point),
            loss: point.loss,
            fitted: None,
        };
        let first = match within(search, limits) {
            Ok(point) => chosen(search, point),
            Err(why) => return Ok(Err(why)),
        };
        self.watcher.step("measuring whole models");
        let ratio = self.measure(&first.plan, RACE_SECONDS)?.1;
        if let Some(blocks) = search.on_blocks.as_ref().filter(|_| ratio > MET)
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
        self.watcher.step("measuring whole models");
        let (sizes, present) = (search.space.sizes(), search.space.present());
        let amount = limits[0].flag;
        let whole = limits[0].resource.of(&sizes, &present);
        let mut best: Option<Point> = None;
        let mut fastest: Option<(f64, f64)> = None;
        let mut tried: Vec<Vec<usize>> = Vec::new();
        for round in 0..ROUNDS {
            self.watcher.progress(round, ROUNDS);
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
            let target = share(amount, ms, ratio);
            let predicted = limits[0].resource.of(&sizes, &point.choice) / whole;
            // The tables are off by as much as the measured plan was.
            limits[0].most = target * predicted / ratio * whole;
            if fastest.is_none_or(|f| ratio < f.1) {
                fastest = Some((ms, ratio));
            }
            let met = ratio <= target * MET;
            if met && best.as_ref().is_none_or(|b| point.loss < b.loss) {
                best = Some(point);
            }
            if met && ratio >= target * CLOSE {
                break;
            }
        }
        self.watcher.progress(ROUNDS, ROUNDS);
        Ok(match (best, fastest) {
            (Some(point), _) => Ok(Chosen {
                plan: search.plan(&point),
                loss: point.loss,
                fitted: None,
            }),
            (None, Some((ms, ratio))) => Err(format!(
                "a latency of {amount} was not reached; the fastest plan was measured at {ratio:.3}x ({ms:.3} ms): ask \
                 for that"
            )),
            (None, None) => Err("no plan could be measured".to_owned()),
        })
    }

    /// The fastest plan of the curve that loses at most `most` on the evaluation samples.
    fn by_drop(&self, search: &Search, most: f64) -> Result<Result<Chosen, String>> {
        let Some(data) = &self.eval else {
            return Ok(Err("--max-drop needs --eval samples to measure the drop on".to_owned()));
        };
        let points = frontier(search, &search.latency).curve();
        self.watcher.step("running real inputs");
        let before = classes(self.target, &self.original, data, &|done, total| {
            self.watcher.progress(done, total)
        })?;
        let mut best: Option<(usize, Fitted)> = None;
        // The first point is what loses nothing; later ones lose ever more.
        let (mut low, mut high) = (0, points.len());
        while high - low > 1 {
            let at = (low + high) / 2;
            let fitted = self.fitted(&search.plan(&points[at]))?;
            self.watcher.step("running real inputs");
            let after = classes(
                self.target,
                &crate::onnx::encode(&fitted.proto),
                data,
                &|done, total| self.watcher.progress(done, total),
            )?;
            match drop_of(&before, &after) {
                Some(drop) if drop <= most => {
                    best = Some((at, fitted));
                    low = at;
                }
                Some(_) => high = at,
                None => return Ok(Err("--max-drop: the model's first output holds no classes".to_owned())),
            }
        }
        Ok(match best {
            Some((at, fitted)) => Ok(Chosen {
                plan: search.plan(&points[at]),
                loss: points[at].loss,
                fitted: Some(fitted),
            }),
            None => Err(format!(
                "no plan loses at most {:.2} %; allow more with --max-drop",
                100.0 * most
            )),
        })
    }
}

/// A search over one resource.
pub(super) fn frontier<'s>(search: &'s Search, resource: &'s Resource) -> Frontier<'s> {
    let curves = |g: usize| -> Option<&'s Curve> { search.curves.get(&g) };
    Frontier::new(&search.space, &curves, resource)
}

/// The plan within all limits that loses least. Several limits are searched as one weighted sum, whose weights rise where
/// a limit is broken.
fn within(search: &Search, limits: &[Limit]) -> Result<Point, String> {
    const TRIES: usize = 24;
    let sizes = search.space.sizes();
    for limit in limits {
        let mut alone = frontier(search, limit.resource);
        let (present, least) = (alone.point(search.space.present()).used, alone.least().used);
        if least > limit.most {
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
        return found.ok_or_else(|| format!("{}: {} cannot be reached", one.what, one.flag));
    }
    let mut weights = vec![1.0; limits.len()];
    let mut best: Option<Point> = None;
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
    best.ok_or_else(|| "the limits cannot be met together; relax one of them".to_owned())
}
