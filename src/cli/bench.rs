//! `snapprune bench A.onnx B.onnx ...`.

use serde_json::{Value, json};

use super::screen::Screen;
use super::{interrupt, stdout};
use crate::Result;
use crate::flags::BenchArgs;
use crate::jobs::{BenchOutcome, bench};
use crate::report::bench_table;
use crate::verify::{Task, TaskNumber, Verdict};

/// Always `true`: whatever is faster, the measurement was made.
pub(super) fn run(args: &BenchArgs) -> Result<bool> {
    let done = bench(&args.settings()?, interrupt::stop(), &Screen::new(false))?;
    let names: Vec<String> = args.models.iter().map(|p| p.display().to_string()).collect();
    if args.json {
        stdout::line(&format!("{:#}", report(&names, &done)))?;
        return Ok(true);
    }
    stdout::line(&format!("device    {}", done.described))?;
    stdout::text(&bench_table(&names, &done.entries))?;
    for (name, own) in names.iter().zip(&done.classes) {
        let right = own
            .accuracy
            .map(|a| format!("top-1 {:.2} %, top-5 {:.2} %", 100.0 * a.top1, 100.0 * a.top5));
        let same = own
            .same
            .map(|s| format!("the first model's class for {:.2} % of the samples", 100.0 * s));
        let told: Vec<String> = right.into_iter().chain(same).collect();
        stdout::line(&match told.is_empty() {
            false => format!("{name}: {}", told.join(", ")),
            true => format!("{name}: the first output holds no classes"),
        })?;
    }
    for (name, task) in names.iter().zip(&done.tasks) {
        let number = |n: &TaskNumber| match (n.labelled, n.agreement) {
            (Some((_, own)), _) => format!("{} {own:.4} by the labels", n.name),
            (None, Some(same)) => format!("{} {same:.4} by the first model's answers", n.name),
            (None, None) => n.name.clone(),
        };
        stdout::line(&match task {
            Some(task) => format!(
                "{name}: {}",
                task.numbers.iter().map(number).collect::<Vec<_>>().join(", ")
            ),
            None => format!(
                "{name}: nothing can be compared: the first model finds nothing in these samples, or the answers are of another kind"
            ),
        })?;
    }
    for (name, score) in names.iter().zip(&done.scores) {
        stdout::line(&format!("{name}: metric {score:.4}"))?;
    }
    Ok(true)
}

/// A task's numbers by name: by the first model's answers, and by the labels.
fn numbers(task: &Task) -> Value {
    let one = |n: &TaskNumber| {
        let of = json!({"agreement": n.agreement, "labels": n.labelled.map(|(_, own)| own)});
        (n.name.clone(), of)
    };
    task.numbers.iter().map(one).collect::<serde_json::Map<_, _>>().into()
}

fn report(names: &[String], done: &BenchOutcome) -> Value {
    let row = |(k, (name, entry)): (usize, (&String, &crate::verify::Entry))| {
        let classes = done.classes.get(k);
        let accuracy = classes.and_then(|c| c.accuracy);
        let s = entry.summary();
        json!({
            "model": name, "min": s.min, "median": s.median, "mad": s.mad, "p95": s.p95, "n": s.n,
            "ratio": entry.ratio(), "ratio_noise": entry.ratio_noise(),
            "top1": accuracy.map(|a| a.top1), "top5": accuracy.map(|a| a.top5),
            "same_class": classes.and_then(|c| c.same), "metric": done.scores.get(k),
            "metrics": done.tasks.get(k).and_then(Option::as_ref).map(numbers),
            "faster_than_first": entry.verdict() == Verdict::Faster,
        })
    };
    let rows: Vec<Value> = names.iter().zip(&done.entries).enumerate().map(row).collect();
    json!({"schema_version": 1, "device": done.device, "models": rows})
}
