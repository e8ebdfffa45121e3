//! One stream of frames: what it was computed from, and what runs hand to the next.

use super::seen::{Inputs, Seen};
use crate::Result;
use crate::device::{DeviceTensor, InPlace, Runner};
use crate::video::Manifest;

/// Outputs by name.
pub type Outputs = Vec<(String, DeviceTensor)>;

/// The frame that everything was computed from, and the states. They stay where the device keeps them.
#[derive(Debug)]
pub struct Stream {
    manifest: Manifest,
    seen: Seen,
    /// By the names of inputs.
    states: Vec<(String, DeviceTensor)>,
}

impl Stream {
    /// A stream through files that say this of themselves.
    ///
    /// # Errors
    /// When tiles and cells do not cut the frame.
    pub fn new(manifest: Manifest) -> Result<Self> {
        Ok(Self {
            seen: Seen::new(&manifest)?,
            manifest,
            states: Vec::new(),
        })
    }

    /// What the files say of themselves.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Tiles of a frame.
    pub fn count(&self) -> usize {
        self.seen.count()
    }

    /// Forgets all frames.
    pub fn forget(&mut self) {
        self.seen.forget();
        self.states.clear();
    }

    /// Tiles that the next frame changes; all of the first one.
    ///
    /// # Errors
    /// When the frame is missing or holds no numbers.
    pub fn compare(&mut self, inputs: &Inputs) -> Result<usize> {
        self.seen.compare(inputs)
    }

    /// Runs a whole model on a frame; the states are those that it makes.
    ///
    /// # Errors
    /// When the frame is missing or holds no numbers, or the run fails.
    pub fn whole(&mut self, runner: &mut Runner, inputs: &Inputs) -> Result<Outputs> {
        self.states.clear();
        self.seen.take_all(inputs)?;
        let states = &self.manifest.states;
        let made = runner.run_staying(inputs, &|name| states.iter().any(|s| s.output == name))?;
        Ok(self.kept(made).0)
    }

    /// Runs a file that computes tiles on the frame that was compared last; its outputs, and the tiles of each stage that changed and were left.
    ///
    /// # Errors
    /// When the frame is missing or holds no numbers, or the run fails: then there are no states.
    pub fn tiles(&mut self, runner: &mut Runner, inputs: &Inputs) -> Result<(Outputs, Vec<usize>)> {
        let states = &self.manifest.states;
        let mut given = self.seen.take(inputs)?;
        let frame = &self.manifest.frame.input;
        given.extend(inputs.iter().copied().filter(|(name, _)| name != frame));
        let mut own = std::mem::take(&mut self.states);
        let mut places = Vec::new();
        for (name, value) in &mut own {
            match states.iter().find(|s| s.input == *name) {
                Some(state) if state.in_place => places.push(InPlace {
                    input: &state.input,
                    output: &state.output,
                    value,
                }),
                _ => given.push((name, value)),
            }
        }
        let stays = |name: &str| states.iter().any(|s| s.output == name);
        let made = runner.run_in_place(&given, &mut places, &stays)?;
        own.retain(|(name, _)| states.iter().any(|s| s.in_place && s.input == *name));
        self.states = own;
        Ok(self.kept(made))
    }

    /// Keeps the states among what a run made; the outputs, and what was left.
    fn kept(&mut self, made: Outputs) -> (Outputs, Vec<usize>) {
        let (mut outputs, mut left) = (Vec::new(), Vec::new());
        for (name, value) in made {
            if let Some(state) = self.manifest.states.iter().find(|s| s.output == name) {
                self.states.push((state.input.clone(), value));
            } else if name == self.manifest.changed {
                let counts = value.tensor().and_then(|t| t.to_i64()).unwrap_or_default();
                left = counts.into_iter().map(|n| usize::try_from(n).unwrap_or(0)).collect();
            } else {
                outputs.push((name, value));
            }
        }
        (outputs, left)
    }
}
