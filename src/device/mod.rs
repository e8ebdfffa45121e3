//! A device that can run and time ONNX models: ONNX Runtime's CPU or CUDA provider behind one trait.

mod conditions;
mod cpu;
mod cuda;
mod cuda_versions;
mod device_tensor;
mod elf;
mod environments;
mod inputs;
mod library;
mod node_times;
mod nvidia;
mod outputs;
mod processor;
mod products;
mod recorded;
mod runtime;
mod session_from_memory;
mod shape_trace;
mod stop;
mod trace;
mod turn;
mod values;
mod versions;
mod warmup_session;

pub use conditions::Conditions;
pub use cpu::CpuDevice;
pub use cuda::{CudaDevice, CudaOptions, CudnnAlgo, gpu_count, gpu_present, provider_beside};
pub use device_tensor::{DeviceTensor, Runner};
pub use inputs::{InputSpec, ShapeOptions, input_specs, random_inputs, unsettled};
pub use library::find_library;
pub use node_times::NodeTime;
pub use nvidia::{NEEDED, Needed};
pub use products::{Products, Rows};
pub use recorded::RecordedDevice;
pub use runtime::{Idle, Runtime};
pub use shape_trace::{Observed, observe, without_value_info, wrong_outputs};
pub use stop::{Limit, Stop};
pub use trace::Kernel;
pub use turn::Turn;
pub use versions::{CPU_PACKAGE, GPU_PACKAGE, tested, untested};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::onnx::Tensor;

/// A model input or output by name.
pub type Named = (String, Tensor);

/// The inputs of several runs.
pub type Runs<'r> = &'r mut dyn Iterator<Item = Vec<Named>>;

/// What a device is, as far as latency depends on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// `cpu` or `cuda`.
    pub kind: String,
    /// The processor's name.
    pub name: String,
    /// A short hash of everything below the software that latency depends on.
    pub fingerprint: String,
    /// The software and its options: times from another stack are not mixed with these.
    pub stack: String,
    /// Further facts (SIMD, cores; multiprocessors, limits), by name.
    pub facts: std::collections::BTreeMap<String, String>,
    /// Fingerprints that this very device had in earlier versions, which looked at fewer facts.
    #[serde(skip)]
    pub former: Vec<String>,
}

impl DeviceInfo {
    /// Whether a fingerprint is this device's, now or in an earlier version.
    pub fn answers_to(&self, fingerprint: &str) -> bool {
        self.fingerprint == fingerprint || self.former.iter().any(|f| f == fingerprint)
    }
}

/// A short hash of a device's facts.
fn fingerprint(facts: &std::collections::BTreeMap<String, String>) -> String {
    let described: Vec<String> = facts.iter().map(|(k, v)| format!("{k}={v}")).collect();
    blake3::hash(described.join(";").as_bytes()).to_hex()[..16].to_owned()
}

/// A model that is loaded on a device with its inputs in place.
pub trait Timed {
    /// Runs once and gives the device's time in milliseconds.
    ///
    /// # Errors
    /// When the run fails.
    fn run(&mut self) -> Result<f64>;

    /// How many runs one time is the mean of: on a GPU several follow each other, so that each launch hides behind the run before.
    fn repeats(&self) -> usize {
        1
    }

    /// Makes the times that follow means of so many runs, where they are means.
    fn set_repeats(&mut self, _repeats: usize) {}
}

/// A device.
pub trait Device {
    /// What it is.
    fn info(&self) -> &DeviceInfo;

    /// Loads a model for timing, with its inputs on the device. `strict`: every node must run there;
    /// otherwise a GPU's provider may leave shape arithmetic to the CPU.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model, or a node would run elsewhere and `strict` is set.
    fn load(&self, model: &[u8], inputs: &[Named], strict: bool) -> Result<Box<dyn Timed>>;

    /// Runs a model once and gives its outputs in the order of the file.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model or the run fails.
    fn outputs(&self, model: &[u8], inputs: &[Named]) -> Result<Vec<Named>>;

    /// The same on the CPU with the graph left as it is: what rounding alone changes.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model or the run fails.
    fn outputs_plain(&self, model: &[u8], inputs: &[Named]) -> Result<Vec<Named>>;

    /// Loads a model once and gives the outputs of run after run to `see`.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model or a run fails.
    fn each_output(&self, model: &[u8], runs: Runs, see: &mut dyn FnMut(Vec<Named>)) -> Result<()> {
        let mut runner = self.runner(model)?;
        for inputs in runs {
            see(runner.run_tensors(&inputs)?);
        }
        Ok(())
    }

    /// Loads a model to be run many times for its values, not for its time: all cores may help.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model.
    fn runner(&self, model: &[u8]) -> Result<Runner>;

    /// Times of single nodes over `runs` runs after `warmup` ones, where the provider gives them;
    /// `None` where only whole models can be timed.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model or the run fails.
    fn node_times(&self, model: &[u8], inputs: &[Named], warmup: usize, runs: usize) -> Result<Option<Vec<NodeTime>>>;

    /// The kernels of one run of a model, where they can be traced; `None` elsewhere.
    ///
    /// # Errors
    /// When the model cannot be run or the trace fails.
    fn kernels(&self, _model: &[u8], _inputs: &[Named]) -> Result<Option<Vec<Kernel>>> {
        Ok(None)
    }

    /// What multiplies large matrices faster than this machine's cores, if anything does.
    fn products(&self) -> Option<&dyn Products> {
        None
    }

    /// Clocks and temperature now, where they can be read. They are never set.
    fn conditions(&self) -> Option<Conditions> {
        None
    }

    /// Which of a machine's devices it is, whatever number this process knows it by.
    fn unit(&self) -> String {
        self.info().kind.clone()
    }

    /// The wish to stop that ends its sessions and runs.
    fn stop(&self) -> Stop {
        Stop::default()
    }

    /// Whether anything can be timed: not on a device that is only known from a recorded profile.
    fn is_here(&self) -> bool {
        true
    }

    /// What to know of how it is timed, where that is not as it should be.
    fn remark(&self) -> Option<String> {
        None
    }
}
