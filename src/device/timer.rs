//! Timing models on a device.

use serde::{Deserialize, Serialize};

use super::conditions::Conditions;
use super::node_times::NodeTime;
use super::remark::Remark;
use super::trace::Kernel;
use super::values::NamedTensor;
use crate::{Error, Result};

/// Whether nodes may run on the CPU, beside the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuFallback {
    /// Every node must run on the device.
    Forbidden,
    /// The provider may leave nodes to the CPU, such as shape arithmetic.
    Allowed,
}

/// How often a model is run whose nodes are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeRuns {
    /// The least number of runs before times count.
    pub warmup: usize,
    /// Runs whose times count.
    pub timed: usize,
    /// Whether nodes may run on the CPU.
    pub fallback: CpuFallback,
}

/// What the times of nodes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeClock {
    /// The time of the thread that runs the nodes: together they are a run.
    #[default]
    Host,
    /// The time of the kernels on a device: what the host takes to launch them is not in it.
    Device,
}

/// A model that is loaded on a device with its inputs in place.
pub trait TimedSession: Send {
    /// Runs once; the device's time in milliseconds.
    ///
    /// # Errors
    /// When the run fails.
    fn run(&mut self) -> Result<f64>;

    /// Runs it once, for what only a first run does; other sessions may do so at the same time.
    ///
    /// # Errors
    /// When the run fails.
    fn first_run(&mut self) -> Result<()> {
        Ok(())
    }

    /// Warms it up, with nothing else on the device, where loading it did not.
    ///
    /// # Errors
    /// When a run fails.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    /// How many runs one time is the mean of: on a GPU several follow each other, so that each launch hides behind the run before.
    fn repeats(&self) -> usize {
        1
    }

    /// Sets how many runs each later time is the mean of, where times are means.
    fn set_repeats(&mut self, _repeats: usize) {}

    /// Whether [`Self::outputs`] gives any.
    fn gives_outputs(&self) -> bool {
        false
    }

    /// Runs once on other inputs of the same shapes; its outputs in the order of the file. What it is timed on stays in place.
    ///
    /// # Errors
    /// When it gives none, or the run fails.
    fn outputs(&mut self, _inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        Err(Error::device("a session for timing gives no outputs here"))
    }

    /// Times of its nodes, once, and only of a session that [`Timer::prepare_watched`] made: it is as any other from then on.
    /// Nothing else may run on the device.
    ///
    /// # Errors
    /// When a run fails.
    fn node_times(&mut self, _runs: NodeRuns) -> Result<Option<Vec<NodeTime>>> {
        Ok(None)
    }
}

/// Runs each session once; milliseconds in the sessions' order. The `first`-th (modulo their number) begins: with another one each time,
/// none is always the first after another's data left the caches.
///
/// # Errors
/// When a run fails.
pub fn one_round(sessions: &mut [Box<dyn TimedSession>], first: usize) -> Result<Vec<f64>> {
    let mut times = vec![0.0; sessions.len()];
    for k in 0..sessions.len() {
        let at = (k + first) % sessions.len();
        times[at] = sessions[at].run()?;
    }
    Ok(times)
}

/// A model and the inputs that it is run on.
#[derive(Clone, Copy)]
pub struct ModelRun<'m> {
    /// Its bytes.
    pub model: &'m [u8],
    /// One tensor for each input.
    pub inputs: &'m [NamedTensor],
}

/// Times models.
pub trait Timer: Sync {
    /// Loads a model for timing, with its inputs on the device. Before its times count it is to run once and to be settled.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model, or a node would run on the CPU and `fallback` forbids it.
    fn prepare(&self, model: &[u8], inputs: &[NamedTensor], fallback: CpuFallback) -> Result<Box<dyn TimedSession>>;

    /// The same, of which [`TimedSession::node_times`] tells its nodes' times; `None` where sessions that are timed cannot do so.
    ///
    /// # Errors
    /// As for [`Timer::prepare`].
    fn prepare_watched(&self, _model: &[u8], _inputs: &[NamedTensor]) -> Result<Option<Box<dyn TimedSession>>> {
        Ok(None)
    }

    /// Whether models may be prepared at the same time, and then run for the first time at the same time: other cores can help.
    fn prepares_together(&self, _model: &[u8]) -> bool {
        false
    }

    /// Loads a model for timing and settles it.
    ///
    /// # Errors
    /// As for [`Timer::prepare`], or when a run fails.
    fn load(&self, model: &[u8], inputs: &[NamedTensor], fallback: CpuFallback) -> Result<Box<dyn TimedSession>> {
        let mut session = self.prepare(model, inputs, fallback)?;
        session.first_run()?;
        session.settle()?;
        Ok(session)
    }

    /// Times of single nodes, where the provider gives them; `None` where only whole models can be timed.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model or a run fails.
    fn node_times(&self, _model: &[u8], _inputs: &[NamedTensor], _runs: NodeRuns) -> Result<Option<Vec<NodeTime>>> {
        Ok(None)
    }

    /// The same of several models, one after the other, loaded together where that disturbs nothing. `loaded` is called when nothing is left
    /// but to time them.
    ///
    /// # Errors
    /// As for [`Timer::node_times`], and those of `loaded`.
    fn node_times_of_all(
        &self,
        models: &[ModelRun],
        runs: NodeRuns,
        loaded: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Vec<Option<Vec<NodeTime>>>> {
        loaded()?;
        models
            .iter()
            .map(|m| self.node_times(m.model, m.inputs, runs))
            .collect()
    }

    /// What [`Timer::node_times`] gives.
    fn node_clock(&self) -> NodeClock {
        NodeClock::Host
    }

    /// Whether it compiles whole graphs, so that the time of a layer is what a model takes longer with it than without it.
    fn compiles_graphs(&self) -> bool {
        false
    }

    /// The operators of nodes that a run leaves to the CPU provider, one entry a node; empty where the device tells times of nodes.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model or the run fails.
    fn left_to_cpu(&self, _model: &[u8], _inputs: &[NamedTensor]) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// The kernels of one run of a model, where they can be traced; `None` elsewhere.
    ///
    /// # Errors
    /// When the model cannot be run or the trace fails.
    fn kernels(&self, _model: &[u8], _inputs: &[NamedTensor]) -> Result<Option<Vec<Kernel>>> {
        Ok(None)
    }

    /// Clocks and temperature now, where they can be read. They are never set.
    fn conditions(&self) -> Option<Conditions> {
        None
    }

    /// What the user should know where times are not as good as they could be.
    fn remark(&self) -> Option<Remark> {
        None
    }
}
