//! What a model is for, from its graph, its outputs and what the user says.

use super::best_class::best_class;
use super::detect;
use super::ends::{OutputEnd, ends_of};
use super::kind::TaskKind;
use super::output_values::OutputValues;
use super::reading::{How, Reading};
use crate::device::InputSpec;
use crate::onnx::Graph;

/// What a task is recognized from.
#[derive(Clone, Copy)]
pub struct Evidence<'e, 'g> {
    /// The model.
    pub graph: &'e Graph<'g>,
    /// Its inputs.
    pub inputs: &'e [InputSpec],
    /// Its own outputs on some samples, and how many samples these are.
    pub outputs: &'e [OutputValues],
    /// How many these are.
    pub samples: usize,
    /// Whether numbers of classes are given as labels.
    pub class_labels: bool,
}

/// How a model's outputs are read: as `wanted`, or as what is recognized.
pub fn recognize(evidence: Evidence, wanted: Option<TaskKind>) -> Reading {
    let known = [
        TaskKind::Detect,
        TaskKind::Classify,
        TaskKind::Embed,
        TaskKind::Segment,
        TaskKind::Ctc,
        TaskKind::Regress,
    ];
    let reading = match wanted {
        Some(kind) => as_kind(evidence, kind, true).or_else(|| {
            let why = format!("no layout of this task is known that the outputs have, so {kind} is judged by numbers");
            Some(Reading::new(kind, How::Values, why))
        }),
        None => known.into_iter().find_map(|kind| as_kind(evidence, kind, false)),
    };
    let mut reading = reading.unwrap_or_else(|| Reading::new(TaskKind::Regress, How::Values, String::new()));
    reading.given = wanted.is_some();
    reading
}

/// Reads the outputs as those of a task, if they may be; `wanted` needs less evidence.
fn as_kind(evidence: Evidence, kind: TaskKind, wanted: bool) -> Option<Reading> {
    match kind {
        TaskKind::Detect => detector(evidence),
        TaskKind::Classify => classes(evidence, wanted),
        TaskKind::Embed => embedding(evidence, wanted),
        TaskKind::Segment => maps(evidence, wanted),
        TaskKind::Ctc => steps(evidence, wanted),
        TaskKind::Regress => Some(Reading::new(
            kind,
            How::Values,
            "nothing else was recognized".to_owned(),
        )),
    }
}

/// Height and width of the model's image: of the first input with four axes, channels first or last.
pub fn image_of(inputs: &[InputSpec]) -> Option<(usize, usize)> {
    let spec = inputs.iter().find(|s| s.dims.len() == 4)?;
    let d = &spec.dims;
    match d[3] <= 4 && d[1] > 4 {
        true => Some((d[1], d[2])),
        false => Some((d[2], d[3])),
    }
}

fn detector(evidence: Evidence) -> Option<Reading> {
    let layout = detect::recognize(detect::Given {
        outputs: evidence.outputs,
        samples: evidence.samples,
        image: image_of(evidence.inputs)?,
    })?;
    let why = format!("{} layout", layout.name);
    Some(Reading::new(TaskKind::Detect, How::Detections(layout), why))
}

/// The first output as samples × numbers; `None` where it is no such table.
fn table<'e>(evidence: Evidence<'e, '_>) -> Option<(&'e OutputValues, usize)> {
    let first = evidence.outputs.first().filter(|o| o.float)?;
    let (samples, columns) = (first.dims.first()?, first.dims.get(1)?);
    let flat = first.dims.iter().skip(2).all(|&d| d == 1);
    (*samples == evidence.samples && flat && *columns > 1).then_some((first, *columns))
}

/// Words in the name of an output that holds embeddings.
const EMBEDDING_NAMES: &[&str] = &["embed", "feature", "feat", "descriptor", "fc1"];

fn classes(evidence: Evidence, wanted: bool) -> Option<Reading> {
    let (output, _) = table(evidence)?;
    if !wanted && !evidence.class_labels && is_embedding(evidence, output).is_some() {
        return None;
    }
    let ends = ends_of(evidence.graph, &output.name);
    let why = match ends.as_slice() {
        [OutputEnd::Softmax] => "a table that ends in a softmax",
        [OutputEnd::Sigmoid] => "a table that ends in a sigmoid",
        _ if evidence.class_labels => "a table, and classes as labels",
        _ => "a table of samples and classes",
    };
    let output = output.name.clone();
    Some(Reading::new(
        TaskKind::Classify,
        How::Classes { output },
        why.to_owned(),
    ))
}

/// Why an output holds embeddings, if it does.
fn is_embedding(evidence: Evidence, output: &OutputValues) -> Option<&'static str> {
    let ends = ends_of(evidence.graph, &output.name);
    let name = output.name.to_lowercase();
    match ends.as_slice() {
        [OutputEnd::Normalized] => Some("a table that ends in a normalization"),
        [OutputEnd::Softmax | OutputEnd::Sigmoid] => None,
        _ if EMBEDDING_NAMES.iter().any(|w| name.contains(w)) => Some("the output's name"),
        _ => None,
    }
}

fn embedding(evidence: Evidence, wanted: bool) -> Option<Reading> {
    let (output, _) = table(evidence)?;
    let why = match is_embedding(evidence, output) {
        Some(why) => why,
        None if wanted => "",
        None => return None,
    };
    let output = output.name.clone();
    Some(Reading::new(TaskKind::Embed, How::Vectors { output }, why.to_owned()))
}

/// Maps of classes: as many rows and columns as the image, or a small part of those.
fn maps(evidence: Evidence, wanted: bool) -> Option<Reading> {
    let image = image_of(evidence.inputs)?;
    let of = |output: &OutputValues| {
        let dims: Vec<usize> = output.dims.clone();
        let ends = ends_of(evidence.graph, &output.name);
        let fits = |h: usize, w: usize| {
            let part = |of: usize, n: usize| n > 1 && of.is_multiple_of(n) && of / n <= 32;
            part(image.0, h) && part(image.1, w) && h * image.1 == w * image.0
        };
        let n = evidence.samples;
        let (classes, last) = match *dims.as_slice() {
            [h, w] if n == 1 && fits(h, w) => (1, false),
            [m, h, w] if (m == n || m == 1) && fits(h, w) => (1, false),
            [m, c, h, w] if m == n && fits(h, w) => (c, false),
            [m, h, w, c] if m == n && fits(h, w) => (c, true),
            _ => return None,
        };
        let (why, sure) = match ends.as_slice() {
            [OutputEnd::Softmax] => ("a map that ends in a softmax", true),
            [OutputEnd::Sigmoid] => ("a map that ends in a sigmoid", true),
            [OutputEnd::Best] => ("a map of classes", true),
            [OutputEnd::Resized] if classes > 3 || classes == 2 => ("a resized map of classes", true),
            _ => ("a map", classes > 3),
        };
        // A map of classes that were chosen holds whole numbers.
        let chosen = !output.float;
        (wanted || (sure && (output.float || ends == [OutputEnd::Best]))).then(|| {
            let how = How::Maps {
                output: output.name.clone(),
                classes,
                classes_last: last,
                chosen,
                logits: output.values.iter().any(|v| !(-1e-4..=1.0001).contains(v)),
            };
            Reading::new(TaskKind::Segment, how, why.to_owned())
        })
    };
    evidence.outputs.iter().find_map(of)
}

/// Steps of classes: samples × steps × classes, or steps first.
fn steps(evidence: Evidence, wanted: bool) -> Option<Reading> {
    let first = evidence.outputs.first().filter(|o| o.float)?;
    let &[a, b, classes] = first.dims.as_slice() else {
        return None;
    };
    let n = evidence.samples;
    let steps_first = b == n && a != n;
    if (a != n && !steps_first) || classes < 2 {
        return None;
    }
    let softmax = ends_of(evidence.graph, &first.name) == [OutputEnd::Softmax];
    let steps = if steps_first { a } else { b };
    if !wanted && !(steps > 1 && (softmax || steps_first && n > 1)) {
        return None;
    }
    let blank = blank(first, classes);
    let how = How::Steps {
        output: first.name.clone(),
        steps_first,
        blank,
        classes,
        letters: None,
    };
    let why = if softmax {
        "steps that end in a softmax"
    } else {
        "steps"
    };
    let why = format!("{why}, {classes} classes, number {blank} is the blank");
    Some(Reading::new(TaskKind::Ctc, how, why))
}

/// The blank is the first class or the last one: whichever is the best of more steps.
fn blank(output: &OutputValues, classes: usize) -> usize {
    let (mut first, mut last) = (0_usize, 0_usize);
    for step in output.values.chunks_exact(classes) {
        let best = best_class(step);
        first += usize::from(best == 0);
        last += usize::from(best + 1 == classes);
    }
    if last > first { classes - 1 } else { 0 }
}
