//! What another model loses, on the samples that a staged executor stands before.

use super::loss::{Judgement, LossSpec, Reference};
use super::rest::Rest;
use super::staged_executor::StagedExecutor;
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::{Error, Result};

impl Reference {
    /// The outputs of the executor's own model on all its runs.
    ///
    /// # Errors
    /// When a run fails, an output is NaN, or none holds numbers that others can be compared with.
    pub fn of(executor: &StagedExecutor, model: &ModelProto, graph: &Graph, spec: &LossSpec) -> Result<Self> {
        let mut reference = Self::new(spec);
        executor.finish(model, graph, executor.at(), &mut |run, outputs| {
            reference.push(&outputs, executor.samples(run));
            Ok(())
        })?;
        reference.settle();
        if let Some((run, name)) = reference.first_nan() {
            let from: usize = (0..run).map(|k| executor.samples(k)).sum();
            return Err(Error::Usage(format!(
                "the model's own output '{name}' is NaN for one of the samples {from} to {} it was given: nothing can be told from \
                 that; look at these samples and how they are scaled",
                from + executor.samples(run) - 1
            )));
        }
        if !reference.is_comparable() {
            return Err(Error::Usage(
                "no output of the model holds numbers: what a narrower one loses cannot be told".to_owned(),
            ));
        }
        Ok(reference)
    }

    /// How far another model is: its nodes from `from` on are run on what the executor keeps.
    ///
    /// # Errors
    /// When a run fails.
    pub fn judge(
        &self,
        executor: &StagedExecutor,
        model: &ModelProto,
        graph: &Graph,
        from: usize,
    ) -> Result<Judgement> {
        let mut found = Judgement::default();
        executor.finish(model, graph, from, &mut |run, outputs| {
            self.add(&mut found, run, &outputs);
            Ok(())
        })?;
        Ok(found)
    }

    /// The same of a model that ends as `rest` does from node `first` on, one of its places, if it does.
    ///
    /// # Errors
    /// As in [`Self::judge`].
    pub fn judge_beginning(
        &self,
        executor: &StagedExecutor,
        model: &ModelProto,
        graph: &Graph,
        from: usize,
        (rest, first): (&mut Rest, usize),
    ) -> Result<Judgement> {
        let Some(to) = rest.begins_in(first, graph).filter(|&to| to > from) else {
            return self.judge(executor, model, graph, from);
        };
        let mut found = Judgement::default();
        rest.finish(executor, (model, graph), from..to, first, &mut |run, outputs| {
            self.add(&mut found, run, &outputs);
            Ok(())
        })?;
        Ok(found)
    }
}
