//! The JSON report, schema version 2.

use serde_json::{Value, json};

use crate::channels::NewChannels;
use crate::device::DeviceInfo;
use crate::onnx::label;
use crate::optimize::{LatencySteps, Opened, Outcome, Workload};
use crate::plan::Metric;
use crate::profile::{Roofline, Summary};
use crate::verify::Task;

fn times(s: &Summary) -> Value {
    json!({"median": s.median, "mad": s.mad, "min": s.min, "p95": s.p95, "n": s.n})
}

/// The report of the main job.
pub fn outcome_json(path: &str, workloads: &[Workload], outcome: &Outcome) -> Value {
    let inputs = |opened: &Opened| -> Vec<Value> {
        let specs = opened.specs.iter();
        specs
            .map(|s| json!({"name": s.name, "dims": s.dims, "dtype": s.dtype.as_str_name().to_lowercase()}))
            .collect()
    };
    let shown: Vec<Value> = workloads
        .iter()
        .map(|l| json!({"inputs": inputs(&l.opened), "weight": l.weight}))
        .collect();
    let opened = &workloads[0].opened;
    let groups: Vec<Value> = outcome
        .groups
        .iter()
        .map(|g| {
            json!({
                "id": g.id, "layers": g.layers, "tensors": g.tensors, "width_before": g.before,
                "width_after": g.after, "action": g.action, "reason": g.reason,
                "layers_ms": g.layers_ms.map(|(before, after)| json!({"before": before, "after": after})),
            })
        })
        .collect();
    let dynamic = outcome.dynamic.as_ref();
    let mut report = json!({
        "schema_version": 2,
        "tool": {"name": "snapprune", "version": env!("CARGO_PKG_VERSION")},
        "model": {"path": path, "blake3": opened.model.hash, "opset": opened.model.opset(), "inputs": inputs(opened)},
        "workloads": shown,
        "device": outcome.device,
        "written": outcome.model.is_some(),
        "declined": outcome.declined,
        "latency_ms": latency(outcome),
        "ratio_static": outcome.ratio.map(|r| r.0),
        "ratio_static_noise": outcome.ratio.map(|r| r.1),
        "ratio_dynamic": dynamic.and_then(|d| d.ratio).map(|r| r.0),
        "ratio_dynamic_noise": dynamic.and_then(|d| d.ratio).map(|r| r.1),
        "ratio_dynamic_original": dynamic.and_then(|d| d.ratio_original),
        "dynamic": dynamic.map(|d| json!({
            "written": d.model.is_some(), "declined": d.declined, "notes": d.notes, "reference": d.reference,
            "held_out_drop": d.held_out_drop, "fitted": d.fitted, "distillation": d.distillation, "eval_drop": d.eval_drop,
            "metric": d.metric.as_ref().map(|m| json!({"name": m.name, "static": m.original, "dynamic": m.rewritten})),
        })),
        "gates": dynamic.map_or(&[][..], |d| &d.gates),
        "noise": outcome.noise,
        "predicted_ratio_static": outcome.predicted_ratio(),
        "predicted_latency_ms": outcome.predicted_ms.map(|(a, b)| json!({"original": a, "static": b})),
        "groups": groups,
        "moves": outcome.moves,
        "broadcasts_removed": outcome.broadcasts_removed(),
        "branches_removed": outcome.branches_removed(),
        "verify": verify(outcome),
        "metric": outcome.metric,
        "task": outcome.reading.as_ref().map(|r| json!({"name": r.kind, "by": r.why, "given": r.given})),
        "probes": {
            "made": outcome.probes.made, "reused": outcome.probes.reused,
            "skipped": outcome.probes.skipped, "pruned": outcome.probes.pruned, "exhaustive": outcome.probes.exhaustive,
        },
        "calibration": outcome.calibration,
        "latency_steps": outcome.latency_steps,
        "curve": outcome.curve,
        "chosen": outcome.chosen,
        "goals_ahead": outcome.goals_ahead,
        "settings": outcome.settings,
        "seconds": outcome.seconds,
        "unverified": outcome.unverified,
        "plan": outcome.plan,
        "notes": opened.notes.iter().chain(&outcome.notes).collect::<Vec<_>>(),
    });
    for metric in Metric::counted() {
        report[metric.key()] = json!(outcome.counted[metric]);
    }
    let macs = &mut report[Metric::Macs.key()];
    macs["dynamic"] = json!(dynamic.and_then(|d| d.macs));
    macs["per"] = json!(opened.macs_per());
    report
}

/// Latencies as measured side by side: with the dynamic variant where there is one.
fn latency(outcome: &Outcome) -> Option<Value> {
    let gated = outcome.dynamic.as_ref().and_then(|d| d.latency.as_ref());
    match (gated, &outcome.latency) {
        (Some([a, b, c]), _) => Some(json!({"original": times(a), "static": times(b), "dynamic": times(c)})),
        (None, Some((a, b))) => Some(json!({"original": times(a), "static": times(b)})),
        (None, None) => None,
    }
}

/// How the outputs agree, and how the models do on real inputs.
fn verify(outcome: &Outcome) -> Value {
    let mut verify = json!(outcome.agreement);
    let gated = outcome.dynamic.as_ref().and_then(|d| d.task.as_ref());
    if outcome.task.is_none() && gated.is_none() {
        return verify;
    }
    if !verify.is_object() {
        verify = json!({});
    }
    let shares = |of: fn(&Task) -> Option<(f64, f64)>| {
        let (own, gated) = (outcome.task.as_ref().and_then(of), gated.and_then(of));
        let original = own.map(|p| p.0).or(gated.map(|p| p.0));
        let fixed = own.map(|p| p.1).or(gated.map(|p| p.0));
        json!({"original": original, "static": fixed, "dynamic": gated.map(|p| p.1)})
    };
    if let Some(fields) = verify.as_object_mut() {
        let samples = outcome.task.as_ref().or(gated).map(|t| t.samples);
        fields.insert("samples".to_owned(), json!(samples));
        fields.insert("top1".to_owned(), shares(|t| t.top1));
        fields.insert("top5".to_owned(), shares(|t| t.top5));
        fields.insert(
            "agreement".to_owned(),
            json!(outcome.task.as_ref().map(|t| t.agreement)),
        );
        fields.insert("agreement_dynamic".to_owned(), json!(gated.map(|t| t.agreement)));
        let numbers = task_numbers(outcome.task.as_ref(), gated);
        fields.insert("metrics".to_owned(), numbers);
        let drop =
            |t: &Task| json!({"value": t.accuracy_drop(), "low": t.drop_interval.low, "high": t.drop_interval.high});
        fields.insert("accuracy_drop".to_owned(), json!(outcome.task.as_ref().map(drop)));
        let seen = outcome.dynamic.as_ref().and_then(|d| d.eval_drop);
        let drop = seen
            .map(|d| json!({"value": d.value, "low": d.interval.map(|i| i.low), "high": d.interval.map(|i| i.high)}));
        fields.insert(
            "accuracy_drop_dynamic".to_owned(),
            json!(drop.filter(|_| gated.is_some())),
        );
    }
    verify
}

/// The numbers of a task by name, with the original's answers taken as right (`agreement`) and by labels; null for classifiers.
fn task_numbers(fixed: Option<&Task>, gated: Option<&Task>) -> Value {
    let Some(names) = fixed.or(gated).filter(|t| !t.numbers.is_empty()) else {
        return Value::Null;
    };
    let mut all = json!({});
    for (k, number) in names.numbers.iter().enumerate() {
        let (own, gated) = (
            fixed.and_then(|t| t.numbers.get(k)),
            gated.and_then(|t| t.numbers.get(k)),
        );
        let labelled = own.and_then(|n| n.labelled);
        let of_gated = gated.and_then(|n| n.labelled);
        all[&number.name] = json!({
            "agreement": own.and_then(|n| n.agreement),
            "agreement_dynamic": gated.and_then(|n| n.agreement),
            "original": labelled.or(of_gated).map(|l| l.0),
            "static": labelled.map(|l| l.1).or(of_gated.map(|l| l.0)),
            "dynamic": of_gated.map(|l| l.1),
        });
    }
    all
}

/// The report of `profile`, schema version 1: times in milliseconds; `nodes`, `limits` and `totals` are null where single nodes are not
/// timed.
pub fn profile_json(device: &DeviceInfo, roofline: Option<&Roofline>, latency_steps: &[LatencySteps]) -> Value {
    json!({
        "schema_version": 1,
        "tool": {"name": "snapprune", "version": env!("CARGO_PKG_VERSION")},
        "device": device,
        "clock": roofline.map(|r| r.clock),
        "nodes": roofline.map(|r| &r.nodes),
        "limits": roofline.map(|r| &r.limits),
        "totals": roofline.map(|r| r.totals),
        "latency_steps": latency_steps,
    })
}

/// The report of `inspect`.
pub fn inspect_json(opened: &Opened) -> Value {
    let analysis = &opened.analysis;
    let nodes: Vec<_> = opened.proto.graph.iter().flat_map(|g| &g.node).collect();
    let total = analysis.total_macs().max(1) as f64;
    let name = |&n: &usize| label(nodes[n], n);
    let mut constraints: Vec<Value> = Vec::new();
    let groups: Vec<Value> = analysis
        .groups
        .iter()
        .map(|g| {
            let mut touched: Vec<usize> = g.producers.iter().chain(&g.consumers).copied().collect();
            touched.sort_unstable();
            touched.dedup();
            let macs: u64 = touched.iter().map(|&n| analysis.macs[n]).sum();
            let constraint = opened.constraint_of(g);
            if let Some(constraint) = constraint {
                let node = constraint.node.map(|n| label(nodes[n], n));
                let op = constraint.node.map(|n| nodes[n].op_type().to_owned());
                let reason = json!({"node": node, "op": op, "reason": constraint.reason});
                if !constraints.contains(&reason) {
                    constraints.push(reason);
                }
            }
            json!({
                "id": g.id,
                "width": g.width(),
                "unit": g.unit,
                "blocks": g.classes.len(),
                "macs_share": macs as f64 / total,
                "free": constraint.is_none(),
                "can_grow": opened.can_grow(g),
                "grows_at_end": opened.can_grow(g) && g.new_channels == NewChannels::AtEnd,
                "reason": constraint.or(g.no_growth.as_ref()).map(|l| l.reason.clone()),
                "producers": g.producers.iter().map(name).collect::<Vec<_>>(),
                "consumers": g.consumers.iter().map(name).collect::<Vec<_>>(),
                "tensors": g.places.iter().map(|(v, _)| analysis.dependencies.value(*v).name.clone()).collect::<Vec<_>>(),
            })
        })
        .collect();
    let mut report = json!({
        "schema_version": 2,
        "macs_per": opened.macs_per(),
        "macs_free_share": opened.free_share(),
        "groups": groups,
        "constraints": constraints,
        "broadcasts": analysis.broadcasts.iter().map(name).collect::<Vec<_>>(),
        "left_out": opened.left_out.iter().map(|l| json!({
            "name": l.name, "op": l.op, "reason": l.why.text(), "what": l.what,
        })).collect::<Vec<_>>(),
        "quantized": opened.quantized.iter().map(|l| json!({
            "name": l.name, "op": l.op, "what": l.what, "in_floats": l.in_floats,
        })).collect::<Vec<_>>(),
        "nothing_to_do": opened.nothing_to_do(),
        "inputs": opened.specs.iter().map(|s| json!({"name": s.name, "dims": s.dims})).collect::<Vec<_>>(),
        "notes": opened.notes,
    });
    for metric in Metric::counted() {
        report[metric.key()] = json!(opened.counted[metric]);
    }
    report
}
