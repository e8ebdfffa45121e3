//! What frames are computed from: what changed is taken over, cell by cell.

use std::borrow::Cow;

use super::changes::FrameTiles;
use crate::device::DeviceTensor;
use crate::error::{SamplesError, SamplesFault};
use crate::onnx::Tensor;
use crate::video::Manifest;
use crate::{Error, Result};

/// Inputs of a model by name.
pub type Inputs<'i> = [(&'i str, &'i DeviceTensor)];

/// The frame that each cell was computed from last, and what the next one changes of it.
#[derive(Debug)]
pub(super) struct Seen {
    input: String,
    shape: Vec<usize>,
    change: String,
    grid: FrameTiles,
    reference: Option<DeviceTensor>,
    differences: DeviceTensor,
    /// Of each cell of the frame that was compared last.
    cells: Vec<f32>,
    /// Runs on tiles since all was computed: whose turn it is.
    turn: usize,
}

impl Seen {
    /// No frame so far.
    ///
    /// # Errors
    /// When tiles and cells do not cut the frame.
    pub(super) fn new(manifest: &Manifest) -> Result<Self> {
        let frame = &manifest.frame;
        let grid = FrameTiles::new(frame, manifest.frame_threshold)?;
        let [rows, columns] = grid.cells();
        let none = vec![0.0; rows * columns];
        Ok(Self {
            input: frame.input.clone(),
            shape: frame.shape.clone(),
            change: frame.change.clone(),
            differences: DeviceTensor::new(&frame.change, &Tensor::from_f32(vec![1, 1, rows, columns], &none))?,
            grid,
            reference: None,
            cells: none,
            turn: 0,
        })
    }

    /// Tiles of a frame.
    pub(super) fn count(&self) -> usize {
        self.grid.count()
    }

    /// Forgets all frames.
    pub(super) fn forget(&mut self) {
        self.reference = None;
    }

    /// Tiles that a frame changes of what they were computed from; all of the first one.
    ///
    /// # Errors
    /// When the frame is missing or holds no numbers.
    pub(super) fn compare(&mut self, inputs: &Inputs) -> Result<usize> {
        let values = self.values(inputs)?;
        let known = self
            .reference
            .as_ref()
            .and_then(DeviceTensor::floats)
            .unwrap_or_default();
        self.grid.differences(&values, &known, &mut self.cells);
        Ok(self.grid.changed(&self.cells))
    }

    /// Takes over the whole frame.
    ///
    /// # Errors
    /// When the frame is missing or holds no numbers.
    pub(super) fn take_all(&mut self, inputs: &Inputs) -> Result<()> {
        let values = self.values(inputs)?;
        self.turn = 0;
        self.cells.fill(0.0);
        match self.reference.as_mut().and_then(DeviceTensor::floats_mut) {
            Some(place) if place.len() == values.len() => place.copy_from_slice(&values),
            _ => {
                let frame = Tensor::from_f32(self.shape.clone(), &values);
                self.reference = Some(DeviceTensor::new(&self.input, &frame)?);
            }
        }
        Ok(())
    }

    /// Takes over what the frame that was compared last changes, and one more tile in turn: inputs of a file that computes tiles. The same frame again
    /// changes nothing.
    ///
    /// # Errors
    /// When the frame is missing or holds no numbers.
    pub(super) fn take(&mut self, inputs: &Inputs) -> Result<Vec<(&str, &DeviceTensor)>> {
        let values = self.values(inputs)?;
        if let Some(reference) = self.reference.as_mut().and_then(DeviceTensor::floats_mut) {
            self.grid.take(&values, reference, &mut self.cells, self.turn);
        }
        self.turn += 1;
        if let Some(place) = self.differences.floats_mut() {
            place.copy_from_slice(&self.cells);
        }
        self.cells.fill(0.0);
        let frame = self.reference.iter().map(|frame| (self.input.as_str(), frame));
        Ok(frame.chain([(self.change.as_str(), &self.differences)]).collect())
    }

    /// The values of a frame.
    fn values<'v>(&self, inputs: &'v Inputs) -> Result<Cow<'v, [f32]>> {
        let wrong = |what: String| {
            let fault = SamplesFault::Contents(what);
            Error::Samples(SamplesError { path: None, fault })
        };
        let frame = inputs.iter().find(|(name, _)| *name == self.input);
        let frame = frame.and_then(|(_, value)| Some((value.dims(), numbers(value)?)));
        match frame {
            Some((dims, values)) if dims == self.shape => Ok(values),
            Some((dims, _)) => Err(wrong(format!(
                "a frame '{}' of {dims:?} is none of {:?}",
                self.input, self.shape
            ))),
            None => Err(wrong(format!(
                "input '{}' of a frame is missing, or holds no numbers",
                self.input
            ))),
        }
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
