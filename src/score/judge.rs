//! What another model loses, on the samples that a staged executor stands before.

use super::loss::{Judgement, Reference};
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
    pub fn of(executor: &StagedExecutor, model: &ModelProto, graph: &Graph) -> Result<Self> {
        let mut reference = Self::default();
        executor.finish(model, graph, executor.at(), &mut |run, outputs| {
            reference.push(&outputs, executor.samples(run));
            Ok(())
        })?;
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
    /// When a run fails, or all outputs are selections whose length changes.
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
        checked(found)
    }

    /// The same of a model that ends as `rest`, if it does.
    ///
    /// # Errors
    /// As in [`Self::judge`].
    pub fn judge_beginning(
        &self,
        executor: &StagedExecutor,
        model: &ModelProto,
        graph: &Graph,
        from: usize,
        rest: &mut Rest,
    ) -> Result<Judgement> {
        let Some(to) = rest.begins_in(graph).filter(|&to| to > from) else {
            return self.judge(executor, model, graph, from);
        };
        let mut found = Judgement::default();
        rest.finish(executor, model, graph, from..to, &mut |run, outputs| {
            self.add(&mut found, run, &outputs);
            Ok(())
        })?;
        checked(found)
    }
}

/// A judgement that something was compared for.
fn checked(found: Judgement) -> Result<Judgement> {
    if found.is_of_selections() {
        return Err(Error::Usage(
                "how much the model's outputs hold depends on their values (a selection such as NonMaxSuppression, TopK or NonZero stands \
                 before them): what a narrower model loses cannot be told from them. Take the selection out of the model and give it back \
                 afterwards, or leave the goal out: without one nothing is lost"
                    .to_owned(),
            ));
    }
    Ok(found)
}
