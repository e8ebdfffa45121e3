//! The main job: from a model and a device to a faster model, or to the reason why there is none.
//!
//! A `Session` holds what a job works with. Three strategies use it: `lossless`, `lossy` and `offline`. What they
//! find goes through one `proof`. Gates (`dynamic`) come on top of the result.

mod alone;
mod datasets;
mod distillation;
mod distilling;
mod drop_told;
mod dynamic;
mod equal;
mod fitting;
mod input;
mod judged;
mod kept;
mod latency_steps;
mod likeness;
mod lossless;
mod lossy;
mod memory;
mod needs;
mod offline;
mod opened;
mod options;
mod outcome;
mod pictures;
mod prepare;
mod proof;
mod provider_race;
mod race;
mod record;
mod reporter;
mod samples;
mod scope;
mod session;
mod sound;
mod stopwatch;
mod video;
mod workload;

pub use datasets::{Datasets, JudgedBy, SampleSources};
pub use distillation::Distillation;
pub use distilling::{Distilling, distilled};
pub use equal::{Directions, EqualModels};
pub use fitting::{ActivationScales, Calibrated, Fitted, Fitting, fitted, gives_no_numbers};
pub use input::{SORTED, open};
pub use judged::{judged, labels_serve};
pub use needs::{Alternative, Needs, needs};
pub use opened::{EqualTo, Opened};
pub use options::{
    Allowed, Amount, Dynamics, ForeignTimes, Goals, GrowInit, Growth, Judging, Mode, Options, Placement, SampleSource,
    WhenSlower,
};
pub use outcome::{
    Calibration, ChosenPoint, Counted, Declined, Dynamic, GateDrop, GateRow, GoalAhead, GroupRow, LatencyCurve,
    LatencyStep, LatencySteps, MeasuredPoint, MoveRow, NoGates, Outcome, ParetoRow, Pictures, Probes, ProviderSettings,
    SamplePicture, use_of,
};
pub use provider_race::{Contender, SettingsRace, race_settings};
pub use reporter::{NoReporter, ProgressReporter, Step};
pub use samples::Samples;
pub use session::counts;
pub use stopwatch::{StepTime, Stopwatch};
pub use video::{VideoFile, VideoOptions, VideoOutcome, VideoStage, video};
pub use workload::{Known, Workload};

use crate::device::{Device, Limit};
use crate::plan::{Candidates, ChannelCounts, LayersAt};
use crate::profile::{Database, DriftCheck, Noise};
use crate::{Error, Result};
use prepare::{Request, limit};
use session::Session;

/// Optimizes a model on a device, for the weighted sum of its workloads' latencies.
///
/// # Errors
/// When a probe or a run fails. That no plan helps is no error: see [`Outcome::model`].
pub fn optimize(
    workloads: &[Workload],
    device: &dyn Device,
    known: Known,
    options: &Options,
    reporter: &dyn ProgressReporter,
) -> Result<Outcome> {
    if let Some(outcome) = refused(workloads, device, options) {
        return Ok(outcome);
    }
    let prepared = Prepared::new(Request {
        workloads,
        device,
        options,
        reporter,
    })?;
    let equal = EqualModels::default();
    let mut session = prepared.session(known)?;
    let mut outcome = if options.goals.any() {
        lossy::run(&mut session, &prepared.data, &equal)?
    } else if device.timer().is_some() {
        lossless::run(&mut session)?
    } else {
        offline::run(&mut session)?
    };
    outcome.notes.extend(prepared.data.notes.iter().cloned());
    outcome.reading.clone_from(&session.judged.reading);
    describe(&mut outcome, &mut session)?;
    outcome.picture(&session)?;
    outcome.notes.extend(unmoved(&outcome));
    if options.goals.any() && options.allowed.rotation && options.calib.is_some() {
        let opened = workloads.first().map(|w| &w.opened);
        outcome
            .notes
            .extend(opened.map(equal::unrotated).transpose()?.flatten());
    }
    if !options.goals.any() && outcome.model.is_none() && !outcome.nothing_to_change() && !session.limit.is_up() {
        outcome.goals_ahead = lossy::ahead(&mut session)?;
    }
    if let Some(dynamics) = options.dynamics {
        outcome.dynamic = Some(dynamic::run(&session, &outcome, dynamics)?);
    }
    Ok(outcome)
}

/// Plans that lose least at every latency, `measured` of them measured.
///
/// # Errors
/// When a probe or a run fails.
pub fn pareto(
    workloads: &[Workload],
    device: &dyn Device,
    database: Option<Database>,
    options: &Options,
    measured: usize,
    reporter: &dyn ProgressReporter,
) -> Result<Vec<ParetoRow>> {
    let known = Known {
        database,
        ..Known::default()
    };
    let prepared = Prepared::new(Request {
        workloads,
        device,
        options,
        reporter,
    })?;
    let mut session = prepared.session(known)?;
    let rows = lossy::pareto(&mut session, measured)?;
    session.prober.untraced.iter().for_each(|why| reporter.note(why));
    Ok(rows)
}

/// The latencies that a job expects of plans, milliseconds; a plan is the channel counts of all groups.
///
/// # Errors
/// When a probe or a run fails, or nothing is known of a layer.
pub fn predicted(
    workloads: &[Workload],
    device: &dyn Device,
    known: Known,
    options: &Options,
    plans: &[ChannelCounts],
    reporter: &dyn ProgressReporter,
) -> Result<Vec<f64>> {
    let prepared = Prepared::new(Request {
        workloads,
        device,
        options,
        reporter,
    })?;
    let mut session = prepared.session(known)?;
    let wanted = |counts: &ChannelCounts| LayersAt {
        layers: session.costs.all(),
        counts: counts.clone(),
    };
    let wanted: Vec<LayersAt> = plans.iter().map(wanted).collect();
    session
        .costs
        .require(&mut session.prober, &wanted, &|done, all| reporter.progress(done, all))?;
    let latency = |counts| session.costs.predict(counts);
    let latencies: Option<Vec<f64>> = plans.iter().map(latency).collect();
    latencies.ok_or_else(|| Error::device("a layer was not timed"))
}

/// What a session is opened on.
struct Prepared<'a> {
    request: Request<'a>,
    /// Counted from before the samples are read.
    limit: Limit,
    data: Datasets,
}

impl<'a> Prepared<'a> {
    /// Reads the samples that the options name, as the first workload takes them.
    fn new(request: Request<'a>) -> Result<Self> {
        let (device, options) = (request.device, request.options);
        options.check()?;
        let limit = limit(device, options);
        let mut data = match request.workloads.first() {
            Some(workload) => {
                let sources = SampleSources {
                    eval: options.eval.as_ref(),
                    calib: options.calib.as_ref(),
                    judged_by: JudgedBy::of(options.metric.as_ref()),
                    judging: &options.judging,
                };
                Datasets::read(&workload.opened, device, sources, request.reporter)?
            }
            None => Datasets::default(),
        };
        if options.goals.only_drop() {
            data.divide(options.seed);
        }
        Ok(Self { request, limit, data })
    }

    fn session(&'a self, known: Known) -> Result<Session<'a>> {
        Session::begin(self.request, known, &self.data, self.limit.clone())
    }
}

/// What comes out, at once, where no width may change and nothing else can be made.
pub fn refused(workloads: &[Workload], device: &dyn Device, options: &Options) -> Option<Outcome> {
    let opened = &workloads.first()?.opened;
    let no_shares = || {
        opened
            .no_shares()
            .filter(|_| options.split_seed().is_some() && !options.goals.any())
    };
    let why = opened.nothing_to_change(options.goals.any()).or_else(no_shares)?;
    let calibrated = |d: Dynamics| options.calib.is_some() || d.keep.is_some();
    // Gates need convolutions, but no width that may change.
    let gates = options.dynamics.is_some_and(calibrated) && !options.goals.any();
    if gates && !opened.timed.is_empty() {
        return None;
    }
    let mut outcome = Outcome::new(opened, device.info(), &Candidates::new(), Probes::default());
    outcome.declined = Some(Declined::NothingToChange(why));
    outcome.dynamic = options.dynamics.map(|_| Dynamic::none(NoGates::NothingToMakeItFrom));
    Some(outcome)
}

/// What the user should know of a metric that does not move.
fn unmoved(outcome: &Outcome) -> Option<String> {
    let differ = outcome.agreement.as_ref().is_some_and(|a| !a.holds());
    let scores = outcome
        .metric
        .as_ref()
        .filter(|m| m.original == m.rewritten && differ)?;
    Some(format!(
        "the metric {} gives {} for both models, though their outputs differ: where it does so for all models, it does not depend on the \
         outputs, and limits nothing",
        scores.name, scores.original
    ))
}

/// A run may take so many times what its kernels take.
const HOST_BOUND: f64 = 1.25;

/// What the user should know of a run that the host cannot launch as fast as the device works.
fn host_bound(session: &Session) -> Option<String> {
    if session.device.info().captures_runs() {
        return None;
    }
    let (idle, whole) = (session.costs.idle_ms()?, session.costs.predict(&session.present())?);
    let kernels = whole - idle;
    (whole > HOST_BOUND * kernels).then(|| {
        format!(
            "the device waits for the host: its kernels take {kernels:.2} of the {whole:.2} ms of a run, the rest goes to launching them and \
             to nodes on the CPU; captured as a graph, a model without such nodes takes little more than its kernels"
        )
    })
}

/// What the provider leaves to the CPU.
fn left_to_cpu(session: &Session) -> Result<Option<String>> {
    let Some((timer, (inputs, _))) = session.device.timer().zip(session.inputs.first()) else {
        return Ok(None);
    };
    let operators = match timer.left_to_cpu(session.timed_original(), inputs) {
        Err(Error::Stopped) => return Err(Error::Stopped),
        // What only informs does not end a job that is done.
        Err(e) => return Ok(Some(format!("what the provider leaves to the CPU is not known: {e}"))),
        Ok(operators) => operators,
    };
    if operators.is_empty() {
        return Ok(None);
    }
    let mut named = std::collections::BTreeMap::<&str, usize>::new();
    operators.iter().for_each(|op| *named.entry(op).or_default() += 1);
    let named: Vec<String> = named.iter().map(|(op, count)| format!("{count} {op}")).collect();
    Ok(Some(format!(
        "the provider leaves {} nodes to ONNX Runtime's CPU provider: {}",
        operators.len(),
        named.join(", ")
    )))
}

/// Adds what every report holds: how it was measured, and how long layers take at other widths.
fn describe(outcome: &mut Outcome, session: &mut Session) -> Result<()> {
    let up = session.limit.is_up();
    if up {
        outcome.cut_short(session.prober.skipped);
    }
    latency_steps::draw(outcome, session)?;
    let drift = match session.limit.is_up() {
        true => DriftCheck::Skip,
        false => DriftCheck::Measure,
    };
    outcome.noise = Noise {
        racing_drift: outcome.noise.racing_drift,
        ..session.prober.noise(drift)?
    };
    outcome.notes.extend(host_bound(session));
    if !up && let Some(note) = left_to_cpu(session)? {
        session.reporter.note(&note);
        outcome.notes.push(note);
    }
    let prober = &session.prober;
    for why in prober.unhelped.iter().chain(&prober.untraced) {
        session.reporter.note(why);
        outcome.notes.push(why.clone());
    }
    Ok(())
}
