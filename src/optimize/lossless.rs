//! Plans that lose nothing: widths grow where that is faster, and channels that carry nothing go.

use super::choose::Job;
use super::prepare::Prepared;
use super::{FINAL_SECONDS, Growth, Outcome, WORTH_A_FILE, agreement, counts, probes, racing};
use crate::Result;
use crate::onnx::encode;
use crate::plan::{Costs, Plan, search};
use crate::profile::Prober;
use crate::verify::{Verdict, benchmark_workloads, compare_task};

/// Plans, chooses, verifies.
pub(super) fn lossless(p: Prepared, costs: &mut Costs, prober: &mut Prober) -> Result<Outcome> {
    let Prepared {
        workloads,
        opened,
        graph,
        device,
        removable,
        candidates,
        inputs,
        original,
        eval,
        options,
        reporter,
        limit,
        ..
    } = p;
    let analysis = &opened.analysis;
    let base = counts(analysis, &Plan::default());
    reporter.step("searching plans");
    let found = search(analysis, &candidates, costs, prober, &|done, total| {
        reporter.progress(done, total);
    })?;
    let job = Job {
        opened,
        graph,
        device,
        original: &original,
        inputs: &inputs,
        removable: &removable,
        limit,
    };
    reporter.step("measuring whole models");
    let mut chosen = job.choose(&found, costs, prober, reporter)?;
    if options.growth == Growth::Free && !limit.is_up() {
        let base = chosen.as_ref().map(|c| c.plan.clone()).unwrap_or_default();
        reporter.step("growing for free");
        chosen = job.grow_for_free(base, &candidates, costs, prober)?.or(chosen);
    }
    let all = costs.all();
    let plan = chosen.as_ref().map(|c| c.plan.clone()).unwrap_or_default();
    costs.require(prober, &[(all, counts(analysis, &plan))], &|_, _| {})?;
    let mut outcome = Outcome::new(
        opened,
        device.info(),
        &candidates,
        probes(prober, costs, &candidates, &base),
    );
    let Some(chosen) = chosen else {
        let none = opened.nothing_to_change(false);
        outcome.nothing(if let Some(why) = &none {
            why
        } else if prober.skipped > 0 {
            "the time was up before a faster plan was found; run again to go on (what was timed is kept), or allow more"
        } else if found.is_empty() {
            "every width that may change stands where this machine runs it best"
        } else {
            "no plan was measured to be faster than the original beyond the noise"
        });
        return Ok(outcome);
    };
    reporter.step("verifying");
    let mut chosen = chosen;
    let agreed = |model: &[u8]| agreement(device, &original, model, workloads, options.seed);
    let zero = encode(&chosen.proto);
    let (model, agreement) = match options.split() {
        Some(seed) => {
            chosen.plan.split = Some(seed);
            chosen.proto = job.apply(&chosen.plan)?;
            let model = encode(&chosen.proto);
            let agreement = agreed(&model)?;
            (model, agreement)
        }
        None => {
            let agreement = agreed(&zero)?;
            (zero, agreement)
        }
    };
    let seconds = racing(limit, FINAL_SECONDS);
    let entries = benchmark_workloads(device, &[&original, &model], &inputs, seconds, &|done, total| {
        reporter.progress(done, total)
    })?;
    outcome.measured(&entries, agreement.clone());
    outcome.predict(opened, graph, &chosen.plan, &removable, costs);
    if !agreement.holds() {
        outcome.nothing("the rewritten model's outputs differ; please report this model");
        return Ok(outcome);
    }
    let free = options.growth == Growth::Free && entries[1].verdict() != Verdict::Slower;
    if !free && (entries[1].verdict() != Verdict::Faster || entries[1].ratio() > WORTH_A_FILE) {
        outcome.nothing("the best plan was not faster by 1 % beyond the noise when measured again");
        return Ok(outcome);
    }
    if let Some(data) = &eval {
        reporter.step("running real inputs");
        outcome.task = compare_task(device, &original, &model, data, &|done, total| {
            reporter.progress(done, total)
        })?;
    }
    outcome.fill(opened, graph, &chosen.plan, &chosen.proto, &removable, costs);
    outcome.model = Some(model);
    Ok(outcome)
}
