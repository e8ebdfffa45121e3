//! A model as files for video: cuts by measured time, change that counts by measured loss.

mod context;
mod exact;
mod loss;
mod outcome;
mod ranges;
mod timing;

use std::collections::HashSet;

use super::options::Judging;
use super::reporter::{ProgressReporter, Step};
use super::{Opened, judged};
use crate::Result;
use crate::data::Dataset;
use crate::device::Device;
use crate::error::Error;
use crate::gate::raise_opset;
use crate::onnx::{Dtype, Graph, encode};
use crate::video::{CutFor, Manifest, Numbers, VideoModel, VideoPlan, planned};
use context::VideoSearch;
use exact::apart;
use loss::{Played, played};
use ranges::ranges;
use timing::{Entry, timed};

pub use outcome::{VideoFile, VideoOutcome, VideoStage};

/// Shares of the frame that files are made for.
const LADDER: [f64; 4] = [0.03, 0.08, 0.2, 0.4];
/// The share that cuts are chosen at.
const TYPICAL: f64 = 0.08;
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
    let search = VideoSearch {
        device,
        timer: device.require_timer()?,
        reporter,
        model: &model,
        graph: &graph,
        data,
        reading: &reading,
        most_drop: options.most_drop,
    };
    reporter.step(Step::SearchPlans);
    let mut plans: Vec<VideoPlan> = Vec::new();
    let mut known = HashSet::new();
    for weight in WEIGHTS {
        let wanted = CutFor { share: TYPICAL, weight };
        let plan = planned(&graph, &opened.shapes, &frame.name, wanted);
        plans.extend(plan.filter(|p| known.insert(format!("{:?}", p.described()))));
    }
    if plans.is_empty() {
        return Ok(declined("nothing of the model can be computed by tiles"));
    }
    search.run(&plans)
}

/// A file pays that takes no more than this of the model's time.
const PAYS: f64 = 0.98;

impl VideoSearch<'_> {
    fn run(&self, plans: &[VideoPlan]) -> Result<VideoOutcome> {
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
            return Ok(outcome);
        };
        let video = VideoModel {
            model: self.model,
            graph: self.graph,
            plan,
        };
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
        self.ladder(&video, &numbers, &mut outcome)?;
        if outcome.files.len() < 2 {
            outcome.files.clear();
            outcome.declined = Some("no file is faster than the model itself".to_owned());
            return Ok(outcome);
        }
        self.reporter.step(Step::VerifyDynamic);
        let exact = self.files(&video, &numbers, &outcome, 0.0)?;
        let difference = apart(self, &exact)?;
        outcome.exact_difference = Some(difference);
        if difference > EXACT {
            outcome.files.clear();
            outcome.declined = Some(format!(
                "the outputs of exact files differ by {difference:.1e} of their range"
            ));
            return Ok(outcome);
        }
        self.reporter.step(Step::JudgeGates);
        let chosen = self.threshold(&video, &numbers, &mut outcome)?;
        // A few frames tell what files lose before the runner learns how far change spreads, and no more.
        if outcome.predicted_ratio > PAYS && outcome.frames[1] > FEW {
            outcome.files.clear();
            outcome.declined = Some(format!(
                "frames like these take {:.2} of the model's time with files that are each faster: too much of them changes",
                outcome.predicted_ratio
            ));
            return Ok(outcome);
        }
        let models = self.files(&video, &numbers, &outcome, chosen)?;
        for (file, model) in outcome.files.iter_mut().zip(models) {
            file.model = model;
        }
        Ok(outcome)
    }

    /// The plan whose file for a typical share takes least, with the ranges of its maps.
    fn fastest<'p>(&self, plans: &'p [VideoPlan]) -> Result<Option<(&'p VideoPlan, Numbers)>> {
        let mut all = Vec::new();
        let mut entries = Vec::new();
        for plan in plans {
            let video = VideoModel {
                model: self.model,
                graph: self.graph,
                plan,
            };
            let numbers = ranges(self, &video)?;
            let model = encode(&video.tiles(&numbers, &plan.computed(TYPICAL), 1.0)?);
            entries.push(Entry::tiles(self, &video, &numbers, model)?);
            all.push((plan, numbers));
        }
        let times = timed(self, entries)?;
        let best = times
            .iter()
            .enumerate()
            .min_by(|a, b| a.1.total_cmp(b.1))
            .map(|(k, _)| k);
        Ok(best.and_then(|k| all.into_iter().nth(k)))
    }

    /// Times the files of all shares beside the model, and notes those that pay.
    fn ladder(&self, video: &VideoModel, numbers: &Numbers, outcome: &mut VideoOutcome) -> Result<()> {
        let dense = encode(&video.dense(numbers, 1.0)?);
        let mut entries = vec![Entry::whole(self, encode(self.model)), Entry::whole(self, dense)];
        let mut steps = Vec::new();
        for share in LADDER {
            let computed = video.plan.computed(share);
            let proto = video.tiles(numbers, &computed, 1.0)?;
            let share = Manifest::of(&proto)?.map_or(share, |m| m.share);
            entries.push(Entry::tiles(self, video, numbers, encode(&proto))?);
            steps.push((share, computed));
        }
        let times = timed(self, entries)?;
        let [original, whole, tiles @ ..] = times.as_slice() else {
            return Ok(());
        };
        outcome.original_ms = *original;
        let all: Vec<usize> = outcome.stages.iter().map(|s| s.tiles).collect();
        let file = |part: String, share, ms: f64, computed| VideoFile {
            part,
            share,
            ms,
            ratio: ms / original,
            computed,
            model: Vec::new(),
        };
        outcome.files = vec![file("dense".to_owned(), 1.0, *whole, all)];
        for ((share, computed), ms) in steps.into_iter().zip(tiles) {
            let part = format!("{:.0}", (share * 100.0).max(1.0));
            let taken = outcome.files.iter().any(|f| f.part == part);
            if *ms < PAYS * *original && share < 1.0 && !taken {
                outcome.files.push(file(part, share, *ms, computed));
            }
        }
        outcome.limit = outcome.files.iter().skip(1).map(|f| f.share).fold(0.0, f64::max);
        Ok(())
    }

    /// The files with a share of the range that counts as change, in the outcome's order.
    fn files(
        &self,
        video: &VideoModel,
        numbers: &Numbers,
        outcome: &VideoOutcome,
        factor: f64,
    ) -> Result<Vec<Vec<u8>>> {
        let numbers = Numbers {
            factor: factor as f32,
            ..numbers.clone()
        };
        let one = |file: &VideoFile| {
            let model = match file.part.as_str() {
                "dense" => video.dense(&numbers, outcome.limit)?,
                _ => video.tiles(&numbers, &file.computed, outcome.limit)?,
            };
            Ok(encode(&model))
        };
        outcome.files.iter().map(one).collect()
    }

    /// The largest share that loses no more than allowed, on the first frames and on the last.
    fn threshold(&self, video: &VideoModel, numbers: &Numbers, outcome: &mut VideoOutcome) -> Result<f64> {
        let count = self.data.count();
        let first = (count * 2 / 3).max(1);
        let last = if count >= FEW { first..count } else { 0..count };
        outcome.frames = [first, last.len()];
        let factors = FACTORS.iter().copied().filter(|_| self.most_drop > 0.0);
        for factor in factors.chain([0.0]) {
            let models = self.files(video, numbers, outcome, factor)?;
            if factor > 0.0 {
                let tried = played(self, outcome, &models, 0..first)?;
                if tried.loss.is_none_or(|loss| loss > self.most_drop) {
                    continue;
                }
            }
            let Played {
                loss,
                measure,
                changed,
                ratio,
            } = played(self, outcome, &models, last.clone())?;
            if factor > 0.0 && loss.is_none_or(|loss| loss > self.most_drop) {
                continue;
            }
            outcome.threshold = factor;
            outcome.loss = loss;
            outcome.measure = measure;
            outcome.changed = changed;
            outcome.predicted_ratio = ratio;
            break;
        }
        Ok(outcome.threshold)
    }
}
