//! The headline, and the tables of what was verified and measured.

use crate::optimize::{Counted, Outcome, Workload};
use crate::plan::Metric;
use crate::profile::Summary;
use crate::report::ahead::goal_text;
use crate::report::calibrated::{agreement_text, samples_text};
use crate::report::noise::{noise_text, unsteady_text};
use crate::report::numbers::{amount, milliseconds, shape};
use crate::verify::{MetricScores, Task, TaskNumber};

/// A number of the headline.
pub(super) struct Card {
    pub title: &'static str,
    pub value: String,
    pub note: String,
    pub class: &'static str,
}

/// A line of a table.
pub(super) struct Fact {
    pub what: String,
    pub value: String,
}

fn fact(what: &str, value: String) -> Fact {
    Fact {
        what: what.to_owned(),
        value,
    }
}

/// What latency goals would give.
pub(super) fn goals_ahead(outcome: &Outcome) -> Vec<Fact> {
    let goals = outcome.goals_ahead.iter();
    goals.map(|g| fact(&g.goal, goal_text(g))).collect()
}

/// What came out, in a sentence.
pub(super) fn verdict(outcome: &Outcome) -> String {
    let gated = outcome.dynamic.as_ref().filter(|d| d.model.is_some());
    let mut parts = Vec::new();
    match (&outcome.model, outcome.ratio, &outcome.declined) {
        (Some(_), Some((ratio, noise)), _) => parts.push(format!(
            "Takes {ratio:.3} ± {noise:.3} of the time of the original: {:.2} times as fast.",
            1.0 / ratio
        )),
        (Some(_), None, _) => parts.push("A new model, whose latency was predicted and not measured.".to_owned()),
        (None, _, Some(why)) => parts.push(format!("No static model was written: {why}.")),
        (None, _, None) => parts.push("No static model was written.".to_owned()),
    }
    if let Some((ratio, noise)) = gated.and_then(|d| d.ratio) {
        let than = if outcome.model.is_some() {
            "static model"
        } else {
            "original"
        };
        parts.push(format!(
            "The dynamic variant takes {ratio:.3} ± {noise:.3} of the time of the {than}."
        ));
    }
    parts.join(" ")
}

/// The numbers that matter most.
pub(super) fn cards(outcome: &Outcome) -> Vec<Card> {
    let mut cards = Vec::new();
    let mut card = |title, value: String, note: String, class| {
        cards.push(Card {
            title,
            value,
            note,
            class,
        });
    };
    let ms = |s: &Summary| {
        (
            format!("{} ms", milliseconds(s.median)),
            format!("± {} ms", milliseconds(s.mad)),
        )
    };
    let gated = outcome.dynamic.as_ref().filter(|d| d.model.is_some());
    let written = outcome.model.is_some();
    match (
        gated.and_then(|d| d.latency.as_ref()),
        &outcome.latency,
        outcome.predicted_ms,
    ) {
        (Some([original, fixed, dynamic]), _, _) => {
            let (value, note) = ms(original);
            card("latency before", value, note, "");
            if written {
                let (value, note) = ms(fixed);
                card("latency after", value, note, "after");
            }
            let (value, note) = ms(dynamic);
            card("latency, dynamic", value, note, "gated");
        }
        (None, Some((before, after)), _) => {
            let (value, note) = ms(before);
            card("latency before", value, note, "");
            let (value, note) = ms(after);
            card(
                if written {
                    "latency after"
                } else {
                    "latency, not written"
                },
                value,
                note,
                "after",
            );
        }
        (None, None, Some((before, after))) => {
            let value = format!("{} → {} ms", milliseconds(before), milliseconds(after));
            card("latency, predicted", value, "not measured".to_owned(), "");
        }
        (None, None, None) => {}
    }
    let fixed = outcome.task.as_ref().and_then(|t| Some((t, t.top1?)));
    let moving = gated.and_then(|d| d.task.as_ref()).and_then(|t| Some((t, t.top1?)));
    let share = |v: f64| format!("{:.2} %", 100.0 * v);
    if let Some((task, (before, _))) = fixed.or(moving) {
        card("top-1 before", share(before), format!("{} samples", task.samples), "");
    }
    if let Some((task, (before, after))) = fixed {
        let note = format!(
            "{:+.2} points, {} of classes agree",
            100.0 * (after - before),
            share(task.agreement)
        );
        card("top-1 after", share(after), note, "after");
    }
    for (task, number) in outcome.task.iter().flat_map(|t| t.numbers.iter().map(move |n| (t, n))) {
        if let Some((a, b)) = number.labelled {
            let note = format!("{} by labels, {} samples", number.name, task.samples);
            card("before and after", format!("{a:.3} → {b:.3}"), note, "");
        } else if let Some(v) = number.agreement {
            let note = format!("{} of the original's answers, {} samples", number.name, task.samples);
            card("agreement", format!("{v:.3}"), note, "");
        }
    }
    if let Some((_, (before, after))) = moving {
        let note = format!("{:+.2} points to the static model", 100.0 * (after - before));
        card("top-1, dynamic", share(after), note, "gated");
    }
    for metric in Metric::counted() {
        let Counted { before, after } = outcome.counted[metric];
        let (value, note) = match before == after {
            true => (amount(metric, before), "unchanged".to_owned()),
            false => (
                format!("{} → {}", amount(metric, before), amount(metric, after)),
                format!("{:.3}×", after as f64 / before.max(1) as f64),
            ),
        };
        card(metric.heading(), value, note, "");
    }
    cards
}

/// What was checked of the outputs and the accuracy.
pub(super) fn verified(outcome: &Outcome) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(a) = &outcome.agreement {
        let judged = match (a.holds(), outcome.calibration.is_some()) {
            (true, _) => "the same within float tolerance",
            (false, true) => "they differ, as channels that carried something went",
            (false, false) => "they differ",
        };
        facts.push(fact(
            "outputs",
            format!(
                "{judged}: largest difference {:.1e}, {:.1e} of the range; cosine {:.7}; {} random inputs",
                a.max_abs_diff, a.max_rel_diff, a.cosine, a.inputs_tried
            ),
        ));
        let rounding = format!(
            "{:.1e} of the range, between two ways of running the original",
            a.rounding
        );
        facts.push(fact("rounding alone", rounding));
    }
    facts.extend(outcome.reading.as_ref().map(|r| fact("task", r.text())));
    let task = |t: &Task| {
        if !t.numbers.is_empty() {
            return numbers(t);
        }
        let share = |v: f64| format!("{:.2} %", 100.0 * v);
        let right = t.top1.zip(t.top5).map(|(one, five)| {
            format!(
                "top-1 {} → {}, top-5 {} → {}, ",
                share(one.0),
                share(one.1),
                share(five.0),
                share(five.1)
            )
        });
        format!(
            "{}same class for {} of {} samples",
            right.unwrap_or_default(),
            share(t.agreement),
            t.samples
        )
    };
    let with_drop = |t: &Task| match t.numbers.is_empty() {
        true => task(t),
        false => task(t) + &lost(t),
    };
    facts.extend(outcome.task.as_ref().map(|t| fact("real inputs", with_drop(t))));
    let metric = |m: &MetricScores| format!("{}: {:.4} → {:.4}", m.name, m.original, m.rewritten);
    facts.extend(outcome.metric.as_ref().map(|m| fact("metric", metric(m))));
    if let Some(c) = &outcome.calibration {
        let held_out = c
            .held_out_loss
            .map(|l| format!(", {l:.4} measured on samples held out"));
        let value = format!("{:.4} predicted{}", c.predicted_loss, held_out.unwrap_or_default());
        facts.push(fact("loss", value));
        let samples = match c.samples {
            0 => "none".to_owned(),
            _ => samples_text(c),
        };
        facts.push(fact("calibration samples", samples));
        let scales = c.activation_scales.as_ref();
        facts.extend(scales.map(|s| fact("activation scales", s.text())));
        let trained = c.distillation.as_ref();
        facts.extend(trained.map(|d| fact("distillation", d.text())));
        let agreement = agreement_text(c);
        facts.extend(agreement.map(|text| fact("agreement on samples held out", text)));
    }
    if let Some(d) = &outcome.dynamic {
        let reference = d.reference.as_ref();
        facts.extend(reference.map(|a| {
            let value = format!("{:.1e} of the range from the reference form's outputs", a.max_rel_diff);
            fact("dynamic variant", value)
        }));
        facts.extend(d.task.as_ref().map(|t| fact("static → dynamic", task(t))));
        let drop = d
            .held_out_drop
            .map(|v| format!("{:.2} % on the calibration samples that chose the gates", 100.0 * v));
        facts.extend(drop.map(|v| fact("dynamic drop", v)));
        facts.extend(d.metric.as_ref().map(|m| fact("metric, static → dynamic", metric(m))));
        facts.extend(
            d.eval_drop
                .map(|drop| fact("dynamic drop in evaluation", drop.text(d.metric.is_some()))),
        );
        let trained = d.distillation.as_ref();
        facts.extend(trained.map(|d| fact("distillation behind gates", d.text())));
    }
    if facts.is_empty() {
        facts.push(fact(
            "outputs",
            "nothing was written, so nothing had to be compared".to_owned(),
        ));
    }
    facts
}

/// The numbers of a task.
fn numbers(task: &Task) -> String {
    let one = |n: &TaskNumber| {
        let labelled = n.labelled.map(|(a, b)| format!("{} {a:.4} → {b:.4} by labels", n.name));
        let agreed = n
            .agreement
            .map(|v| format!("{} {v:.4} of the original's answers", n.name));
        labelled.into_iter().chain(agreed).collect::<Vec<_>>()
    };
    let all: Vec<String> = task.numbers.iter().flat_map(one).collect();
    format!("{}; {} samples", all.join(", "), task.samples)
}

/// What is lost.
fn lost(task: &Task) -> String {
    format!(
        "; a drop of {:.2} % ({:.2} to {:.2} % with 95 % confidence)",
        100.0 * task.accuracy_drop(),
        100.0 * task.drop_interval.low,
        100.0 * task.drop_interval.high
    )
}

/// How the numbers came about.
pub(super) fn measured(workloads: &[Workload], outcome: &Outcome) -> Vec<Fact> {
    let mut facts = Vec::new();
    let shapes: Vec<String> = workloads
        .iter()
        .map(|l| {
            let inputs: Vec<String> = l
                .opened
                .specs
                .iter()
                .map(|s| format!("{} {}", s.name, shape(&s.dims)))
                .collect();
            match workloads.len() {
                1 => inputs.join(", "),
                _ => format!("{} ({:.0} % of the traffic)", inputs.join(", "), 100.0 * l.weight),
            }
        })
        .collect();
    facts.push(fact("inputs", shapes.join("; ")));
    if let Some(workload) = workloads.first() {
        facts.push(fact("original", format!("blake3 {}", workload.opened.model.hash)));
    }
    if let (Some((before, after)), Some((ratio, noise))) = (&outcome.latency, outcome.ratio) {
        facts.push(fact(
            "latency",
            format!(
                "{} runs of each model, interleaved, in three sets of fresh sessions; medians ± median absolute deviation",
                before.n
            ),
        ));
        facts.push(fact(
            "noise",
            format!(
                "ratio {ratio:.4} ± {noise:.4} (95 %); 95 of 100 runs within {} and {} ms",
                milliseconds(before.p95),
                milliseconds(after.p95)
            ),
        ));
    }
    facts.extend(outcome.settings.iter().map(|s| fact("provider settings", s.text())));
    facts.extend(noise_text(&outcome.noise).map(|text| fact("machine", text)));
    facts.extend(unsteady_text(&outcome.noise).map(|text| fact("unsteady", text)));
    let p = &outcome.probes;
    facts.push(fact(
        "layers",
        format!(
            "{} problems timed, {} known from before{}{}",
            p.made,
            p.reused,
            match p.skipped {
                0 => String::new(),
                n => format!(", {n} left out"),
            },
            match p.exhaustive {
                n if n > p.made + p.reused => format!("; every width would have been {n}"),
                _ => String::new(),
            }
        ),
    ));
    if let Some(predicted) = outcome.predicted_ratio() {
        facts.push(fact(
            "prediction",
            format!("a ratio of {predicted:.3} from the times of the layers"),
        ));
    }
    let known = outcome.device.facts.iter().filter(|(k, _)| *k != "model");
    let known: Vec<String> = known.map(|(k, v)| format!("{} {v}", k.replace('_', " "))).collect();
    facts.push(fact("device", format!("{}: {}", outcome.device.name, known.join(", "))));
    facts
}
