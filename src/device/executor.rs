//! Running models for their outputs.

use super::device_tensor::Runner;
use super::products::Products;
use super::run::Run;
use super::values::NamedTensor;
use crate::Result;

/// The inputs of run after run.
pub type RunInputs<'r> = &'r mut dyn Iterator<Item = Vec<NamedTensor>>;

/// Computes the outputs of models. Time does not matter.
pub trait Executor: Sync {
    /// Runs a model once; its outputs in the order of the file.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model or the run fails.
    fn outputs(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>>;

    /// Runs a model once on the CPU without optimizing the graph: what the device's outputs differ by from these is rounding.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model or the run fails.
    fn outputs_plain(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>>;

    /// Loads a model once, for run after run as [`Self::outputs`] does them.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model.
    fn loaded<'m>(&'m self, model: &'m [u8]) -> Result<Run<'m>> {
        Ok(Box::new(move |inputs| self.outputs(model, inputs)))
    }

    /// The same as [`Self::outputs_plain`] does them.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model.
    fn loaded_plain<'m>(&'m self, model: &'m [u8]) -> Result<Run<'m>> {
        Ok(Box::new(move |inputs| self.outputs_plain(model, inputs)))
    }

    /// Loads a model to be run many times. All cores may help.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model.
    fn runner(&self, model: &[u8]) -> Result<Runner>;

    /// Loads a model to be run many times as in a deployment: with the threads and settings that the device was opened with.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model.
    fn deployed(&self, model: &[u8]) -> Result<Runner> {
        self.runner(model)
    }

    /// Runs a model as often as `run` does. Where loading takes longer than a run, the device may keep the model loaded for the next time.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model, and those of `run`.
    fn with_runner(&self, model: &[u8], run: &mut dyn FnMut(&mut Runner) -> Result<()>) -> Result<()> {
        run(&mut self.runner(model)?)
    }

    /// Loads a model once and passes the outputs of run after run to `see`.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model or a run fails.
    fn each_output(&self, model: &[u8], runs: RunInputs, see: &mut dyn FnMut(Vec<NamedTensor>)) -> Result<()> {
        self.with_runner(model, &mut |runner| {
            for inputs in &mut *runs {
                see(runner.run_tensors(&inputs)?);
            }
            Ok(())
        })
    }

    /// Bytes that are free now in a memory of the device's own, where values may stay from one model to the next
    /// ([`Runner::run_staying`]); `None` where it has none.
    fn memory(&self) -> Option<u64> {
        None
    }

    /// What multiplies large matrices faster than this machine's cores, if anything does.
    fn products(&self) -> Option<&dyn Products> {
        None
    }
}
