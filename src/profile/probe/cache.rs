//! Records of problems in memory.

use std::collections::{HashMap, HashSet};

use crate::profile::problem::Problem;
use crate::profile::record::Record;

/// What is known of problems.
#[derive(Debug, Default)]
pub(super) struct Cache {
    records: HashMap<Problem, Record>,
    /// Problems whose records were added from elsewhere and not asked for yet.
    unused: HashSet<Problem>,
}

/// The record that serves a problem best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Nearest<'r> {
    /// The problem's own.
    Exact(&'r Record),
    /// That of a problem with more channels.
    Wider(&'r Record),
}

impl Cache {
    /// Adds a record from elsewhere, such as a recorded profile.
    pub(super) fn add(&mut self, record: Record) {
        self.unused.insert(record.problem.clone());
        self.insert(record);
    }

    /// Adds a record that was measured or read for this job.
    pub(super) fn insert(&mut self, record: Record) {
        self.records.insert(record.problem.clone(), record);
    }

    /// Whether a problem is asked for the first time, of those added from elsewhere.
    pub(super) fn first_use(&mut self, problem: &Problem) -> bool {
        self.unused.remove(problem)
    }

    /// Whether a problem is known.
    pub(super) fn has(&self, problem: &Problem) -> bool {
        self.records.contains_key(problem)
    }

    /// The record of a problem.
    pub(super) fn get(&self, problem: &Problem) -> Option<&Record> {
        self.records.get(problem)
    }

    /// The record of a problem; where there is none, that of the least problem known that is at least as wide on both sides and else the
    /// same: time does not fall when a layer is cut within a plateau, and edges are what was measured.
    pub(super) fn nearest(&self, problem: &Problem) -> Option<Nearest<'_>> {
        if let Some(record) = self.get(problem) {
            return Some(Nearest::Exact(record));
        }
        let wider = |p: &Problem| p.cin >= problem.cin && p.cout >= problem.cout && problem.at(p.cin, p.cout) == *p;
        let size = |r: &&Record| (r.problem.cin * r.problem.cout, r.problem.key());
        let found = self.records.values().filter(|r| wider(&r.problem)).min_by_key(size)?;
        Some(Nearest::Wider(found))
    }

    /// All records, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// The records that this job used, in no order.
    pub(super) fn used(&self) -> impl Iterator<Item = &Record> {
        self.iter().filter(|r| !self.unused.contains(&r.problem))
    }

    /// All records, in the order of their problems' keys.
    pub(super) fn sorted(&self) -> Vec<Record> {
        let mut all: Vec<&Record> = self.iter().collect();
        all.sort_by_cached_key(|r| r.problem.key());
        all.into_iter().cloned().collect()
    }
}

/// Those records that are of a problem but for the output width, the narrowest first.
pub fn latency_steps<'r>(problem: &Problem, records: impl IntoIterator<Item = &'r Record>) -> Vec<&'r Record> {
    let alike = |r: &&Record| problem.with_output(r.problem.cout) == r.problem;
    let mut found: Vec<&Record> = records.into_iter().filter(alike).collect();
    found.sort_by_key(|r| r.problem.cout);
    found
}
