//! A video that is being played.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use super::changes::FrameTiles;
use super::choice::{Choice, Chooser, Step};
use super::files::VideoFiles;
use crate::device::{Device, DeviceTensor, Runner};
use crate::error::{SamplesError, SamplesFault};
use crate::onnx::load;
use crate::video::{Manifest, Role};
use crate::{Error, Result};

/// Outputs by name.
type Outputs = Vec<(String, DeviceTensor)>;

/// What came of a frame, and what was done with it.
#[derive(Debug)]
pub struct Frame {
    /// The model's outputs in the order of the file.
    pub outputs: Outputs,
    /// The share of its tiles that changed; 1 where there was nothing to compare it with.
    pub changed: f64,
    /// What its last run was.
    pub choice: Choice,
    /// The share of the tiles that its runs computed, together.
    pub computed: f64,
    /// Runs.
    pub runs: usize,
    /// The share of the tiles that each of them computed.
    pub shares: Vec<f64>,
    /// Tiles of each stage that changed and were left for the next frame.
    pub left: Vec<usize>,
    /// Time from its inputs to its outputs, in milliseconds.
    pub ms: f64,
}

/// A file that computes tiles.
#[derive(Debug)]
struct TilesFile {
    share: f64,
    runner: Runner,
}

/// One stream of frames through the files of a video. States stay where the device keeps them; frames are given in their order.
#[derive(Debug)]
pub struct Video {
    manifest: Manifest,
    grid: FrameTiles,
    plain: Option<Runner>,
    dense: Runner,
    tiles: Vec<TilesFile>,
    chooser: Chooser,
    /// By the names of inputs.
    states: Vec<(String, DeviceTensor)>,
    /// The last frame, where no state that can be read here tells what to compare the next one with.
    last: Vec<f32>,
}

impl Video {
    /// Loads the files that [`VideoFiles::find`] finds.
    ///
    /// # Errors
    /// When files are missing or do not belong together, or ONNX Runtime refuses one.
    pub fn open(device: &dyn Device, path: &Path, plain: Option<&Path>) -> Result<Self> {
        Self::load(device, &VideoFiles::find(path, plain)?)
    }

    /// Loads the files of a video.
    ///
    /// # Errors
    /// When one cannot be read, they do not belong together, or ONNX Runtime refuses one.
    pub fn load(device: &dyn Device, files: &VideoFiles) -> Result<Self> {
        let (dense, manifest) = opened(device, &files.dense, Role::Dense)?;
        let mut tiles = Vec::new();
        for path in &files.tiles {
            let (runner, own) = opened(device, path, Role::Tiles)?;
            if own.set != manifest.set
                || own.states != manifest.states
                || own.frame != manifest.frame
                || own.stages.len() != manifest.stages.len()
            {
                return Err(Error::Usage(format!(
                    "{} was not made together with {}",
                    path.display(),
                    files.dense.display()
                )));
            }
            let computed = own.stages.iter().map(|s| s.computed).collect();
            let (share, step) = (
                own.share,
                Step {
                    share: own.share,
                    computed,
                    ratio: own.ratio,
                },
            );
            tiles.push((TilesFile { share, runner }, step));
        }
        tiles.sort_by(|a, b| a.0.share.total_cmp(&b.0.share));
        let plain = match &files.plain {
            Some(path) => Some(
                device
                    .deployed(&load(path)?.into_bytes())
                    .map_err(|e| e.in_model(path))?,
            ),
            None => None,
        };
        let (tiles, steps): (Vec<TilesFile>, Vec<Step>) = tiles.into_iter().unzip();
        if let (Some(plain), Some(path)) = (&plain, &files.plain) {
            let made = |runner: &Runner| runner.output_names();
            let others: HashSet<String> = made(&dense).into_iter().collect();
            if made(plain).iter().any(|name| !others.contains(name)) {
                return Err(Error::Usage(format!(
                    "{} is not the model that {} was made of: its outputs are others",
                    path.display(),
                    files.dense.display()
                )));
            }
        }
        let reference = manifest.states.iter().find(|s| s.output == manifest.reference);
        let reference = reference.ok_or_else(|| {
            let why = Error::Model(format!("state '{}' is missing", manifest.reference));
            why.in_model(&files.dense)
        })?;
        Ok(Self {
            grid: FrameTiles::new(&manifest.frame, &reference.shape, manifest.frame_threshold)?,
            chooser: Chooser::new(&manifest, steps, plain.is_some()),
            manifest,
            plain,
            dense,
            tiles,
            states: Vec::new(),
            last: Vec::new(),
        })
    }

    /// What the files say of themselves.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The shares of the tiles that its files compute, the smallest first.
    pub fn shares(&self) -> Vec<f64> {
        self.tiles.iter().map(|t| t.share).collect()
    }

    /// Forgets all frames: the next one is computed whole.
    pub fn reset(&mut self) {
        self.chooser.reset();
        self.states.clear();
        self.last.clear();
    }

    /// Runs every file once or twice on a frame, for what only first runs do, and forgets it.
    ///
    /// # Errors
    /// When the frame does not fit the files, or a run fails.
    pub fn warm_up(&mut self, inputs: &[(&str, &DeviceTensor)]) -> Result<()> {
        self.reset();
        if self.plain.is_some() {
            self.run(Choice::Plain, inputs)?;
        }
        self.run(Choice::Dense, inputs)?;
        for k in (0..self.tiles.len()).flat_map(|k| [k, k]) {
            self.run(Choice::Tiles(k), inputs)?;
        }
        self.reset();
        Ok(())
    }

    /// The next frame, as the inputs of the model. After an error the next one is computed whole.
    ///
    /// # Errors
    /// When the frame is missing or holds no numbers, or a run fails.
    pub fn frame(&mut self, inputs: &[(&str, &DeviceTensor)]) -> Result<Frame> {
        let done = self.played(inputs);
        if done.is_err() {
            self.reset();
        }
        done
    }

    fn played(&mut self, inputs: &[(&str, &DeviceTensor)]) -> Result<Frame> {
        let start = Instant::now();
        let frame = inputs.iter().find(|(name, _)| *name == self.manifest.frame.input);
        let values = frame.and_then(|(_, value)| numbers(value)).ok_or_else(|| {
            let what = format!(
                "input '{}' of a frame is missing, or holds no numbers",
                self.manifest.frame.input
            );
            let fault = SamplesFault::Contents(what);
            Error::Samples(SamplesError { path: None, fault })
        })?;
        let changed = self.changed(&values);
        let mut choice = self.chooser.choose(changed, self.grid.count());
        let (mut outputs, mut left) = self.run(choice, inputs)?;
        let (mut shares, mut done) = (vec![self.share(choice)], self.chooser.cost(choice));
        self.chooser.left(choice, &left, changed);
        while self.manifest.threshold == 0.0 && self.chooser.is_behind() {
            choice = self.chooser.again(done);
            (outputs, left) = self.run(choice, inputs)?;
            self.chooser.left(choice, &left, changed);
            shares.push(self.share(choice));
            done += self.chooser.cost(choice);
        }
        if self.readable_reference().is_none() {
            self.last.clear();
            self.last.extend_from_slice(&values);
        }
        Ok(Frame {
            outputs,
            changed: changed as f64 / self.grid.count().max(1) as f64,
            choice,
            computed: shares.iter().sum(),
            runs: shares.len(),
            shares,
            left,
            ms: start.elapsed().as_secs_f64() * 1e3,
        })
    }

    /// Tiles that changed since they were computed, or since the frame before.
    fn changed(&self, values: &[f32]) -> usize {
        match self.readable_reference() {
            Some(reference) => self.grid.changed(values, &reference),
            None => self.grid.changed(values, &self.last),
        }
    }

    /// The frame that each tile was computed from last, where it lies in this machine's memory.
    fn readable_reference(&self) -> Option<Cow<'_, [f32]>> {
        let state = self
            .manifest
            .states
            .iter()
            .find(|s| s.output == self.manifest.reference)?;
        let (_, value) = self.states.iter().find(|(name, _)| *name == state.input)?;
        numbers(value)
    }

    fn share(&self, choice: Choice) -> f64 {
        match choice {
            Choice::Plain | Choice::Dense => 1.0,
            Choice::Tiles(k) => self.tiles.get(k).map_or(1.0, |t| t.share),
        }
    }

    /// One run; the model's outputs, and what was left.
    fn run(&mut self, choice: Choice, inputs: &[(&str, &DeviceTensor)]) -> Result<(Outputs, Vec<usize>)> {
        let states = &self.manifest.states;
        let stays = |name: &str| states.iter().any(|s| s.output == name);
        let made = match choice {
            Choice::Plain => {
                let plain = self.plain.as_mut().unwrap_or(&mut self.dense);
                plain.run_staying(inputs, &stays)?
            }
            Choice::Dense => self.dense.run_staying(inputs, &stays)?,
            Choice::Tiles(k) => {
                let file = self.tiles.get_mut(k);
                let file = file.ok_or_else(|| Error::Model(format!("there is no file {k} that computes tiles")))?;
                let own = self.states.iter().map(|(name, value)| (name.as_str(), value));
                let all: Vec<(&str, &DeviceTensor)> = inputs.iter().copied().chain(own).collect();
                file.runner.run_staying(&all, &stays)?
            }
        };
        let (mut outputs, mut left) = (Vec::new(), Vec::new());
        self.states.clear();
        for (name, value) in made {
            if let Some(state) = states.iter().find(|s| s.output == name) {
                self.states.push((state.input.clone(), value));
            } else if name == self.manifest.changed {
                let counts = value.tensor().and_then(|t| t.to_i64()).unwrap_or_default();
                left = counts.into_iter().map(|n| usize::try_from(n).unwrap_or(0)).collect();
            } else {
                outputs.push((name, value));
            }
        }
        if choice == Choice::Plain {
            self.states.clear();
        }
        Ok((outputs, left))
    }
}

/// A value as numbers, borrowed where they are floats.
fn numbers(value: &DeviceTensor) -> Option<Cow<'_, [f32]>> {
    if let Some(floats) = value.floats() {
        return Some(floats);
    }
    let whole = value.tensor()?.to_i64()?;
    Some(Cow::Owned(whole.into_iter().map(|v| v as f32).collect()))
}

/// A file and what it says of itself.
fn opened(device: &dyn Device, path: &Path, role: Role) -> Result<(Runner, Manifest)> {
    let read = || {
        let model = load(path)?;
        let manifest = Manifest::of(&model.proto)?.filter(|m| m.role == role);
        let manifest = manifest.ok_or_else(|| {
            let name = path.display();
            Error::Usage(format!("{name} is no such file of a video as its name says"))
        })?;
        Ok((device.deployed(&model.into_bytes())?, manifest))
    };
    read().map_err(|e: Error| e.in_model(path))
}
