//! A sequence played beside the model that the files were made of.

use std::time::Instant;

use serde::Serialize;

use super::choice::Choice;
use super::video::Video;
use crate::Result;
use crate::data::{Dataset, SampleRun};
use crate::device::{DeviceTensor, Runner};
use crate::profile::summarize;
use crate::task::{Answer, Compared, OutputValues, Reading, Truth};
use crate::verify::{TaskNumber, Verdict};

/// Standard errors that a 95 % interval of a mean reaches to either side.
const NORMAL: f64 = 1.96;

/// A frame of a sequence.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TimelineFrame {
    /// The share of its tiles that changed.
    pub changed: f64,
    /// What its last run was: `plain`, `dense` or `tiles`.
    pub role: &'static str,
    /// The share of the tiles that its runs computed, together.
    pub computed: f64,
    /// Runs.
    pub runs: usize,
    /// The share of the tiles that each run computed.
    #[serde(skip)]
    pub shares: Vec<f64>,
    /// Tiles of each stage that changed and were left.
    pub left: Vec<usize>,
    /// What it took, in milliseconds.
    pub ms: f64,
    /// What the original took for it.
    pub original_ms: f64,
    /// What it lost of the task's number that decides, with the original's answer taken as right; `None` where the original finds nothing.
    pub loss: Option<f64>,
}

/// A sequence, frame by frame, and as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// The frames.
    pub frames: Vec<TimelineFrame>,
    /// The numbers of the model's task, the one that decides first; empty where nothing can be told.
    pub numbers: Vec<TaskNumber>,
}

/// Frames that were computed alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// What they took, for people.
    pub name: String,
    /// How many.
    pub frames: usize,
    /// Their mean time in milliseconds.
    pub mean_ms: f64,
}

/// Answers for the frames of a sequence.
#[derive(Default)]
struct Answered {
    original: Vec<Answer>,
    video: Vec<Answer>,
    labels: Vec<Truth>,
}

/// Plays the samples of a dataset in their order, one at a time, through a video and through the original, in turns. `report` is given how many of how many
/// are done.
///
/// # Errors
/// When a run fails.
pub fn play(
    video: &mut Video,
    original: &mut Runner,
    data: &Dataset,
    reading: &Reading,
    report: &dyn Fn(usize, usize),
) -> Result<Timeline> {
    let data = data.in_runs_of(1);
    let mut frames = Vec::with_capacity(data.runs());
    let mut answered = Answered::default();
    for k in 0..data.runs() {
        let run = data.run(k);
        let held = held(&run)?;
        let inputs: Vec<(&str, &DeviceTensor)> = held.iter().map(|(name, value)| (name.as_str(), value)).collect();
        if k == 0 {
            // What only a first run does.
            video.warm_up(&inputs)?;
            original.run(&inputs)?;
        }
        // Whoever is the second finds the frame in the caches.
        let ((outputs, original_ms), frame) = if k % 2 == 0 {
            (timed(original, &inputs)?, video.frame(&inputs)?)
        } else {
            let frame = video.frame(&inputs)?;
            (timed(original, &inputs)?, frame)
        };
        answered.original.extend(reading.answers(&values(&outputs), 1, 0));
        answered.video.extend(reading.answers(&values(&frame.outputs), 1, 0));
        answered.labels.extend(labelled(&run, reading));
        frames.push(TimelineFrame {
            changed: frame.changed,
            role: match frame.choice {
                Choice::Plain => "plain",
                Choice::Dense => "dense",
                Choice::Tiles(_) => "tiles",
            },
            computed: frame.computed,
            runs: frame.runs,
            shares: frame.shares,
            left: frame.left,
            ms: frame.ms,
            original_ms,
            loss: None,
        });
        report(k + 1, data.runs());
    }
    Ok(answered.judged(frames, reading.layout().map_or(0.0, |l| l.score)))
}

impl Answered {
    /// The losses of frames and the numbers of all, with boxes above a score as there.
    fn judged(self, mut frames: Vec<TimelineFrame>, score: f32) -> Timeline {
        let right: Vec<Truth> = self.original.iter().map(|a| Truth::of(a, score)).collect();
        let agreed = Compared::new(&right, &self.video);
        if let Some(agreed) = agreed.as_ref().filter(|a| a.samples() == frames.len()) {
            let mut times = vec![0; frames.len()];
            for (k, frame) in frames.iter_mut().enumerate() {
                times
                    .iter_mut()
                    .enumerate()
                    .for_each(|(n, times)| *times = usize::from(n == k));
                frame.loss = agreed.main_of(&times).map(|value| 1.0 - value);
            }
        }
        let numbers = |compared: Option<Compared>| compared.and_then(|c| c.numbers());
        let labelled =
            numbers(Compared::new(&self.labels, &self.original)).zip(numbers(Compared::new(&self.labels, &self.video)));
        let agreement = agreed.and_then(|a| a.numbers()).unwrap_or_default();
        let number = |(k, n): (usize, crate::task::Number)| TaskNumber {
            name: n.name.to_owned(),
            agreement: Some(n.value),
            labelled: labelled
                .as_ref()
                .and_then(|(a, b)| Some((a.get(k)?.value, b.get(k)?.value))),
        };
        Timeline {
            frames,
            numbers: agreement.into_iter().enumerate().map(number).collect(),
        }
    }
}

impl Timeline {
    fn mean(&self, of: impl Fn(&TimelineFrame) -> f64) -> f64 {
        self.frames.iter().map(of).sum::<f64>() / self.frames.len().max(1) as f64
    }

    /// Mean share of tiles that changed, without the first frame, which has none before it.
    pub fn mean_changed(&self) -> f64 {
        let all = self.frames.iter().skip(1);
        all.map(|f| f.changed).sum::<f64>() / self.frames.len().saturating_sub(1).max(1) as f64
    }

    /// Mean time of a frame in milliseconds, everything included.
    pub fn mean_ms(&self) -> f64 {
        self.mean(|f| f.ms)
    }

    /// The same of the original.
    pub fn original_ms(&self) -> f64 {
        self.mean(|f| f.original_ms)
    }

    /// Mean time over the original's.
    pub fn ratio(&self) -> f64 {
        self.mean_ms() / self.original_ms().max(1e-12)
    }

    /// What the ratio may be off by, at least 0.5 %: half the widths of the 95 % intervals of the middle of the original's times and of the mean of the
    /// files', and by how much the original's mean is off its middle, as each of its frames takes the same where nothing else holds them up.
    pub fn ratio_noise(&self) -> f64 {
        let times: Vec<f64> = self.frames.iter().map(|f| f.original_ms).collect();
        let (told, own) = (summarize(&times), self.mean_ms());
        let middle = told.median.max(1e-12);
        let count = self.frames.len().max(1) as f64;
        let spread = self.frames.iter().map(|f| (f.ms - own).powi(2)).sum::<f64>() / count;
        let parts = [
            told.half_width() / middle,
            NORMAL * (spread / count).sqrt() / own.max(1e-12),
            self.original_ms() / middle - 1.0,
        ];
        let off = parts.iter().map(|p| p * p).sum::<f64>().sqrt();
        (self.ratio() * off).max(0.005)
    }

    /// Whether frames take less than the original does.
    pub fn verdict(&self) -> Verdict {
        match (self.ratio(), self.ratio_noise()) {
            (ratio, noise) if ratio + noise < 1.0 => Verdict::Faster,
            (ratio, noise) if ratio - noise > 1.0 => Verdict::Slower,
            _ => Verdict::Same,
        }
    }

    /// What frames took, the smallest share of tiles first.
    pub fn taken(&self) -> Vec<Taken> {
        let mut found: Vec<(f64, Taken)> = Vec::new();
        for frame in &self.frames {
            let name = match (frame.role, frame.runs) {
                ("tiles", 1) => format!("{:.3} of the tiles", frame.computed),
                ("tiles", _) => "several runs on tiles".to_owned(),
                ("dense", 1) => "the whole model, with states".to_owned(),
                ("dense", _) => "runs on tiles, then the whole".to_owned(),
                (_, _) => "the model without states".to_owned(),
            };
            match found.iter_mut().find(|(_, t)| t.name == name) {
                Some((_, taken)) => {
                    taken.mean_ms += (frame.ms - taken.mean_ms) / (taken.frames + 1) as f64;
                    taken.frames += 1;
                }
                None => found.push((
                    frame.computed,
                    Taken {
                        name,
                        frames: 1,
                        mean_ms: frame.ms,
                    },
                )),
            }
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.name.cmp(&b.1.name)));
        found.into_iter().map(|(_, taken)| taken).collect()
    }
}

/// The outputs of a model, and the milliseconds that it took.
fn timed(model: &mut Runner, inputs: &[(&str, &DeviceTensor)]) -> Result<(Vec<(String, DeviceTensor)>, f64)> {
    let start = Instant::now();
    let outputs = model.run(inputs)?;
    Ok((outputs, start.elapsed().as_secs_f64() * 1e3))
}

fn held(run: &SampleRun) -> Result<Vec<(String, DeviceTensor)>> {
    let inputs = run.inputs.iter();
    inputs
        .map(|(name, value)| Ok((name.clone(), DeviceTensor::new(name, value)?)))
        .collect()
}

fn values(outputs: &[(String, DeviceTensor)]) -> Vec<OutputValues> {
    let outputs = outputs.iter();
    outputs
        .filter_map(|(name, value)| OutputValues::of_device(name, value))
        .collect()
}

fn labelled(run: &SampleRun, reading: &Reading) -> Option<Truth> {
    let class = run.labels.and_then(|labels| labels.first());
    match class {
        Some(class) => usize::try_from(*class).ok().map(Truth::Class),
        None => Truth::labelled(run, 0, reading),
    }
}

#[cfg(test)]
mod tests {
    use super::{Timeline, TimelineFrame};
    use crate::verify::Verdict;

    fn timeline(original: impl Fn(usize) -> f64) -> Timeline {
        let frame = |k: usize| TimelineFrame {
            ms: 0.5,
            original_ms: original(k),
            ..TimelineFrame::default()
        };
        Timeline {
            frames: (0..40).map(frame).collect(),
            numbers: Vec::new(),
        }
    }

    #[test]
    fn a_frame_that_is_held_up_makes_a_ratio_unsure() {
        let steady = timeline(|k| 1.0 + 0.01 * (k % 3) as f64);
        assert!(steady.ratio_noise() < 0.02 && steady.verdict() == Verdict::Faster);
        let stalled = timeline(|k| if k == 7 { 60.0 } else { 0.45 });
        assert!(stalled.ratio() < 0.3 && stalled.verdict() == Verdict::Same);
    }
}
