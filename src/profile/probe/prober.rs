//! Probing: what is known is looked up, what is missing is measured and kept.

use std::collections::HashSet;
use std::time::Instant;

use super::cache::{Cache, Nearest, latency_steps};
use super::helpers::{ProbeHelpers, measured_by};
use super::measurer::{kernels, measure, sample};
use super::scheduler::{SessionSize, sessions, together};
use crate::device::{Device, DeviceKind, Timer};
use crate::profile::database::Database;
use crate::profile::edges::find_edges;
use crate::profile::noise::Noise;
use crate::profile::problem::Problem;
use crate::profile::record::Record;
use crate::profile::samples::median;
use crate::{Error, Result};

/// Is called with the number of probes that are done and of those that are planned.
pub type ProbeProgress<'p> = &'p dyn Fn(usize, usize);

/// Whether the first problems are timed once more at the end, to see whether the machine still is as fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftCheck {
    /// They are.
    Measure,
    /// Nothing is timed.
    Skip,
}

/// A problem of the first session and its time then.
struct FirstTime {
    problem: Problem,
    ms: f64,
    reference_ms: Option<f64>,
}

/// Probes problems on a device and keeps what it measured.
pub struct Prober<'t> {
    device: &'t dyn Device,
    database: Option<Database>,
    cache: Cache,
    /// Problems measured in this run.
    pub made: usize,
    /// Problems answered from the database or a recorded profile.
    pub reused: usize,
    /// Problems left untimed because the time was up.
    pub skipped: usize,
    /// Problems left untimed because the device is not here.
    pub wanted: Vec<Problem>,
    /// Problems that are not timed, though they are used where they are known.
    pub pruned: HashSet<Problem>,
    /// Those of them that were asked for.
    pruned_wanted: HashSet<Problem>,
    /// Why kernels were not traced, where the device can trace them and it failed; times are taken all the same.
    pub untraced: Option<String>,
    /// Who measures problems of several sessions in place of this process, as long as that works.
    pub helpers: Option<Box<dyn ProbeHelpers + 't>>,
    /// Why they were given up.
    pub unhelped: Option<String>,
    /// When no more probes are begun.
    pub deadline: Option<Instant>,
    first: Vec<FirstTime>,
    /// Sessions after the first one.
    later: usize,
    /// The reference chain's milliseconds that all times are scaled to: those of the first record that has them.
    reference_ms: Option<f64>,
}

/// Runs of each problem of the first session at the end.
const AGAIN: usize = 9;

impl<'t> Prober<'t> {
    /// A prober that reads and fills `database`, if there is one.
    pub fn new(device: &'t dyn Device, database: Option<Database>) -> Self {
        Self {
            device,
            database,
            cache: Cache::default(),
            made: 0,
            reused: 0,
            skipped: 0,
            wanted: Vec::new(),
            pruned: HashSet::new(),
            pruned_wanted: HashSet::new(),
            untraced: None,
            helpers: None,
            unhelped: None,
            deadline: None,
            first: Vec::new(),
            later: 0,
            reference_ms: None,
        }
    }

    /// Adds records from elsewhere, such as those of a recorded profile.
    pub fn add_records(&mut self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            let record = self.paced(record);
            self.cache.add(record);
        }
    }

    /// The reference chain's milliseconds that times are scaled to, where chains are timed beside it.
    pub fn reference_ms(&self) -> Option<f64> {
        self.reference_ms
    }

    /// A record as if the machine had been as fast as for the first one.
    fn paced(&mut self, record: Record) -> Record {
        self.reference_ms = self.reference_ms.or(record.reference_ms());
        match self.reference_ms {
            Some(reference_ms) => record.paced(reference_ms),
            None => record,
        }
    }

    fn keep(&mut self, record: Record) {
        let record = self.paced(record);
        self.cache.insert(record);
    }

    /// The record of a problem that is known.
    pub fn get(&self, problem: &Problem) -> Option<&Record> {
        self.cache.get(problem)
    }

    /// The database, if there is one.
    pub fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// The device.
    pub fn device(&self) -> &'t dyn Device {
        self.device
    }

    /// The record of a problem; where there is none, that of the least problem known that is at least as wide on both sides and else the
    /// same: time does not fall when a layer is cut within a plateau, and edges are what was measured.
    pub fn nearest(&self, problem: &Problem) -> Option<Nearest<'_>> {
        self.cache.nearest(problem)
    }

    /// Everything known, in the order of the problems' keys.
    pub fn records(&self) -> Vec<Record> {
        self.cache.sorted()
    }

    /// How steady the machine was: the spread of all times, and how the first ones compare with the same ones now.
    ///
    /// # Errors
    /// When a probe cannot run.
    pub fn noise(&self, drift: DriftCheck) -> Result<Noise> {
        let mut noise = Noise::of(self.cache.used());
        if self.later > 0 && drift == DriftCheck::Measure {
            let problems: Vec<Problem> = self.first.iter().map(|f| f.problem.clone()).collect();
            let again = sample(self.device.require_timer()?, &problems, AGAIN)?;
            let pairs = self.first.iter().zip(&again);
            let ratios: Vec<f64> = pairs
                .map(|(before, now)| {
                    // What the reference chain tells of is no drift: times are scaled to it.
                    let both = before.reference_ms.zip(now.facts.reference_ms);
                    let pace = both.map_or(1.0, |(before, now)| now / before);
                    median(&now.samples) / pace / before.ms.max(1e-12)
                })
                .collect();
            noise.probing_drift = Some(median(&ratios) - 1.0);
        }
        Ok(noise)
    }

    /// How many of the pruned problems were asked for and are not known.
    pub fn pruned_count(&self) -> usize {
        self.pruned_wanted.iter().filter(|p| !self.cache.has(p)).count()
    }

    /// What is known of a problem at other output widths, the narrowest first.
    pub fn latency_steps(&self, problem: &Problem) -> Vec<&Record> {
        latency_steps(problem, self.cache.iter())
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

    /// Makes sure that all `problems` are known: from the database, else by measuring. Where the device is not here they become
    /// [`Prober::wanted`].
    ///
    /// # Errors
    /// When a probe cannot run or the database cannot be written.
    pub fn require(&mut self, problems: &[Problem], progress: ProbeProgress) -> Result<()> {
        let missing = self.missing(problems)?;
        let Some(timer) = self.device.timer() else {
            self.skipped += missing.len();
            self.wanted.extend(missing);
            return Ok(());
        };
        let total = missing.len();
        let mut done = 0;
        let memory = self
            .device
            .info()
            .facts
            .get("memory_bytes")
            .and_then(|b| b.parse().ok());
        let size = SessionSize::of(timer, memory, missing.len());
        for group in together(sessions(missing, size), size) {
            if self.deadline.is_some_and(|end| Instant::now() >= end) {
                self.skipped += total - done;
                break;
            }
            progress(done, total);
            self.probe_or_halve(timer, &group)?;
            done += group.iter().map(Vec::len).sum::<usize>();
        }
        if total > 0 {
            progress(total, total);
        }
        Ok(())
    }

    /// Those problems, each once, that neither the cache nor the database knows and that may be timed.
    fn missing(&mut self, problems: &[Problem]) -> Result<Vec<Problem>> {
        let mut missing: Vec<Problem> = Vec::new();
        let mut seen: HashSet<&Problem> = HashSet::new();
        for problem in problems {
            if self.cache.first_use(problem) {
                self.reused += 1;
            }
            if self.cache.has(problem) || seen.contains(problem) {
                continue;
            }
            let stored = match &self.database {
                Some(db) => db.find(self.device.info(), problem)?,
                None => None,
            };
            match stored {
                Some(record) => {
                    self.reused += 1;
                    self.keep(record);
                }
                None if self.pruned.contains(problem) => _ = self.pruned_wanted.insert(problem.clone()),
                None => {
                    seen.insert(problem);
                    missing.push(problem.clone());
                }
            }
        }
        Ok(missing)
    }

    /// Measures the problems of sessions that are loaded together; where that fails, one session after the other, and where one does not
    /// fit into the device's memory, those of each half.
    fn probe_or_halve(&mut self, timer: &dyn Timer, group: &[Vec<Problem>]) -> Result<()> {
        let parts: Vec<Vec<Vec<Problem>>> = match (self.probe(timer, group), group) {
            (Err(error), [batch]) if error.is_out_of_memory() && batch.len() > 1 => {
                let (left, right) = batch.split_at(batch.len() / 2);
                vec![vec![left.to_vec()], vec![right.to_vec()]]
            }
            (Err(error), [_, _, ..]) if !matches!(error, Error::Stopped) => {
                group.iter().map(|b| vec![b.clone()]).collect()
            }
            (done, _) => return done,
        };
        parts.iter().try_for_each(|part| self.probe_or_halve(timer, part))
    }

    /// Measures the problems of sessions that are loaded together and keeps what comes of it.
    fn probe(&mut self, timer: &dyn Timer, group: &[Vec<Problem>]) -> Result<()> {
        let mut records = match measured_by(&mut self.helpers, group, &mut self.unhelped)? {
            Some(records) => records,
            None => measure(timer, group)?,
        };
        self.trace(timer, &mut records)?;
        if let Some(db) = &mut self.database {
            db.store(self.device.info(), &records)?;
        }
        match self.first.is_empty() {
            true => {
                let first = records.iter().take(group[0].len()).map(|r| FirstTime {
                    problem: r.problem.clone(),
                    ms: r.summary().median,
                    reference_ms: r.reference_ms(),
                });
                self.first = first.collect();
            }
            false => self.later += 1,
        }
        self.later += group.len() - 1;
        self.made += records.len();
        records.into_iter().for_each(|record| self.keep(record));
        Ok(())
    }

    /// Adds the kernels that ran. A profiler that refuses, for others use it or for want of permission, is asked once: its traces
    /// explain times, and no choice rests on them.
    ///
    /// # Errors
    /// When the job is asked to stop.
    fn trace(&mut self, timer: &dyn Timer, records: &mut [Record]) -> Result<()> {
        for record in records
            .iter_mut()
            .filter(|r| self.device.info().kind == DeviceKind::Cuda && r.facts.kernels.is_empty())
        {
            if self.untraced.is_some() {
                break;
            }
            match kernels(timer, &record.problem) {
                Ok(kernels) => record.facts.kernels = kernels,
                Err(Error::Stopped) => return Err(Error::Stopped),
                Err(why) => {
                    self.untraced = Some(format!(
                        "layers are timed as whole runs, with their launches, and their kernels are not shown: {why}"
                    ))
                }
            }
        }
        Ok(())
    }
}
