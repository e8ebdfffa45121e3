//! The samples that a job was given, read once.

use super::opened::Opened;
use super::options::SampleSource;
use super::reporter::{ProgressReporter, Step};
use super::sound::sound;
use crate::Result;
use crate::data::Dataset;
use crate::device::Device;
use crate::onnx::encode;
use crate::score::crossing_bytes;

/// Bytes that may be held between the parts of the networks; more samples than fit are left out.
const HELD_BYTES: u64 = 5 << 30;

/// Samples of a job.
#[derive(Debug, Default)]
pub struct Datasets {
    /// Those that models are compared on.
    pub eval: Option<Dataset>,
    /// Those that are fitted on; some of them judge.
    pub calib: Option<Dataset>,
}

impl Datasets {
    /// Reads samples that models are compared on and samples that are fitted on, before anything is measured.
    ///
    /// # Errors
    /// Those of [`Dataset::read`], and when the model cannot be run on them.
    pub fn read(
        opened: &Opened,
        device: &dyn Device,
        eval: Option<&SampleSource>,
        calib: Option<&SampleSource>,
        reporter: &dyn ProgressReporter,
    ) -> Result<Self> {
        if eval.is_none() && calib.is_none() {
            return Ok(Self::default());
        }
        reporter.step(Step::ReadSamples);
        let model = encode(&opened.proto);
        let specs = &opened.specs;
        let settled = |data: Dataset| {
            let data = data.settled(device, &model)?;
            data.notes().iter().for_each(|note| reporter.note(note));
            Ok::<_, crate::Error>(data)
        };
        let eval = eval.map(|source| settled(source.read(specs)?));
        let calib = calib.map(|source| {
            let data = source.read(specs)?.at_most(source.at_most);
            // Two networks are run, each with what crosses one of its places held for all samples.
            let each = crossing_bytes(&opened.graph()?, &opened.analysis, data.declared());
            let fits = (HELD_BYTES / (2 * each).max(1)) as usize;
            let data = settled(data.at_most(fits.max(1)))?;
            sound(&data, &source.path, device, &model, reporter)?;
            Ok::<_, crate::Error>(data)
        });
        Ok(Self {
            eval: eval.transpose()?,
            calib: calib.transpose()?,
        })
    }
}
