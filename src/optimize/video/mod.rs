//! A model as files for video: cuts by measured time, change that counts by measured loss.

mod context;
mod counts;
mod exact;
mod ladder;
mod loss;
mod outcome;
mod ranges;
mod timing;

use std::collections::{HashMap, HashSet};

use super::options::Judging;
use super::reporter::{ProgressReporter, Step};
use super::{Opened, judged};
use crate::Result;
use crate::channels::Shapes;
use crate::data::Dataset;
use crate::device::{Device, Limit};
use crate::error::Error;
use crate::gate::raise_opset;
use crate::onnx::{Dtype, Graph, encode};
use crate::video::{CutFor, Numbers, VideoModel, VideoPlan, planned};
use context::VideoSearch;
use counts::{Counts, counts};
use exact::apart;
use ranges::ranges;
use timing::{Entry, timed};

pub use outcome::{VideoFile, VideoOutcome, VideoStage};

/// The share of the frame that cuts are chosen at where frames show no change.
const TYPICAL: f64 = 0.08;
/// What stages are taken to cost so that everything becomes one: then frames show what they touch everywhere.
const ALWAYS: f64 = 1e-9;
/// What stages are taken to cost over what is expected, from cut to cut.
const WEIGHTS: [f64; 3] = [0.6, 1.0, 1.7];
/// Shares of the range that may count as change, the largest first.
const FACTORS: [f64; 5] = [0.1, 0.05, 0.025, 0.012, 0.006];
/// Frames that a search wants; with fewer its loss is told, but means little.
const FEW: usize = 8;
/// The largest difference of exact files, over the range of the outputs.
const EXACT: f64 = 1e-4;

/// What is asked of video files.
#[derive(Clone, Debug)]
pub struct VideoOptions {
    /// What the outputs may lose; 0: nothing, the files are exact.
    pub most_drop: f64,
    /// The model's task.
    pub judging: Judging,
    /// How long the search may go on.
    pub limit: Limit,
}

/// Makes the files of a model from frames in their order.
///
/// # Errors
/// When a run fails. That no files pay is no error: see [`VideoOutcome::declined`].
pub fn video(
    opened: &Opened,
    device: &dyn Device,
    data: &Dataset,
    options: &VideoOptions,
    reporter: &dyn ProgressReporter,
) -> Result<VideoOutcome> {
    let declined = |why: &str| VideoOutcome {
        declined: Some(why.to_owned()),
        ..VideoOutcome::default()
    };
    let [frame] = opened.specs.as_slice() else {
        return Ok(declined("the model has several inputs, and frames are one"));
    };
    if frame.dtype != Dtype::Float || frame.dims.len() != 4 || frame.dims.first() != Some(&1) {
        return Ok(declined(
            "frames are one input of 32-bit floats, 1×channels×rows×columns",
        ));
    }
    let mut model = opened.original().clone();
    if let Err(why) = raise_opset(&mut model) {
        return Ok(declined(&why));
    }
    let graph = Graph::of(&model)?;
    if !graph.replaceable.is_empty() {
        return Ok(declined(
            "weights are graph inputs that callers may replace; fix them as constants first",
        ));
    }
    let data = &data.in_runs_of(1);
    if data.count() < 2 {
        return Ok(declined("one frame shows no change: give several, in their order"));
    }
    let spec = judged(&model, &opened.specs, device, Some(data), &options.judging)?;
    let reading = spec
        .reading
        .ok_or_else(|| Error::Usage("the outputs hold no numbers".to_owned()))?;
    let origin = blake3::hash(&encode(&model)).to_hex().to_string();
    let search = VideoSearch {
        device,
        reporter,
        model: &model,
        origin: &origin,
        graph: &graph,
        data,
        reading: &reading,
        most_drop: options.most_drop,
        limit: &options.limit,
    };
    if let Some(outcome) = search.run(&search.plans(&opened.shapes, &frame.name)?)? {
        return Ok(outcome);
    }
    if search.limit.is_up() {
        return Ok(declined(
            "the time was up before a threshold was found that loses little enough",
        ));
    }
    let exact = VideoSearch {
        most_drop: 0.0,
        ..search
    };
    let outcome = exact.run(&exact.plans(&opened.shapes, &frame.name)?)?;
    Ok(outcome.unwrap_or_default())
}

impl VideoSearch<'_> {
    fn plans(&self, shapes: &Shapes, frame: &str) -> Result<Vec<VideoPlan>> {
        self.reporter.step(Step::SearchPlans);
        let share = TYPICAL;
        let plan = |weight: f64, seen: &HashMap<String, f64>, runs: bool| {
            planned(self.graph, shapes, frame, CutFor { share, weight, runs }, seen)
        };
        let seen = match plan(ALWAYS, &HashMap::new(), false) {
            Some(plan) => match self.seen(&plan) {
                Err(Error::Session(_)) => HashMap::new(),
                seen => seen?,
            },
            None => HashMap::new(),
        };
        // Exact files go on until nothing is left, which runs of layers do not promise.
        let runs = self.most_drop > 0.0;
        let mut known = HashSet::new();
        let plans = WEIGHTS.iter().filter_map(|weight| plan(*weight, &seen, runs));
        Ok(plans.filter(|p| known.insert(format!("{:?}", p.described()))).collect())
    }

    /// What comes of the plans; `None` where files of a plan with runs of layers lose too much with every threshold.
    fn run(&self, plans: &[VideoPlan]) -> Result<Option<VideoOutcome>> {
        let mut outcome = VideoOutcome::default();
        if self.data.count() < FEW {
            outcome.notes.push(format!(
                "{} frames are too few to choose a threshold by: take {FEW} or more, in their order",
                self.data.count()
            ));
        }
        self.reporter.step(Step::TimeGates);
        let Some((plan, numbers)) = self.fastest(plans)? else {
            outcome.declined = Some("nothing of the model can be computed by tiles".to_owned());
            return Ok(Some(outcome));
        };
        let video = self.of(plan);
        outcome.stages = plan
            .described()
            .into_iter()
            .map(|(name, tiles, nodes, tile, windows)| VideoStage {
                name,
                tiles,
                nodes,
                tile,
                windows,
            })
            .collect();
        self.reporter.step(Step::JudgeGates);
        let Some(models) = self.chosen(&video, &numbers, &mut outcome)? else {
            return Ok(None);
        };
        if outcome.declined.is_some() {
            return Ok(Some(outcome));
        }
        self.reporter.step(Step::VerifyDynamic);
        let exact = self.exact_files(&video, &numbers, &outcome)?;
        let difference = apart(self, &exact)?;
        outcome.exact_difference = Some(difference);
        if difference > EXACT {
            outcome.files.clear();
            outcome.declined = Some(format!(
                "the outputs of exact files differ by {difference:.1e} of their range"
            ));
            return Ok(Some(outcome));
        }
        for (file, model) in outcome.files.iter_mut().zip(models) {
            file.model = model;
        }
        Ok(Some(outcome))
    }

    /// The share of the range that plans are made for: the largest but one, as cameras' noise is mostly below it.
    fn planned_for(&self) -> f64 {
        if self.most_drop > 0.0 { FACTORS[1] } else { 0.0 }
    }

    fn counts(&self, video: &VideoModel, numbers: &Numbers, factor: f64) -> Result<Counts> {
        counts(self, video, numbers, factor, (self.data.count() * 2 / 3).max(2))
    }

    /// The shares of the places of maps that a frame in the middle touches; empty where none changes.
    fn seen(&self, plan: &VideoPlan) -> Result<HashMap<String, f64>> {
        let video = self.of(plan);
        let counts = self.counts(&video, &ranges(self, &video)?, self.planned_for())?;
        let computed = counts.typical(plan).and_then(|share| counts.computed(plan, share));
        Ok(computed.map_or_else(HashMap::new, |computed| plan.shares(&computed)))
    }

    fn of<'v>(&'v self, plan: &'v VideoPlan) -> VideoModel<'v> {
        VideoModel {
            model: self.model,
            graph: self.graph,
            plan,
            origin: self.origin,
        }
    }

    /// The file of a plan for a frame like most, with the ranges of its maps.
    fn entry(&self, plan: &VideoPlan) -> Result<(Entry, Numbers)> {
        let video = self.of(plan);
        let numbers = ranges(self, &video)?;
        let counts = self.counts(&video, &numbers, self.planned_for())?;
        let computed = counts.typical(plan).and_then(|share| counts.computed(plan, share));
        let computed = computed.unwrap_or_else(|| plan.computed(TYPICAL));
        let model = video.tiles(&numbers, &computed, 1.0)?;
        Ok((Entry::tiles(self, &video, &numbers, &model)?, numbers))
    }

    /// The plan whose file for a frame like most takes least, with the ranges of its maps.
    fn fastest<'p>(&self, plans: &'p [VideoPlan]) -> Result<Option<(&'p VideoPlan, Numbers)>> {
        let mut all = Vec::new();
        let mut entries = Vec::new();
        let mut refused = None;
        for plan in plans {
            if !entries.is_empty() && self.limit.is_up() {
                break;
            }
            match self.entry(plan) {
                Ok((entry, numbers)) => {
                    entries.push(entry);
                    all.push((plan, numbers));
                }
                // Another plan may be one that ONNX Runtime takes.
                Err(Error::Session(e)) => refused = Some(Error::Session(e)),
                Err(e) => return Err(e),
            }
        }
        if let Some(e) = refused.filter(|_| all.is_empty()) {
            return Err(e);
        }
        let times = timed(self, entries)?;
        let best = times
            .iter()
            .enumerate()
            .min_by(|a, b| a.1.total_cmp(b.1))
            .map(|(k, _)| k);
        Ok(best.and_then(|k| all.into_iter().nth(k)))
    }
}
