//! How the channels of values vary together over samples.

use std::collections::HashMap;

use faer::Mat;

use crate::Result;
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::ops::LinearOp;
use crate::score::{Moments, StagedExecutor, Watch, output_rows, place_seed, sampled};

/// A value that is looked at.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Its name.
    pub name: String,
    /// The node that makes it.
    pub made_by: usize,
    /// A layer that makes or reads it, for where its channels are.
    pub layer: LinearOp,
}

/// Covariances of channels, by the value's name.
#[derive(Clone, Debug, Default)]
pub struct Covariances {
    by_name: HashMap<String, Mat<f64>>,
}

impl Covariances {
    /// Runs a graph once over all samples that `executor` holds, and sums up the values at `places` random places of every sample.
    /// When the time is up, what is left is not known.
    ///
    /// # Errors
    /// When a part of the graph cannot be run.
    pub fn collect(
        executor: &mut StagedExecutor,
        (model, graph): (&ModelProto, &Graph),
        mut wanted: Vec<Watched>,
        places: usize,
        seed: u64,
        watch: Watch,
    ) -> Result<Self> {
        let Watch { limit, progress } = watch;
        wanted.sort_by_key(|w| w.made_by);
        let mut found = Self::default();
        for (done, watched) in wanted.iter().enumerate() {
            progress(done, wanted.len());
            limit.check()?;
            if limit.is_up() {
                break;
            }
            let name = watched.name.as_str();
            executor.advance(model, graph, watched.made_by + 1, &[name])?;
            let mut moments: Option<Moments> = None;
            for run in 0..executor.runs().len() {
                let held = executor.value(run, name)?;
                let dims = held.dims();
                let Some(values) = held.floats() else { continue };
                let axis = watched.layer.channel_axis(dims.len());
                let (Some(&blocks), Some(&width)) = (dims.first(), dims.get(axis)) else {
                    continue;
                };
                let each = values.len() / (blocks * width).max(1);
                let seed = place_seed(seed, watched.made_by, run);
                let picked = sampled(blocks, each, places, seed);
                let mut rows = Vec::with_capacity(picked.len() * width);
                output_rows(&watched.layer, &values, &dims, &picked, &mut rows);
                let moments = moments.get_or_insert_with(|| Moments::new(1, width));
                moments.add(&rows, executor.device().products())?;
            }
            if let Some(moments) = moments {
                found.by_name.insert(watched.name.clone(), moments.covariance(0));
            }
        }
        progress(wanted.len(), wanted.len());
        Ok(found)
    }

    /// A value varies as another that is known.
    pub fn same(&mut self, name: &str, as_known: &str) {
        if let Some(known) = self.by_name.get(as_known).cloned() {
            self.by_name.insert(name.to_owned(), known);
        }
    }

    /// That of a value.
    pub fn of(&self, name: &str) -> Option<&Mat<f64>> {
        self.by_name.get(name)
    }
}
