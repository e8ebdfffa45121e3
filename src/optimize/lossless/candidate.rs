//! Plans with the models that they make.

use std::sync::Arc;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::optimize::session::{Session, timed};
use crate::plan::Plan;
use crate::rewrite::rewrite;

/// A plan that may be chosen.
#[derive(Clone)]
pub(super) struct Candidate {
    pub plan: Plan,
    /// The bytes of its model as it is timed.
    pub model: Arc<Vec<u8>>,
}

/// The plans that the model can be rewritten by, in their order.
pub(super) fn made_by(session: &Session, plans: Vec<Plan>) -> Vec<Candidate> {
    let (proto, graph, analysis) = (&session.opened.proto, &session.graph, session.analysis());
    let (removable, deployment) = (&session.removable, session.deployment.as_ref());
    let made = plans.into_par_iter().map(|plan| {
        let (change, folds) = plan.change(analysis, removable);
        let model = rewrite(proto, graph, analysis, &change, &folds).ok()?;
        Some(Candidate {
            model: Arc::new(timed(deployment, &model).ok()?),
            plan,
        })
    });
    made.collect::<Vec<_>>().into_iter().flatten().collect()
}
