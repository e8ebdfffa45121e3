//! Timing problems on a device: many in one session, fused and laid out as in a model.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::Database;
use super::edges::find_edges;
use super::noise::Noise;
use super::probe_model::build;
use super::problem::{Problem, ProducerLayout};
use super::record::{Record, RecordFacts};
use super::samples::{median, summarize};
use crate::device::{Device, NodeTime};
use crate::onnx::encode;
use crate::{Error, Result};

/// Told how many probes are done and how many are planned.
pub type Progress<'p> = &'p dyn Fn(usize, usize);

/// Probes problems on a device and remembers what it measured.
pub struct Prober<'t> {
    device: &'t dyn Device,
    database: Option<Database>,
    known: HashMap<String, Record>,
    /// Learnt and not asked for yet.
    learnt: HashSet<String>,
    /// Problems measured in this run.
    pub made: usize,
    /// Problems answered from the database or a recorded profile.
    pub reused: usize,
    /// Problems left untimed because the time was up.
    pub skipped: usize,
    /// Problems left untimed because the device is not here.
    pub wanted: Vec<Problem>,
    /// Problems (their keys) that are not timed, though they are used where they are known.
    pub pruned: HashSet<String>,
    /// Those of them that were asked for.
    left_out: HashSet<String>,
    /// Why kernels were not traced, where the device has a way to trace them and it failed; times are taken all the same.
    pub untraced: Option<String>,
    /// When no more probes are begun.
    pub deadline: Option<Instant>,
    /// The problems of the first session and their times in milliseconds, to see later whether the machine still is as fast.
    first: Vec<(Problem, f64)>,
    /// Sessions since.
    later: usize,
}

/// Problems in one session.
const CHAINS: usize = 12;
/// Values of one session's tensors (about 256 MiB of float32).
const SESSION_VALUES: f64 = 64e6;

impl<'t> Prober<'t> {
    /// A prober that reads and fills `database`, if there is one.
    pub fn new(device: &'t dyn Device, database: Option<Database>) -> Self {
        Self {
            device,
            database,
            known: HashMap::new(),
            learnt: HashSet::new(),
            made: 0,
            reused: 0,
            skipped: 0,
            wanted: Vec::new(),
            pruned: HashSet::new(),
            left_out: HashSet::new(),
            untraced: None,
            deadline: None,
            first: Vec::new(),
            later: 0,
        }
    }

    /// Adds records, such as those of a recorded profile.
    pub fn learn(&mut self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            let key = record.problem.key();
            self.learnt.insert(key.clone());
            self.known.insert(key, record);
        }
    }

    /// The record of a problem that was measured or learnt.
    pub fn get(&self, problem: &Problem) -> Option<&Record> {
        self.known.get(&problem.key())
    }

    /// The database, if there is one.
    pub fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// The device.
    pub fn device(&self) -> &'t dyn Device {
        self.device
    }

    /// The record of a problem; where there is none and none can be made, that of the least problem known
    /// that is at least as wide on both sides and else the same: time does not fall when a layer is cut
    /// within a plateau, and edges are what was measured. The second value tells whether it is the problem itself.
    pub fn nearest(&self, problem: &Problem) -> Option<(&Record, bool)> {
        if let Some(record) = self.get(problem) {
            return Some((record, true));
        }
        let wider = |p: &Problem| p.cin >= problem.cin && p.cout >= problem.cout && problem.at(p.cin, p.cout) == *p;
        let size = |r: &&Record| (r.problem.cin * r.problem.cout, r.problem.key());
        let found = self.known.values().filter(|r| wider(&r.problem)).min_by_key(size)?;
        Some((found, false))
    }

    /// Everything known, in the order of the keys.
    pub fn records(&self) -> Vec<Record> {
        let mut all: Vec<(&String, &Record)> = self.known.iter().collect();
        all.sort_by_key(|(k, _)| k.as_str());
        all.into_iter().map(|(_, r)| r.clone()).collect()
    }

    /// How steady the machine was: the spread of all times, and how the first ones compare with the same ones now.
    ///
    /// `brief`: nothing is timed for it.
    ///
    /// # Errors
    /// When a probe cannot run.
    pub fn noise(&self, brief: bool) -> Result<Noise> {
        let used = self
            .known
            .iter()
            .filter(|(k, _)| !self.learnt.contains(*k))
            .map(|(_, r)| r);
        let mut noise = Noise::of(used);
        if self.later > 0 && !brief {
            let problems: Vec<Problem> = self.first.iter().map(|(p, _)| p.clone()).collect();
            let again = sample(self.device, &problems, AGAIN)?;
            let ratios = self.first.iter().zip(&again);
            let ratios: Vec<f64> = ratios
                .map(|((_, before), (now, _))| median(now) / before.max(1e-12))
                .collect();
            noise.probing_drift = Some(median(&ratios) - 1.0);
        }
        Ok(noise)
    }

    /// How many problems were asked for and spared.
    pub fn left_out(&self) -> usize {
        self.left_out.iter().filter(|k| !self.known.contains_key(*k)).count()
    }

    /// What is known of a problem at other output widths, the narrowest first.
    pub fn staircase(&self, problem: &Problem) -> Vec<&Record> {
        staircase(problem, self.known.values())
    }

    /// Times at most `budget` of a problem's output `widths` so that the steps are between those timed ([`find_edges`]).
    ///
    /// # Errors
    /// When a probe cannot run or the database cannot be written.
    pub fn find_steps(&mut self, problem: &Problem, widths: &[usize], budget: usize) -> Result<()> {
        find_edges(widths, &[problem.cout], budget, &mut |wanted| {
            let problems: Vec<Problem> = wanted.iter().map(|&w| problem.with_output(w)).collect();
            self.require(&problems, &|_, _| {})?;
            let time = |p: &Problem| {
                let summary = self.get(p).map(Record::summary);
                summary.map_or((0.0, 0.0), |s| (s.median, s.half_width()))
            };
            Ok(problems.iter().map(time).collect())
        })?;
        Ok(())
    }

    /// Makes sure that all `problems` are known: from the database, else by measuring.
    ///
    /// # Errors
    /// When a probe cannot run or the database cannot be written.
    pub fn require(&mut self, problems: &[Problem], progress: Progress) -> Result<()> {
        let mut missing: Vec<Problem> = Vec::new();
        for problem in problems {
            let key = problem.key();
            if self.learnt.remove(&key) {
                self.reused += 1;
            }
            if self.known.contains_key(&key) || missing.contains(problem) {
                continue;
            }
            let stored = match &self.database {
                Some(db) => db.find(self.device.info(), problem)?,
                None => None,
            };
            match stored {
                Some(record) => {
                    self.reused += 1;
                    self.known.insert(key, record);
                }
                None if self.pruned.contains(&key) => _ = self.left_out.insert(key),
                None => missing.push(problem.clone()),
            }
        }
        if !self.device.is_here() {
            self.skipped += missing.len();
            self.wanted.extend(missing);
            return Ok(());
        }
        let total = missing.len();
        let mut done = 0;
        for batch in sessions(missing) {
            if self.deadline.is_some_and(|end| Instant::now() >= end) {
                self.skipped += total - done;
                break;
            }
            progress(done, total);
            let mut records = measure(self.device, &batch)?;
            self.trace(&mut records)?;
            if let Some(db) = &mut self.database {
                db.store(self.device.info(), &records)?;
            }
            match self.first.is_empty() {
                true => {
                    self.first = records
                        .iter()
                        .map(|r| (r.problem.clone(), r.summary().median))
                        .collect()
                }
                false => self.later += 1,
            }
            done += batch.len();
            self.made += batch.len();
            self.known.extend(records.into_iter().map(|r| (r.problem.key(), r)));
        }
        if total > 0 {
            progress(total, total);
        }
        Ok(())
    }
}

impl Prober<'_> {
    /// Adds the kernels that ran. A profiler that refuses, for others use it or for want of permission, is asked once: its traces
    /// explain times, and no choice rests on them.
    ///
    /// # Errors
    /// When it is asked to stop.
    fn trace(&mut self, records: &mut [Record]) -> Result<()> {
        for record in records.iter_mut().filter(|_| self.device.info().kind == "cuda") {
            if self.untraced.is_some() {
                break;
            }
            let (model, inputs) = build(std::slice::from_ref(&record.problem), false);
            match self.device.kernels(&encode(&model), &inputs) {
                Ok(kernels) => record.facts.kernels = kernels.unwrap_or_default(),
                Err(Error::Stopped) => return Err(Error::Stopped),
                Err(why) => self.untraced = Some(format!("kernels and their waves are not shown: {why}")),
            }
        }
        Ok(())
    }
}

/// Those records that are of a problem but for the output width, the narrowest first.
pub fn staircase<'r>(problem: &Problem, records: impl IntoIterator<Item = &'r Record>) -> Vec<&'r Record> {
    let alike = |r: &&Record| problem.with_output(r.problem.cout) == r.problem;
    let mut found: Vec<&Record> = records.into_iter().filter(alike).collect();
    found.sort_by_key(|r| r.problem.cout);
    found
}

/// Runs one small convolution on a device; its time in milliseconds.
///
/// # Errors
/// When the device cannot.
pub fn smoke(device: &dyn Device) -> Result<f64> {
    let (model, inputs) = build(&[Problem::plain(16, 16, 8)], false);
    device.load(&encode(&model), &inputs, false)?.run()
}

/// The sessions that problems are timed in: those of one space and batch go together, and sessions stay small.
pub fn sessions(mut problems: Vec<Problem>) -> Vec<Vec<Problem>> {
    problems.sort_by(|a, b| {
        let shape = |p: &Problem| {
            (
                p.dtype.clone(),
                p.batch,
                p.space.clone(),
                p.kernel.clone(),
                p.producer_layout == ProducerLayout::Input,
            )
        };
        shape(a).cmp(&shape(b)).then_with(|| a.key().cmp(&b.key()))
    });
    let mut out: Vec<Vec<Problem>> = Vec::new();
    let mut room = 0.0;
    for problem in problems {
        let places: usize = problem.space.iter().product();
        let values = (problem.batch * places * (2 * problem.cin + problem.cout)) as f64;
        let together = out.last().is_some_and(|b: &Vec<Problem>| {
            b.len() < CHAINS
                && room >= values
                && b[0].space == problem.space
                && b[0].batch == problem.batch
                && b[0].dtype == problem.dtype
                && match (b[0].producer_layout, problem.producer_layout) {
                    (ProducerLayout::Input, ProducerLayout::Input) => b[0].cin == problem.cin,
                    (ProducerLayout::Input, _) | (_, ProducerLayout::Input) => false,
                    _ => true,
                }
        });
        match out.last_mut() {
            Some(batch) if together => {
                room -= values;
                batch.push(problem);
            }
            _ => {
                room = SESSION_VALUES - values;
                out.push(vec![problem]);
            }
        }
    }
    out
}

/// Runs one session's problems until the spread of each is small, or three times.
fn measure(device: &dyn Device, problems: &[Problem]) -> Result<Vec<Record>> {
    let size: f64 = problems.iter().map(Problem::size).sum();
    // Some 30 multiply-accumulates a nanosecond: a sample of 40 ms a problem, 8 to 40 runs.
    let expected_ms = size / 30e6;
    let runs = (40.0 * problems.len() as f64 / expected_ms.max(1e-3)).clamp(8.0, 40.0) as usize;
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); problems.len()];
    let mut facts = vec![RecordFacts::default(); problems.len()];
    for _ in 0..ROUNDS {
        for (k, (new, seen)) in sample(device, problems, runs)?.into_iter().enumerate() {
            samples[k].extend(new);
            facts[k] = seen;
        }
        let steady = samples.iter().all(|s| {
            let summary = summarize(s);
            summary.half_width() <= HALF_WIDTH * summary.median
        });
        if steady {
            break;
        }
    }
    Ok(problems
        .iter()
        .zip(samples.into_iter().zip(facts))
        .map(|(problem, (samples, facts))| Record {
            problem: problem.clone(),
            samples,
            facts,
        })
        .collect())
}

/// A session is sampled again until the 95 % interval of every median is within 2 %, or so many times.
const ROUNDS: usize = 4;
const HALF_WIDTH: f64 = 0.01;

/// Runs of the first session at the end.
const AGAIN: usize = 9;

/// The times of each problem, run by run, and what ran.
fn sample(device: &dyn Device, problems: &[Problem], runs: usize) -> Result<Vec<(Vec<f64>, RecordFacts)>> {
    let (model, inputs) = build(problems, true);
    let warmup = 3;
    if let Some(nodes) = device.node_times(&encode(&model), &inputs, warmup, runs)? {
        return Ok(attribute(&nodes, problems.len(), runs));
    }
    // Whole models only: one session a problem, the layer alone, runs interleaved.
    let mut sessions = Vec::new();
    for problem in problems {
        let (model, inputs) = build(std::slice::from_ref(problem), false);
        sessions.push(device.load(&encode(&model), &inputs, true)?);
    }
    let mut samples = vec![Vec::new(); problems.len()];
    for _ in 0..runs.min(12) {
        for (session, times) in sessions.iter_mut().zip(&mut samples) {
            times.push(session.run()?);
        }
    }
    let conditions = device.conditions();
    let facts = RecordFacts {
        conditions,
        ..RecordFacts::default()
    };
    Ok(samples.into_iter().map(|s| (s, facts.clone())).collect())
}

/// The problem number in a node name made by [`build`], and whether it is part of the problem.
fn parse_name(name: &str) -> Option<(usize, bool)> {
    let (number, rest) = name.strip_prefix('k')?.split_once('.')?;
    Some((
        number.parse().ok()?,
        rest.starts_with("layer") || rest.starts_with("act"),
    ))
}

/// Sums what belongs to each problem: its own nodes, and nameless ones (layout changes, casts)
/// between its feed and itself. What comes behind it is the next layer's to pay.
fn attribute(nodes: &[NodeTime], problems: usize, runs: usize) -> Vec<(Vec<f64>, RecordFacts)> {
    let mut times = vec![vec![0.0; runs]; problems];
    let mut layouts: Vec<(bool, usize)> = vec![(false, 0); problems];
    let mut pending: Vec<&NodeTime> = Vec::new();
    let mut before: Option<usize> = None;
    let mut add = |at: usize, node: &NodeTime| {
        for (sum, sample) in times[at].iter_mut().zip(&node.samples) {
            *sum += sample;
        }
    };
    for node in nodes {
        match parse_name(&node.name) {
            None => pending.push(node),
            Some((k, own)) if k < problems => {
                if own {
                    add(k, node);
                    layouts[k].0 |= node.name.ends_with("_nchwc");
                    if before == Some(k) {
                        pending.iter().for_each(|n| add(k, n));
                        layouts[k].1 += pending.iter().filter(|n| n.op.starts_with("Reorder")).count();
                    }
                }
                pending.clear();
                before = Some(k);
            }
            Some(_) => pending.clear(),
        }
    }
    let layout = |(blocked, changes): (bool, usize)| {
        let kind = if blocked { "blocked" } else { "plain" };
        match changes {
            0 => kind.to_owned(),
            n => format!("{kind} after {n} layout change{}", if n > 1 { "s" } else { "" }),
        }
    };
    let facts = layouts.into_iter().map(|l| RecordFacts {
        layout: Some(layout(l)),
        ..RecordFacts::default()
    });
    times.into_iter().zip(facts).collect()
}

#[cfg(test)]
mod tests {
    use super::{NodeTime, attribute};

    fn node(name: &str, ms: f64) -> NodeTime {
        NodeTime {
            name: name.to_owned(),
            op: name.split('_').next().unwrap_or_default().to_owned(),
            samples: vec![ms, ms],
        }
    }

    #[test]
    fn a_layout_change_before_a_layer_is_its_own_and_one_behind_is_not() {
        let nodes = [
            node("k0.feed_nchwc", 9.0),
            node("ReorderOutput", 0.5),
            node("k0.layer", 1.0),
            node("ReorderOutput_token_1", 7.0),
            node("k1.feed_nchwc", 9.0),
            node("k1.act_nchwc", 2.0),
        ];
        let found = attribute(&nodes, 2, 2);
        assert_eq!([&found[0].0, &found[1].0], [&[1.5, 1.5], &[2.0, 2.0]]);
        let layouts: Vec<_> = found.iter().filter_map(|(_, f)| f.layout.as_deref()).collect();
        assert_eq!(layouts, ["plain after 1 layout change", "blocked"]);
    }
}
