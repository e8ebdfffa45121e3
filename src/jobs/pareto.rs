//! What a narrower model loses against what it takes.

use super::device::DeviceSettings;
use super::source::ModelSource;
use super::store::StoreSettings;
use super::turn::take_turn;
use super::workloads::{WorkloadShape, open_workloads};
use crate::Result;
use crate::device::{Device, Runtime, WhenBusy};
use crate::optimize::{Options, ParetoRow, ProgressReporter, Step, pareto};

/// Settings of a trade-off curve.
#[derive(Clone, Debug)]
pub struct ParetoSettings {
    /// The device and the library.
    pub device: DeviceSettings,
    /// The latency databases.
    pub store: StoreSettings,
    /// What to do while another process times on the device.
    pub on_busy: WhenBusy,
    /// The input shapes; at least one set.
    pub shapes: Vec<WorkloadShape>,
    /// What may be planned, and from what.
    pub options: Options,
    /// How many of the plans are made, timed and judged.
    pub measured: usize,
}

/// A trade-off curve.
#[derive(Debug)]
pub enum ParetoOutcome {
    /// Plans in the order of their latencies.
    Curve(Vec<ParetoRow>),
    /// No width may change, for this reason.
    NothingToChange(String),
}

/// Finds the plans that lose least at every latency.
///
/// # Errors
/// When the model or the data cannot be read, or a run fails.
pub fn trade_off(
    source: &ModelSource,
    settings: &ParetoSettings,
    runtime: &Runtime,
    device: &dyn Device,
    reporter: &dyn ProgressReporter,
) -> Result<ParetoOutcome> {
    let database = settings.store.open()?;
    reporter.step(Step::ReadModel);
    let workloads = open_workloads(source, runtime, &settings.shapes)?;
    if let Some(why) = workloads.first().and_then(|w| w.opened.nothing_to_change(true)) {
        reporter.done();
        return Ok(ParetoOutcome::NothingToChange(why));
    }
    let turn = take_turn(device, settings.on_busy, &runtime.stop, reporter)?;
    let rows = pareto(
        &workloads,
        device,
        database,
        &settings.options,
        settings.measured,
        reporter,
    );
    drop(turn);
    reporter.done();
    rows.map(ParetoOutcome::Curve)
}
