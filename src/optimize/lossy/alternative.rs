//! The same goals reached from a model that equals the original: trunks rotated, layers as two.

use super::attempt::Ready;
use super::limits::{limits, within};
use super::mapped::SameWidths;
use super::search::{Search, prepare_search};
use super::stays::best;
use crate::Result;
use crate::optimize::datasets::Datasets;
use crate::optimize::equal::{Directions, EqualModels, are_equal};
use crate::optimize::fitting::Calibrated;
use crate::optimize::kept::nodes_kept;
use crate::optimize::options::{Goals, WhenSlower};
use crate::optimize::outcome::Declined;
use crate::optimize::prepare::Request;
use crate::optimize::session::Session;
use crate::optimize::workload::Workload;
use crate::plan::{ChannelCounts, LayersAt, Metric, Pair, ParetoPoint, Plan, Reparametrization};
use crate::profile::Prober;
use crate::verify::Loaded;

/// Two layers must take at most so much of what one takes.
const WORTH: f64 = 0.95;
/// The loss that is predicted must be less than so much of what it is without moves: below that the fits decide.
const PROMISING: f64 = 0.67;
/// What a plan is looked for at where a drop is allowed and nothing is known of plain plans.
const SHARE: f64 = 0.7;

/// A plan from an equal model.
pub(super) struct Alternative<'a> {
    session: Session<'a>,
    search: Search,
    ready: Ready,
}

/// Whether the alternative is better than what was found without: it loses less on the samples that choose, or where as much speed as
/// a drop allows is wanted, it is faster. Where slower models are not written, it must be faster than the original.
///
/// # Errors
/// When a run fails.
pub(super) fn better(
    session: &Session,
    found: &std::result::Result<Ready, Declined>,
    other: &Alternative,
    goals: Goals,
) -> Result<bool> {
    let Ok(plain) = found else { return Ok(true) };
    if goals.only_drop() {
        return Ok(other.ready.ratio(&other.session)? < plain.ratio(session)?);
    }
    if other.ready.chosen_by() >= plain.chosen_by() {
        return Ok(false);
    }
    let must_be_faster = session.options.when_slower == WhenSlower::Decline && goals.limits[Metric::Latency].is_none();
    Ok(!must_be_faster || other.ready.ratio(&other.session)? <= plain.ratio(session)?.max(WORTH))
}

/// Takes another reason over where both say what is out of reach and the other reaches less.
fn further(why: &mut Declined, other: Declined) {
    let least = |d: &Declined| match d {
        Declined::OutOfReach { least, .. } => *least,
        _ => None,
    };
    if least(&other).zip(least(why)).is_some_and(|(o, w)| o < w) {
        *why = other;
    }
}

impl<'a> Alternative<'a> {
    /// The best plan that makes use of a rotation or of a layer as two; `None` where none is worth a try, or plans make use of none.
    /// What was timed goes over to its session, until it is handed back. Where goals are out of reach `without`, the least that moves reach
    /// is told there.
    ///
    /// # Errors
    /// When a probe or a run fails.
    pub fn find(
        plain: &mut Session<'a>,
        search: &Search,
        without: &mut std::result::Result<Ready, Declined>,
        (data, equal): (&'a Datasets, &'a EqualModels),
    ) -> Result<Option<Self>> {
        let (goals, allowed) = (plain.options.goals, plain.options.allowed);
        let Some(samples) = plain.samples.as_ref().filter(|s| s.held_out()) else {
            return Ok(None);
        };
        // What is rotated has other ranges, which nobody has seen quantized.
        if !(allowed.rotation || allowed.rank) || plain.deployment.is_some() || plain.limit.is_up() {
            return Ok(None);
        }
        let on = Calibrated {
            device: plain.device,
            samples,
            seed: plain.options.seed,
        };
        let kept = nodes_kept(&plain.graph, plain.options)?;
        let (directions, moves) = Directions::look(plain.opened, on, allowed, &kept, plain.reporter, &plain.limit)?;
        if moves.is_empty() {
            return Ok(None);
        }
        let models = directions.models(plain.workloads, &moves)?;
        let mut session = over(plain, equal.all.get_or_init(|| models), data)?;
        // A channel of any other group loses the same in an equal model.
        let both = (plain.analysis(), session.analysis());
        let moved = |_, g: usize| session.opened.is_moved(&both.1.groups[g]);
        let same = SameWidths::between(both.0, both.1).without(moved);
        let known = same.known(both, &plain.removable.ranked, &search.curves);
        let mut found = prepare_search(&mut session, known)?.against(&search.whole);
        if let Err(why) = without
            && let Err(other) = within(&found, &limits(goals, &found))
        {
            further(why, other);
        }
        let used = match promises(&found, goals, without.as_ref().ok()) {
            true => used(plain, &mut session, &found, (search, without.as_ref().ok()))?,
            false => Reparametrization::default(),
        };
        if used.is_empty() || plain.limit.is_up() {
            plain.prober = session.prober;
            return Ok(None);
        }
        if session.opened.equal_to.as_ref().is_some_and(|e| e.moves != used) {
            let models = directions.models(plain.workloads, &used)?;
            let (all, before) = (session.opened, session.analysis());
            let ranked = std::mem::take(&mut session.removable.ranked);
            session = over(&mut session, equal.used.get_or_init(|| models), data)?;
            let both = (before, session.analysis());
            // What is rotated no more loses what it does in the original.
            let moved = |g: usize| session.opened.is_moved(&both.1.groups[g]);
            let undone = |here: usize, there: usize| all.is_moved(&both.0.groups[here]) && !moved(there);
            let mut known = SameWidths::between(both.0, both.1)
                .without(undone)
                .known(both, &ranked, &found.curves);
            let both = (plain.analysis(), session.analysis());
            let own = SameWidths::between(both.0, both.1).without(|_, there| moved(there));
            let own = own.known(both, &plain.removable.ranked, &search.curves);
            for (g, order) in own.ranked {
                known.ranked.entry(g).or_insert(order);
            }
            for (g, curve) in own.curves {
                known.curves.entry(g).or_insert(curve);
            }
            found = prepare_search(&mut session, known)?.against(&search.whole);
        }
        if !are_equal(plain.workloads, session.workloads, plain.device, plain.options.seed)? {
            let note = "rotated trunks and layers as two are left out: rounding makes the outputs differ by too much";
            plain.reporter.note(note);
            plain.prober = session.prober;
            return Ok(None);
        }
        Ok(match best(&session, &found, goals)?.0 {
            Ok(ready) => Some(Self {
                session,
                search: found,
                ready,
            }),
            Err(other) => {
                if let Err(why) = without {
                    further(why, other);
                }
                plain.prober = session.prober;
                None
            }
        })
    }

    /// What the user should know of the choice.
    pub fn compared(&self, plain: &std::result::Result<Ready, Declined>, taken: bool) -> Option<String> {
        let plain = plain.as_ref().ok()?;
        let moves = &self.session.opened.equal_to.as_ref()?.moves;
        let named = |n: usize, one: &str, many: &str| match n {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {many}")),
        };
        let what: Vec<String> = [
            named(moves.rotated.len(), "trunk rotated", "trunks rotated"),
            named(moves.pairs.len(), "layer as two", "layers as two"),
        ]
        .into_iter()
        .flatten()
        .collect();
        Some(format!(
            "a plan with {} loses {:.2e} on the samples that plans are chosen by, one that only takes channels out {:.2e}; the {} is taken",
            what.join(" and "),
            self.ready.chosen_by(),
            plain.chosen_by(),
            if taken { "first" } else { "second" }
        ))
    }

    /// Puts its session in the place of that over the original.
    pub fn taking_over(self, plain: &mut Session<'a>) -> (Search, Ready) {
        *plain = self.session;
        (self.search, self.ready)
    }

    /// Hands back what was timed.
    pub fn handing_back(self, plain: &mut Session<'a>) {
        plain.prober = self.session.prober;
    }
}

/// Whether a plan from an equal model is predicted to lose clearly less, so that its weights are worth a fit.
fn promises(search: &Search, goals: Goals, plain: Option<&Ready>) -> bool {
    let Some(plain) = plain.filter(|_| !goals.only_drop()) else {
        return true;
    };
    within(search, &limits(goals, search)).is_ok_and(|point| point.loss < PROMISING * plain.loss)
}

/// A session over an equal model, with what was timed already.
fn over<'a>(from: &mut Session<'a>, workloads: &'a [Workload], data: &'a Datasets) -> Result<Session<'a>> {
    let request = Request {
        workloads,
        device: from.device,
        options: from.options,
        reporter: from.reporter,
    };
    let prober = std::mem::replace(&mut from.prober, Prober::new(from.device, None));
    // What a plan without moves had loaded makes room.
    from.loaded.borrow_mut().leave(&[]);
    let mut session = Session::over(
        request,
        prober,
        (Loaded::default(), from.metric.clone()),
        data,
        from.limit.clone(),
    )?;
    session.original_ms = from.predict_original();
    Ok(session)
}

/// The moves that the plan for the goals makes use of.
fn used(
    plain: &mut Session,
    session: &mut Session,
    search: &Search,
    (before, ready): (&Search, Option<&Ready>),
) -> Result<Reparametrization> {
    let goals = plain.options.goals;
    let point: Option<ParetoPoint> = match goals.only_drop() {
        true => {
            let share = ready.and_then(|r| plain.predicted_share(&r.plan)).unwrap_or(SHARE);
            search
                .frontier(search.latency())
                .within(share * before.whole[Metric::Latency])
        }
        false => within(search, &limits(goals, search)).ok(),
    };
    let mut found = Reparametrization {
        seed: session.opened.equal_to.as_ref().map_or(0, |e| e.moves.seed),
        ..Reparametrization::default()
    };
    let (Some(point), Some(equal)) = (point, &session.opened.equal_to) else {
        return Ok(found);
    };
    let plan = search.plan(&point);
    let narrower = |name: &str| group_of(session, name).filter(|g| plan.counts.contains_key(g));
    found.rotated = equal
        .moves
        .rotated
        .iter()
        .filter(|n| narrower(n).is_some())
        .cloned()
        .collect();
    let cut: Vec<Pair> = equal
        .moves
        .pairs
        .iter()
        .filter(|p| narrower(&p.inner).is_some())
        .cloned()
        .collect();
    for pair in cut {
        if pays(plain, session, &plan, &pair)? {
            found.pairs.push(pair);
        }
    }
    Ok(found)
}

/// The group of a value's channels.
fn group_of(session: &Session, name: &str) -> Option<usize> {
    let groups = &session.analysis().groups;
    let dependencies = &session.analysis().dependencies;
    let holds = |g: &&crate::channels::Group| g.places.iter().any(|(v, _)| dependencies.value(*v).name == name);
    groups.iter().find(holds).map(|g| g.id)
}

/// Whether two layers take less than one at the widths of a plan: less time where a latency is the goal, fewer multiply-accumulates
/// otherwise.
fn pays(plain: &mut Session, session: &mut Session, plan: &Plan, pair: &Pair) -> Result<bool> {
    let counts = session.counts(plan);
    let width = |name: &str| group_of(session, name).map(|g| counts[g] * session.analysis().groups[g].unit);
    let layer = session.graph.producer.get(pair.inner.as_str()).copied();
    let layer = layer.and_then(|n| crate::ops::LinearOp::of(&session.graph, n));
    let (Some(layer), Some(inner), Some(outputs)) = (layer, width(&pair.inner), width(&pair.output)) else {
        return Ok(false);
    };
    let inputs = width(&layer.input).unwrap_or(layer.inputs);
    let (one, two) = (inputs * layer.taps * outputs, inner * (inputs * layer.taps + outputs));
    let goals = plain.options.goals;
    if goals.limits[Metric::Latency].is_none() && !goals.only_drop() {
        return Ok(two as f64 <= WORTH * one as f64);
    }
    let same = SameWidths::between(session.analysis(), plain.analysis());
    let mut there: ChannelCounts = plain.present();
    for (g, &count) in counts.iter().enumerate() {
        if let Some(h) = same.of(g) {
            there[h] = count;
        }
    }
    let of_node = |session: &Session, name: &str| -> Vec<usize> {
        let at = session.graph.producer.get(name).copied();
        let layers = session.costs.layers().iter().enumerate();
        layers.filter(|(_, l)| Some(l.node) == at).map(|(i, _)| i).collect()
    };
    let single = of_node(plain, &pair.output);
    let both: Vec<usize> = [&pair.inner, &pair.output]
        .iter()
        .flat_map(|n| of_node(session, n))
        .collect();
    let progress = plain.progress();
    let at = |layers: &[usize], counts: &ChannelCounts| {
        vec![LayersAt {
            layers: layers.to_vec(),
            counts: counts.clone(),
        }]
    };
    plain
        .costs
        .require(&mut session.prober, &at(&single, &there), &progress)?;
    session
        .costs
        .require(&mut session.prober, &at(&both, &counts), &progress)?;
    let times = plain.costs.of(&single, &there).zip(session.costs.of(&both, &counts));
    Ok(times.is_some_and(|(one, two)| two.ms <= WORTH * one.ms))
}
