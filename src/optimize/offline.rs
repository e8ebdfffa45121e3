//! Planning for a device that is not here, from its recorded profile.

use super::prepare::Prepared;
use super::{Outcome, counts, probes};
use crate::Result;
use crate::onnx::encode;
use crate::plan::{Costs, Plan, search};
use crate::profile::Prober;
use crate::rewrite::rewrite;
use crate::verify::{compare, compare_task};

/// A predicted gain below this is within what predictions are off by.
const WORTH_A_FILE: f64 = 0.97;

/// The plan that is predicted to be fastest; its outputs are checked on this machine, its latency is not.
pub(super) fn plan(p: Prepared, costs: &mut Costs, prober: &mut Prober) -> Result<Outcome> {
    let Prepared {
        opened,
        graph,
        device,
        candidates,
        removable,
        eval,
        options,
        reporter,
        ..
    } = p;
    let analysis = &opened.analysis;
    let base = counts(analysis, &Plan::default());
    let unknown = costs.leave_out_unknown(&base);
    let found = search(analysis, &candidates, costs, prober, &|_, _| {})?;
    let mut outcome = Outcome::new(
        opened,
        device.info(),
        &candidates,
        probes(prober, costs, &candidates, &base),
    );
    outcome.unverified.push(format!(
        "latency: {} is not here; measure with `snapprune bench` there before you deploy",
        device.info().name
    ));
    if unknown > 0 {
        outcome.unverified.push(format!(
            "{unknown} of {} layers are not in the profile; their time is not counted",
            costs.all().len()
        ));
    }
    if unknown == costs.all().len() {
        outcome
            .nothing("the profile knows none of this model's layers at these input shapes; record one of this model");
        return Ok(outcome);
    }
    let time = |plan: &Plan| costs.of(&costs.all(), &counts(analysis, plan)).map(|t| t.0);
    let whole = time(&Plan::default()).unwrap_or(0.0);
    let best = found.first().filter(|f| f.layers_ms < WORTH_A_FILE * whole);
    let Some(best) = best else {
        outcome.nothing("the profile predicts no plan that is faster by 3 %, which predictions may be off by");
        return Ok(outcome);
    };
    let (change, folds) = best.plan.change(analysis, &removable);
    let proto = rewrite(&opened.proto, graph, analysis, &change, &folds)?;
    let (original, model) = (encode(&opened.proto), encode(&proto));
    let agreement = compare(device, &original, &model, &opened.specs, options.seed, 3)?;
    let holds = agreement.holds();
    outcome.agreement = Some(agreement);
    if !holds {
        outcome.nothing("the rewritten model's outputs differ; please report this model");
        return Ok(outcome);
    }
    if let Some(data) = &eval {
        outcome.task = compare_task(device, &original, &model, data, &|done, total| {
            reporter.progress(done, total)
        })?;
    }
    outcome.fill(opened, graph, &best.plan, &proto, &removable, costs);
    outcome.model = Some(model);
    Ok(outcome)
}
