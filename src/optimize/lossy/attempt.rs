//! One way to reach goals: a plan with its fitted weights, and the proof of what it makes.

use std::time::{Duration, Instant};

use super::acceptance::GoalsMet;
use super::by_drop::by_drop;
use super::chosen::Chosen;
use super::fit::{far_off, fit, measured_loss};
use super::limits::limits;
use super::measure::measure;
use super::search::Search;
use super::target::by_use;
use crate::Result;
use crate::optimize::distilling::{Distilling, distilled};
use crate::optimize::fitting::Fitted;
use crate::optimize::options::Goals;
use crate::optimize::outcome::{Calibration, ChosenPoint, Declined, NoPlan, Outcome};
use crate::optimize::samples::Samples;
use crate::optimize::session::Session;
use crate::plan::Plan;
use crate::score::value_bytes;
use crate::verify::Interval;

/// Seconds for a benchmark of plans that are compared by their speed.
const SECONDS: f64 = 3.0;

/// Gradient steps have at least one part in so many of the time budget.
const FOR_THE_STEPS: u32 = 8;
/// Seconds that they may take however short the job was.
const LEAST_SECONDS: f64 = 600.0;

/// A plan with its model.
pub(super) struct Ready {
    pub plan: Plan,
    /// Its predicted loss.
    pub loss: f64,
    pub fitted: Fitted,
    notes: Vec<String>,
    fit_seconds: f64,
}

impl Ready {
    /// The plan that reaches the goals and loses least, with fitted weights; or why there is none.
    pub fn find(session: &Session, search: &Search, goals: Goals) -> Result<std::result::Result<Self, Declined>> {
        let chosen = match choose(session, search, goals) {
            Ok(chosen) => chosen,
            Err(NoPlan::Failed(error)) => return Err(error),
            Err(NoPlan::Declined(why)) => {
                let up = session.prober.skipped > 0 || session.limit.is_up();
                return Ok(Err(if up { Declined::CutShort(Box::new(why)) } else { why }));
            }
        };
        let began = Instant::now();
        let fitted = match chosen.fitted {
            Some(fitted) => fitted,
            None => fit(session, &chosen.plan)?,
        };
        Ok(Ok(Self {
            plan: chosen.plan,
            loss: chosen.loss,
            fitted,
            notes: chosen.notes,
            fit_seconds: began.elapsed().as_secs_f64(),
        }))
    }

    /// What it loses on the samples that choose.
    pub fn chosen_by(&self) -> f64 {
        self.fitted.chosen_by.map_or(f64::INFINITY, |j| j.loss())
    }

    /// Its measured latency over the original's.
    ///
    /// # Errors
    /// When a run fails.
    pub fn ratio(&self, session: &Session) -> Result<f64> {
        Ok(measure(session, &self.plan, SECONDS)?.ratio)
    }

    /// The same after gradient steps on all weights together, where they were asked for.
    ///
    /// # Errors
    /// When a model cannot be run.
    pub fn distilled(self, session: &Session, spent: f64) -> Result<Self> {
        let Some(samples) = &session.samples else {
            return Ok(self);
        };
        let began = Instant::now();
        let options = session.options;
        if options.distill > 0 && options.goals.max_drop.is_some() {
            let mut stays = self;
            let why =
                "no gradient steps were made: what may be lost decides which model is taken, and they would change it";
            stays.notes.push(why.to_owned());
            return Ok(stays);
        }
        let how = Distilling {
            steps: options.distill,
            at_most: Duration::from_secs_f64((spent + self.fit_seconds).max(LEAST_SECONDS)),
            seed: options.seed,
            values: value_bytes(session.analysis(), samples.data.declared()),
        };
        let limit = session
            .limit
            .at_least(options.time_budget.unwrap_or_default() / FOR_THE_STEPS);
        let original = &session.opened.proto;
        let fitted = distilled(
            session.device,
            original,
            self.fitted,
            samples,
            how,
            session.reporter,
            &limit,
        )?;
        let fit_seconds = self.fit_seconds + began.elapsed().as_secs_f64();
        Ok(Self {
            fitted,
            fit_seconds,
            ..self
        })
    }

    /// Proves the model, and says what was lost where.
    ///
    /// # Errors
    /// When a run fails.
    pub fn prove(
        self,
        session: &Session,
        search: &Search,
        mut outcome: Outcome,
        search_seconds: f64,
    ) -> Result<Outcome> {
        let fitted = &self.fitted;
        let seconds = (search_seconds, self.fit_seconds);
        outcome.calibration = Some(calibration(session, fitted, self.loss, seconds));
        outcome.chosen = Some(ChosenPoint {
            latency: session.predicted_share(&self.plan).unwrap_or(1.0),
            loss: self.loss,
            measured: None,
            held_out_loss: fitted.held_out().map(|h| h.loss()),
        });
        outcome.notes.extend(self.notes);
        outcome.notes.extend(far_off(self.loss, measured_loss(session, fitted)));
        outcome.notes.extend(fitted.notes.iter().cloned());
        let acceptance = GoalsMet {
            options: session.options,
            broken: fitted.is_broken(),
        };
        session.conclude(&mut outcome, &self.plan, &fitted.proto, &acceptance)?;
        if outcome.model.is_some() {
            explain(&mut outcome, session, search, &self.plan);
        }
        Ok(outcome)
    }
}

/// What the samples served for, and what they say of a plan whose parts lose `loss`. Seconds to search and to fit.
fn calibration(session: &Session, fitted: &Fitted, loss: f64, seconds: (f64, f64)) -> Calibration {
    let samples = session.samples.as_ref();
    let of = |runs: fn(&Samples) -> std::ops::Range<usize>| samples.map_or(0, |s| s.data.samples_of(runs(s)));
    let judged_on = of(|s| s.told.clone());
    let held_out = fitted.held_out();
    let agreement = held_out.and_then(|h| h.agreement());
    // Positions of one sample are no samples of their own.
    let interval = |share: f64| Interval::of_share((share * judged_on as f64).round() as usize, judged_on);
    Calibration {
        samples: samples.map_or(0, |s| s.data.count()),
        fitted_on: of(|s| s.fit.clone()),
        chosen_on: of(Samples::held_out_runs),
        judged_on: of(|s| if s.held_out() { s.told.clone() } else { 0..0 }),
        left_out: samples.map_or(0, |s| s.left_out),
        predicted_loss: loss,
        losses: fitted.losses.clone(),
        activation_scales: fitted.activation_scales.clone(),
        distillation: fitted.distillation.clone(),
        held_out_loss: held_out.map(|h| h.loss()),
        held_out_agreement: agreement,
        held_out_interval: agreement.map(interval),
        search_seconds: seconds.0,
        fit_seconds: seconds.1,
    }
}

/// The plan that reaches the goals and loses least.
fn choose(session: &Session, search: &Search, goals: Goals) -> std::result::Result<Chosen, NoPlan> {
    let mut limits = limits(goals, search);
    match goals.max_drop {
        Some(most) if limits.is_empty() => by_drop(session, search, most),
        _ => by_use(session, search, goals, &mut limits),
    }
}

/// Says of the written model what was lost where, and what of that is a guess.
fn explain(outcome: &mut Outcome, session: &Session, search: &Search, plan: &Plan) {
    let blind: Vec<String> = plan
        .counts
        .keys()
        .filter(|g| search.blind.contains(g))
        .map(usize::to_string)
        .collect();
    if !blind.is_empty() {
        outcome.unverified.push(format!(
            "loss: that of group {} is guessed blindly, as the values behind are made by operators without a rule; judge \
             it on calibration samples",
            blind.join(", ")
        ));
    }
    outcome.narrowed(session, plan, &|g, n| search.loss(g, n));
}
