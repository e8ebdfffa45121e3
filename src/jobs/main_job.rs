//! The main job: a model optimized on a device, with its reports.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::context::DeviceContext;
use super::device::{DeviceSettings, SettingsSearch};
use super::helper::Opening;
use super::probe_helpers::HelperProcesses;
use super::provider_settings::{self, Raced};
use super::session_helpers::SessionProcesses;
use super::source::ModelSource;
use super::store::StoreSettings;
use super::turn::take_turn;
use super::workloads::{WorkloadShape, open_workloads};
use crate::Result;
use crate::device::{SessionHelpers, Stop, WhenBusy};
use crate::optimize::{Known, Options, Outcome, ProgressReporter, Step, Stopwatch, Workload, optimize, refused};
use crate::profile::ProbeHelpers;
use crate::report::{About, Written, outcome_html, outcome_json, with_provenance};

/// Settings of the main job, and of planning alone.
#[derive(Clone, Debug)]
pub struct MainSettings {
    /// The device and the library.
    pub device: DeviceSettings,
    /// Times recorded earlier.
    pub profile: Option<PathBuf>,
    /// The latency databases.
    pub store: StoreSettings,
    /// What to do while another process times on the device.
    pub on_busy: WhenBusy,
    /// The input shapes; at least one set.
    pub shapes: Vec<WorkloadShape>,
    /// What is planned, and what it should reach.
    pub options: Options,
}

impl MainSettings {
    /// Opens the device that the job is done on.
    ///
    /// # Errors
    /// When the device is not there, or a file cannot be read.
    pub fn context(&self, stop: &Stop) -> Result<DeviceContext> {
        if let Some(budget) = self.options.time_budget {
            stop.allow(budget);
        }
        DeviceContext::open(&self.device, self.profile.as_deref(), &self.store, stop)
    }
}

/// How a job is named in what it writes.
#[derive(Clone, Copy, Debug)]
pub struct Naming<'a> {
    /// The command that repeats it.
    pub command: &'a str,
    /// The name of the written model.
    pub written: &'a str,
    /// What the command takes besides to reach for a latency; whether samples were given.
    pub goal: fn(&str, bool) -> String,
}

/// An optimized model in memory, without provenance.
#[derive(Debug)]
pub struct PlannedModel {
    /// What came out.
    pub outcome: Outcome,
    /// The model as it was opened, at least once.
    pub workloads: Vec<Workload>,
}

/// What the main job gives.
#[derive(Debug)]
pub struct MainOutcome {
    /// What came out; models carry their provenance.
    pub outcome: Outcome,
    /// The report for programs.
    pub json: Value,
    /// The report for people, as a page.
    pub html: String,
}

/// Optimizes a model and makes its reports; writes nothing.
///
/// # Errors
/// When the model or the data cannot be read, the device is not there, a run fails, or it is asked to stop.
pub fn optimize_model(
    context: DeviceContext,
    source: &ModelSource,
    settings: &MainSettings,
    naming: Naming,
    reporter: &dyn ProgressReporter,
) -> Result<MainOutcome> {
    let PlannedModel { mut outcome, workloads } = plan_model(context, source, settings, reporter)?;
    let name = source.file_name();
    if let Some(opened) = workloads.first().map(|w| &w.opened) {
        let about = |gated| Written {
            name: &name,
            command: naming.command,
            gated,
        };
        let model = outcome.model.take();
        outcome.model = model.map(|bytes| with_provenance(bytes, about(false), opened, &outcome));
        let gated = outcome.dynamic.as_mut().and_then(|d| d.model.take());
        let gated = gated.map(|bytes| with_provenance(bytes, about(true), opened, &outcome));
        if let Some(dynamic) = outcome.dynamic.as_mut() {
            dynamic.model = gated;
        }
    }
    for goal in &mut outcome.goals_ahead {
        let flags = (naming.goal)(&goal.goal, settings.options.calib.is_some());
        goal.command = format!("{} {flags}", naming.command);
    }
    let page = About {
        name: &name,
        written: naming.written,
        command: naming.command,
    };
    Ok(MainOutcome {
        json: outcome_json(&source.name, &workloads, &outcome),
        html: outcome_html(page, &workloads, &outcome)?,
        outcome,
    })
}

/// Opens a model at all its input shapes and optimizes it; writes nothing.
///
/// # Errors
/// Those of [`optimize_model`].
pub fn plan_model(
    context: DeviceContext,
    source: &ModelSource,
    settings: &MainSettings,
    reporter: &dyn ProgressReporter,
) -> Result<PlannedModel> {
    let DeviceContext {
        runtime,
        device,
        recorded,
        database,
        pruned,
        turn,
    } = context;
    let reporter = &Stopwatch::new(reporter);
    reporter.step(Step::ReadModel);
    let workloads = open_workloads(source, &runtime, &settings.shapes)?;
    for note in workloads.iter().take(1).flat_map(|w| &w.opened.notes) {
        reporter.note(note);
    }
    let turn = match turn {
        Some(turn) => Some(turn),
        None => take_turn(device.as_ref(), settings.on_busy, &runtime.stop, reporter)?,
    };
    let mut raced = Raced::default();
    // Where time is short, settings that are not asked for are not tried.
    let wanted = match settings.device.search {
        SettingsSearch::Off => false,
        SettingsSearch::Given => settings.options.time_budget.is_none(),
        SettingsSearch::Auto => true,
    };
    if wanted && recorded.is_none() && refused(&workloads, device.as_ref(), &settings.options).is_none() {
        let seed = settings.options.seed;
        reporter.step(Step::RaceSettings);
        raced = provider_settings::raced(
            &settings.device,
            &runtime,
            device.as_ref(),
            &workloads,
            database.as_ref(),
            seed,
        )?;
    }
    // What was judged with other settings says nothing of these.
    let pruned = if raced.device.is_some() { HashSet::new() } else { pruned };
    let (device, cuda) = raced.device.take().unwrap_or((device, settings.device.cuda));
    raced.note.iter().for_each(|note| reporter.note(note));
    let opening = Opening::of(&settings.device, cuda, (device.as_ref(), &runtime));
    let sessions = opening.clone().map(SessionProcesses::new);
    let known = Known {
        database,
        recorded,
        pruned,
        loaded: raced
            .loaded
            .helped_by(sessions.map(|s| Arc::new(s) as Arc<dyn SessionHelpers>)),
        helpers: opening.map(|o| Box::new(HelperProcesses::new(o)) as Box<dyn ProbeHelpers>),
    };
    let outcome = optimize(&workloads, device.as_ref(), known, &settings.options, reporter);
    drop(turn);
    reporter.done();
    let mut outcome = outcome?;
    outcome.seconds = reporter.times();
    outcome.settings = raced.rows;
    outcome.notes.extend(raced.note);
    Ok(PlannedModel { outcome, workloads })
}
