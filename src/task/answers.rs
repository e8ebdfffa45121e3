//! What models answer, what is right, and the numbers that compare the two.

use super::bootstrap::bootstrap;
use super::detect::{Detection, Matches, TrueBox};
use super::embed::{cosine, nearest};
use super::segment::MapCounts;
use super::sequence::edit_distance;
use crate::data::Mask;

/// A model's answer for one sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Its class.
    Class(usize),
    /// What it found, in the order of scores, in pixels of the model's input.
    Boxes(Vec<Detection>),
    /// The classes of all places.
    Map(Mask),
    /// A vector.
    Vector(Vec<f32>),
    /// The classes of a string.
    Text(Vec<u32>),
    /// Numbers of each output, spread evenly over it where it has many.
    Values(Vec<Vec<f32>>),
}

/// What is right for one sample, labelled or taken from another model.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    /// The class.
    Class(usize),
    /// What is there, in pixels of the model's input.
    Boxes(Vec<TrueBox>),
    /// The classes of all places.
    Map(Mask),
    /// A vector.
    Vector(Vec<f32>),
    /// The classes of a string.
    Text(Vec<u32>),
    /// Numbers of each output.
    Values(Vec<Vec<f32>>),
}

impl Truth {
    /// A model's answer as what is right; boxes are those with scores above `score`.
    pub fn of(answer: &Answer, score: f32) -> Self {
        match answer {
            Answer::Class(class) => Self::Class(*class),
            Answer::Boxes(found) => Self::Boxes(found.iter().filter(|d| d.score > score).map(TrueBox::from).collect()),
            Answer::Map(map) => Self::Map(map.clone()),
            Answer::Vector(vector) => Self::Vector(vector.clone()),
            Answer::Text(text) => Self::Text(text.clone()),
            Answer::Values(values) => Self::Values(values.clone()),
        }
    }
}

/// A number that tells how good answers are.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
}

/// Answers held against what is right, sample by sample: numbers of any choice of samples follow.
#[derive(Clone, Debug)]
pub enum Compared {
    /// Whether each class is right.
    Classes(Vec<bool>),
    /// Matched boxes.
    Boxes(Matches),
    /// Counts of each map.
    Maps(Vec<MapCounts>),
    /// Cosine, and whether the nearest other sample is the same.
    Vectors(Vec<(f64, bool)>),
    /// Edits, and the length of what is right.
    Texts(Vec<(usize, usize)>),
    /// Of each sample and output, squared error and squared deviation from the mean.
    Values(Vec<Vec<(f64, f64)>>),
}

impl Compared {
    /// Compares answers with what is right, both in the order of samples; `None` where they are of different kinds, or none.
    pub fn new(truth: &[Truth], answers: &[Answer]) -> Option<Self> {
        if truth.len() != answers.len() {
            return None;
        }
        let pairs = || truth.iter().zip(answers);
        match (truth.first()?, answers.first()?) {
            (Truth::Class(_), Answer::Class(_)) => {
                let same = |(t, a): (&Truth, &Answer)| matches!((t, a), (Truth::Class(t), Answer::Class(a)) if t == a);
                Some(Self::Classes(pairs().map(same).collect()))
            }
            (Truth::Boxes(_), Answer::Boxes(_)) => {
                let there: Vec<Vec<TrueBox>> = truth.iter().map(|t| boxes(t).to_vec()).collect();
                let found: Vec<Vec<Detection>> = answers.iter().map(|a| detections(a).to_vec()).collect();
                Some(Self::Boxes(Matches::new(&there, &found)))
            }
            (Truth::Map(_), Answer::Map(_)) => {
                let counts = |(t, a): (&Truth, &Answer)| match (t, a) {
                    (Truth::Map(t), Answer::Map(a)) => Some(MapCounts::new(t, a)),
                    _ => None,
                };
                Some(Self::Maps(pairs().map(counts).collect::<Option<_>>()?))
            }
            (Truth::Vector(_), Answer::Vector(_)) => vectors(truth, answers),
            (Truth::Text(_), Answer::Text(_)) => {
                let edits = |(t, a): (&Truth, &Answer)| match (t, a) {
                    (Truth::Text(t), Answer::Text(a)) => Some((edit_distance(t, a), t.len())),
                    _ => None,
                };
                Some(Self::Texts(pairs().map(edits).collect::<Option<_>>()?))
            }
            (Truth::Values(_), Answer::Values(_)) => values(truth, answers),
            _ => None,
        }
    }

    /// Samples.
    pub fn samples(&self) -> usize {
        match self {
            Self::Classes(all) => all.len(),
            Self::Boxes(matches) => matches.images(),
            Self::Maps(all) => all.len(),
            Self::Vectors(all) => all.len(),
            Self::Texts(all) => all.len(),
            Self::Values(all) => all.len(),
        }
    }

    /// The numbers of the task, the one that decides first; `None` where nothing can be told, as nothing is there to be found.
    pub fn numbers(&self) -> Option<Vec<Number>> {
        self.numbers_of(&vec![1; self.samples()])
    }

    /// The number that decides, 1 at best, with every sample counted so many times.
    pub fn main_of(&self, times: &[usize]) -> Option<f64> {
        self.numbers_of(times)?.first().map(|n| n.value)
    }

    /// The 95 % interval of the number that decides.
    pub fn interval(&self) -> Option<(f64, f64)> {
        bootstrap(self.samples(), 1, |times| self.main_of(times))
    }

    fn numbers_of(&self, times: &[usize]) -> Option<Vec<Number>> {
        let all: f64 = times.iter().sum::<usize>() as f64;
        let mean = |of: &dyn Fn(usize) -> f64| {
            let sum: f64 = times.iter().enumerate().map(|(k, n)| *n as f64 * of(k)).sum();
            sum / all
        };
        let number = |name, value| Number { name, value };
        let share = |yes: bool| f64::from(u8::from(yes));
        let numbers = match self {
            Self::Classes(same) => vec![number("top1", mean(&|k| share(same[k])))],
            Self::Boxes(matches) => {
                let found = matches.precision_of(times)?;
                vec![number("mAP50", found.at_50), number("mAP50-95", found.at_50_to_95)]
            }
            Self::Maps(all) => {
                let mut sum = MapCounts::default();
                all.iter().zip(times).for_each(|(one, n)| sum.add(one, *n as u64));
                vec![
                    number("mIoU", sum.mean_iou()?),
                    number("boundary", sum.boundary_error()),
                ]
            }
            Self::Vectors(all) => vec![
                number("cosine", mean(&|k| all[k].0)),
                number("nn_agreement", mean(&|k| share(all[k].1))),
            ],
            Self::Texts(all) => {
                let (mut edits, mut length) = (0, 0);
                for ((e, l), n) in all.iter().zip(times) {
                    edits += n * e;
                    length += n * l;
                }
                vec![
                    number("equal", mean(&|k| share(all[k].0 == 0))),
                    number("edit_distance", edits as f64 / length.max(1) as f64),
                ]
            }
            Self::Values(all) => {
                let outputs = all.first().map_or(0, Vec::len);
                let sum = |k: usize, of: fn(&(f64, f64)) -> f64| -> f64 {
                    let one = |(v, n): (&Vec<(f64, f64)>, &usize)| *n as f64 * v.get(k).map_or(0.0, of);
                    all.iter().zip(times).map(one).sum()
                };
                let error = |k: usize| sum(k, |v| v.0) / sum(k, |v| v.1).max(f64::MIN_POSITIVE);
                let mean = (0..outputs).map(error).sum::<f64>() / outputs.max(1) as f64;
                vec![number("r2", 1.0 - mean), number("relative_error", mean)]
            }
        };
        (all > 0.0).then_some(numbers)
    }
}

fn boxes(truth: &Truth) -> &[TrueBox] {
    match truth {
        Truth::Boxes(all) => all,
        _ => &[],
    }
}

fn detections(answer: &Answer) -> &[Detection] {
    match answer {
        Answer::Boxes(all) => all,
        _ => &[],
    }
}

fn vectors(truth: &[Truth], answers: &[Answer]) -> Option<Compared> {
    let right = |t: &Truth| match t {
        Truth::Vector(v) => Some(v.clone()),
        _ => None,
    };
    let found = |a: &Answer| match a {
        Answer::Vector(v) => Some(v.clone()),
        _ => None,
    };
    let a: Vec<Vec<f32>> = truth.iter().map(right).collect::<Option<_>>()?;
    let b: Vec<Vec<f32>> = answers.iter().map(found).collect::<Option<_>>()?;
    let (near_a, near_b) = (nearest(&a), nearest(&b));
    let same = |k: usize| near_a.get(k) == near_b.get(k);
    let all = a.iter().zip(&b).enumerate();
    Some(Compared::Vectors(
        all.map(|(k, (a, b))| (cosine(a, b), same(k))).collect(),
    ))
}

/// One number of an output over all samples.
#[derive(Clone, Copy, Debug)]
struct Column {
    mean: f64,
    variance: f64,
}

impl Column {
    /// A square over the variance, so that each number counts alike.
    fn squared(self, v: f64) -> f64 {
        v * v / self.variance
    }
}

/// A nearly constant number has at least this share of the mean variance of all.
const LEAST_SHARE: f64 = 1e-2;
/// So few samples tell no variance of single numbers: all are then one.
const FEW: usize = 4;

/// The numbers of output `k`, in the order of the longest sample's.
fn columns(right: &[&Vec<Vec<f32>>], k: usize) -> Vec<Column> {
    let of_output: Vec<&Vec<f32>> = right.iter().filter_map(|v| v.get(k)).collect();
    let length = of_output.iter().map(|v| v.len()).max().unwrap_or(0);
    let of = |values: &mut dyn Iterator<Item = f64>| {
        let (mut n, mut mean, mut sum) = (0.0, 0.0, 0.0);
        for v in values {
            n += 1.0;
            let off = v - mean;
            mean += off / n;
            sum += off * (v - mean);
        }
        let variance = if n > 0.0 { sum / n } else { 0.0 };
        Column { mean, variance }
    };
    let mut found: Vec<Column> = match of_output.len() < FEW {
        true => {
            let one = of(&mut of_output.iter().flat_map(|v| v.iter()).map(|&v| f64::from(v)));
            vec![one; length]
        }
        false => (0..length)
            .map(|i| of(&mut of_output.iter().filter_map(|v| v.get(i)).map(|&v| f64::from(v))))
            .collect(),
    };
    let mean = found.iter().map(|c| c.variance).sum::<f64>() / length.max(1) as f64;
    let least = (LEAST_SHARE * mean).max(f64::MIN_POSITIVE);
    found.iter_mut().for_each(|c| c.variance = c.variance.max(least));
    found
}

/// Squared errors of the numbers of each sample and output, and squared deviations from each number's mean over all samples, over its
/// variance.
fn values(truth: &[Truth], answers: &[Answer]) -> Option<Compared> {
    let right: Vec<&Vec<Vec<f32>>> = truth
        .iter()
        .map(|t| match t {
            Truth::Values(v) => Some(v),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let columns: Vec<Vec<Column>> = (0..right.first()?.len()).map(|k| columns(&right, k)).collect();
    let squares = |(t, a): (&&Vec<Vec<f32>>, &Answer)| {
        let Answer::Values(a) = a else { return None };
        let of_output = |(k, t): (usize, &Vec<f32>)| {
            let own = columns.get(k).map(Vec::as_slice).unwrap_or_default();
            let spread: f64 = t.iter().zip(own).map(|(&v, c)| c.squared(f64::from(v) - c.mean)).sum();
            // What the other one does not have is as far as the mean.
            let error: f64 = match a.get(k).filter(|a| a.len() == t.len()) {
                Some(a) => t
                    .iter()
                    .zip(a)
                    .zip(own)
                    .map(|((x, y), c)| c.squared(f64::from(x - y)))
                    .sum(),
                None => spread,
            };
            (error, spread)
        };
        Some(t.iter().enumerate().map(of_output).collect())
    };
    Some(Compared::Values(
        right.iter().zip(answers).map(squares).collect::<Option<_>>()?,
    ))
}
