//! Latency against width of a model's layers.

use super::device::DeviceSettings;
use super::source::ModelSource;
use super::store::StoreSettings;
use super::turn::take_turn;
use crate::device::{ShapeOptions, Stop, WhenBusy, random_inputs};
use crate::onnx::{Graph, encode, with_node_names};
use crate::optimize::{LatencySteps, ProgressReporter, Step};
use crate::profile::{Prober, Problem, Profile, Roofline, WholeModel, layers, roofline};
use crate::report::profile_html;
use crate::{Error, Result};

/// Settings of timing layers.
#[derive(Clone, Debug)]
pub struct ProfileSettings {
    /// The device and the library.
    pub device: DeviceSettings,
    /// The latency databases.
    pub store: StoreSettings,
    /// What to do while another process times on the device.
    pub on_busy: WhenBusy,
    /// The input shapes.
    pub shapes: ShapeOptions,
    /// Every output width that is a multiple of this is timed; `None`: the steps are searched for with a tenth of the widths.
    pub step: Option<usize>,
    /// Widths up to this many times the present one, and down to its inverse.
    pub reach: f64,
}

/// A model's latency steps, timed.
#[derive(Debug)]
pub struct ProfiledModel {
    /// What was timed or known.
    pub profile: Profile,
    /// Layers with different problems.
    pub layers: Vec<ProfiledLayer>,
    /// The same for programs.
    pub latency_steps: Vec<LatencySteps>,
    /// The nodes of the whole model against the limits of the device, where single nodes are timed.
    pub roofline: Option<Roofline>,
    /// A page of both.
    pub html: String,
    /// The device.
    pub described: String,
    /// Why there is no layer to time, if there is none.
    pub nothing: Option<String>,
    /// Problems timed in this run, and known before.
    pub made: usize,
    /// Known before.
    pub reused: usize,
}

/// A layer with the output widths that were looked at.
#[derive(Clone, Debug)]
pub struct ProfiledLayer {
    /// Its name.
    pub name: String,
    /// Its problem at the present width.
    pub problem: Problem,
    /// The widths.
    pub widths: Vec<usize>,
}

/// Times the layers of a model at a range of widths, and its nodes as they run.
///
/// # Errors
/// When the model cannot be read, the device is not there, or a probe fails.
pub fn profile_model(
    source: &ModelSource,
    settings: &ProfileSettings,
    stop: &Stop,
    reporter: &dyn ProgressReporter,
) -> Result<ProfiledModel> {
    let runtime = settings.device.runtime(stop)?;
    let device = settings.device.open(&runtime)?;
    reporter.step(Step::ReadModel);
    let opened = source.open(&runtime, &settings.shapes)?;
    let graph = opened.graph()?;
    let mut found: Vec<ProfiledLayer> = Vec::new();
    let mut latency_steps: Vec<LatencySteps> = Vec::new();
    for layer in layers(&graph, &opened.analysis) {
        match latency_steps.iter_mut().find(|s| s.problem == layer.problem) {
            Some(same) => same.layers.push(layer.name.clone()),
            None => {
                found.push(ProfiledLayer {
                    name: layer.name.clone(),
                    problem: layer.problem.clone(),
                    widths: layer.problem.widths(settings.step.unwrap_or(1), settings.reach),
                });
                latency_steps.push(LatencySteps::new(&layer.name, &layer.problem));
            }
        }
    }
    let mut prober = Prober::new(device.as_ref(), settings.store.open()?);
    let turn = take_turn(device.as_ref(), settings.on_busy, stop, reporter)?;
    reporter.step(Step::TimeWidths);
    if settings.step.is_some() {
        let all: Vec<Problem> = found
            .iter()
            .flat_map(|l| l.widths.iter().map(|&w| l.problem.with_output(w)))
            .collect();
        prober.require(&all, &|done, total| reporter.progress(done, total))?;
    } else {
        search(&mut prober, &found, reporter)?;
    }
    reporter.step(Step::TimeNodes);
    let named = with_node_names(&opened.proto);
    let model = encode(&named);
    let whole = WholeModel {
        graph: &Graph::of(&named)?,
        analysis: &opened.analysis,
        bytes: &model,
    };
    let roofline = match roofline(&prober, whole, &random_inputs(&opened.specs, 0, 1.0)?) {
        Err(Error::Stopped) => return Err(Error::Stopped),
        Err(why) => {
            reporter.note(&format!("the nodes of the whole model are not shown: {why}"));
            None
        }
        Ok(found) => found,
    };
    drop(turn);
    prober.untraced.iter().for_each(|why| reporter.note(why));
    latency_steps.iter_mut().for_each(|s| s.look_up(&prober));
    LatencySteps::set_shares(&mut latency_steps, &prober);
    let described = settings.device.describe(device.as_ref());
    Ok(ProfiledModel {
        html: profile_html(&source.file_name(), &described, roofline.as_ref(), &latency_steps)?,
        roofline,
        latency_steps,
        layers: found,
        described,
        nothing: opened.nothing_timed(),
        made: prober.made,
        reused: prober.reused,
        profile: Profile {
            schema_version: 1,
            device: device.info().clone(),
            records: prober.records(),
        },
    })
}

/// At most a tenth of the widths is timed, but at least this many.
const FEW: usize = 5;

/// Searches each layer for its latency steps.
fn search(prober: &mut Prober, layers: &[ProfiledLayer], reporter: &dyn ProgressReporter) -> Result<()> {
    // The first widths of all in common sessions, then each layer's own.
    let present: Vec<Problem> = layers.iter().map(|l| l.problem.clone()).collect();
    prober.require(&present, &|done, total| reporter.progress(done, total))?;
    for (k, layer) in layers.iter().enumerate() {
        reporter.progress(k, layers.len());
        prober.find_steps(&layer.problem, &layer.widths, (layer.widths.len() / 10).max(FEW))?;
    }
    Ok(())
}
