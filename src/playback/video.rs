//! A video that is being played.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use super::choice::{Choice, Chooser, Step};
use super::files::VideoFiles;
use super::stream::{Outputs, Stream};
use crate::device::{Device, DeviceTensor, Runner};
use crate::onnx::load;
use crate::video::{Manifest, Role};
use crate::{Error, Result};

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
    stream: Stream,
    plain: Option<Runner>,
    dense: Runner,
    tiles: Vec<TilesFile>,
    chooser: Chooser,
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
        Ok(Self {
            chooser: Chooser::new(&manifest, steps, plain.is_some()),
            stream: Stream::new(manifest).map_err(|e| e.in_model(&files.dense))?,
            plain,
            dense,
            tiles,
        })
    }

    /// What the files say of themselves.
    pub fn manifest(&self) -> &Manifest {
        self.stream.manifest()
    }

    /// The shares of the tiles that its files compute, the smallest first.
    pub fn shares(&self) -> Vec<f64> {
        self.tiles.iter().map(|t| t.share).collect()
    }

    /// Forgets all frames: the next one is computed whole.
    pub fn reset(&mut self) {
        self.chooser.reset();
        self.stream.forget();
    }

    /// Runs every file once or twice on a frame, for what only first runs do, and forgets it.
    ///
    /// # Errors
    /// When the frame does not fit the files, or a run fails.
    pub fn warm_up(&mut self, inputs: &[(&str, &DeviceTensor)]) -> Result<()> {
        self.reset();
        self.stream.compare(inputs)?;
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
        let changed = self.stream.compare(inputs)?;
        let mut choice = self.chooser.choose(changed, self.stream.count());
        let (mut outputs, mut left) = self.run(choice, inputs)?;
        let (mut shares, mut done) = (vec![self.share(choice)], self.chooser.cost(choice));
        self.chooser.left(choice, &left, changed);
        while self.manifest().threshold == 0.0 && self.chooser.is_behind() {
            choice = self.chooser.again(done);
            (outputs, left) = self.run(choice, inputs)?;
            self.chooser.left(choice, &left, changed);
            shares.push(self.share(choice));
            done += self.chooser.cost(choice);
        }
        Ok(Frame {
            outputs,
            changed: changed as f64 / self.stream.count().max(1) as f64,
            choice,
            computed: shares.iter().sum(),
            runs: shares.len(),
            shares,
            left,
            ms: start.elapsed().as_secs_f64() * 1e3,
        })
    }

    fn share(&self, choice: Choice) -> f64 {
        match choice {
            Choice::Plain | Choice::Dense => 1.0,
            Choice::Tiles(k) => self.tiles.get(k).map_or(1.0, |t| t.share),
        }
    }

    /// One run; the model's outputs, and what was left.
    fn run(&mut self, choice: Choice, inputs: &[(&str, &DeviceTensor)]) -> Result<(Outputs, Vec<usize>)> {
        let runner = match (choice, &mut self.plain) {
            (Choice::Plain, Some(plain)) => plain,
            (Choice::Plain | Choice::Dense, _) => &mut self.dense,
            (Choice::Tiles(k), _) => {
                let file = self.tiles.get_mut(k);
                let file = file.ok_or_else(|| Error::Model(format!("there is no file {k} that computes tiles")))?;
                return self.stream.tiles(&mut file.runner, inputs);
            }
        };
        Ok((self.stream.whole(runner, inputs)?, Vec::new()))
    }
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
