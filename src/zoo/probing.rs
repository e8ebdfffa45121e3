//! The second phase: problems timed once, and those pruned that like ones were measured to be slow.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::context::ZooContext;
use super::counts::ModelCounts;
use super::engine::WorkKind;
use super::failure::FailureKind;
use super::flags::Flags;
use super::item::Item;
use super::message::{Answer, Job};
use super::probe_pruner::ProbePruner;
use super::problems::{Collected, units};
use super::pruned_probes::PrunedProbes;
use super::shard::{Shard, shares};
use super::spread::spread;
use crate::device::DeviceInfo;
use crate::optimize::Step;
use crate::profile::Problem;
use crate::{Error, Result};

/// Failures in a row after which the device is not tried any more.
const LOST: usize = 3;

/// Times what the models need, this machine's share of them: each model is one share's, and a problem that several need is
/// timed for the first of them. What the database knows already is not timed again.
///
/// # Errors
/// When the device is lost, or it is asked to stop.
pub(super) fn probe(context: &ZooContext, collected: Vec<(&Item, Collected)>, shard: Shard) -> Result<()> {
    let work: Vec<f64> = collected.iter().map(|(_, c)| c.needs.problems.len() as f64).collect();
    let share = shares(&work, shard.count);
    let mut sets: BTreeMap<Vec<String>, (Flags, ProbePruner, HashSet<String>)> = BTreeMap::new();
    let (mut needed, mut distinct) = (0, HashSet::new());
    for ((item, mut collected), share) in collected.into_iter().zip(share) {
        let flags = context.flags(item).of_device();
        let words = flags.words();
        needed += collected.needs.problems.len();
        let hash = |p: &Problem| blake3::hash(format!("{words:?} {}", p.key()).as_bytes());
        distinct.extend(collected.needs.problems.iter().map(hash));
        let (_, pruner, elsewhere) = sets
            .entry(words)
            .or_insert_with(|| (flags, ProbePruner::default(), HashSet::new()));
        let must = &collected.needs.problems[..collected.needs.must.min(collected.needs.problems.len())];
        if share == shard.index {
            // A plan without a measurement rests on the times of all layers, also of those that nothing changes.
            collected.needs.all |= context.setup.plan_only;
            pruner.add(collected);
        } else {
            elsewhere.extend(must.iter().map(Problem::key).filter(|k| !pruner.has(k)));
        }
    }
    let counts = Mutex::new(ModelCounts::begin(
        context.journal.out(),
        context.setup.shard,
        needed,
        distinct.len(),
    ));
    let mut pruned = PrunedProbes::default();
    for (words, (flags, mut pruner, elsewhere)) in sets {
        let info = context.device_of(&flags)?;
        let prober = SharedProber {
            context,
            flags,
            info,
            counts: &counts,
            in_a_row: AtomicUsize::new(0),
        };
        let mut must = pruner.must();
        must.retain(|p| !elsewhere.contains(&p.key()));
        prober.time(must, &mut pruner)?;
        for round in 0.. {
            let database = context.setup.flags.database(&context.setup.db)?;
            let time = |p: &Problem| {
                let record = database.find(&prober.info, p).ok().flatten();
                record.map(|r| r.summary().median)
            };
            let wanted = pruner.next(round, &time);
            if wanted.is_empty() && pruner.is_settled(round) {
                break;
            }
            prober.time(wanted, &mut pruner)?;
        }
        pruned.extend(&words, pruner.pruned());
    }
    pruned.write(context.journal.out(), context.setup.shard)
}

/// Has problems timed on a device.
struct SharedProber<'a> {
    context: &'a ZooContext<'a>,
    flags: Flags,
    info: DeviceInfo,
    counts: &'a Mutex<ModelCounts>,
    in_a_row: AtomicUsize,
}

impl SharedProber<'_> {
    /// Times problems in sessions, the longest first; those that cannot be timed are given up.
    fn time(&self, problems: Vec<Problem>, pruner: &mut ProbePruner) -> Result<()> {
        let mut sessions = units(problems);
        sessions.sort_by(|a, b| b.1.total_cmp(&a.1));
        let given_up = Mutex::new(Vec::new());
        spread(
            self.context,
            Step::TimeProblems,
            WorkKind::Timed,
            sessions,
            &|slot, (problems, _)| {
                if self.session(slot, &problems)? {
                    return Ok(());
                }
                // One of them is to blame: each for itself.
                for problem in problems {
                    if !self.session(slot, std::slice::from_ref(&problem))?
                        && let Ok(mut given_up) = given_up.lock()
                    {
                        given_up.push(problem);
                    }
                }
                Ok(())
            },
        )?;
        let given_up = given_up.into_inner().unwrap_or_default();
        pruner.give_up(&given_up);
        self.count(0, 0, given_up.len())
    }

    /// `false` when it did not work.
    fn session(&self, slot: usize, problems: &[Problem]) -> Result<bool> {
        let job = Job::Probe {
            flags: self.context.with_store(&self.flags),
            problems: problems.to_vec(),
        };
        match self.context.engine.run(slot, &job, None, self.context.setup.timeout) {
            Answer::Probed { made, known } => {
                self.in_a_row.store(0, Ordering::Relaxed);
                self.count(made, known, 0)?;
                Ok(true)
            }
            Answer::Stopped => Err(Error::Stopped),
            Answer::Failed { failure, reason } => {
                let lost = self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= LOST;
                if lost && failure == FailureKind::Machine {
                    return Err(Error::device(format!("nothing can be timed on the device: {reason}")));
                }
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    fn count(&self, made: usize, known: usize, failed: usize) -> Result<()> {
        match self.counts.lock() {
            Ok(mut counts) => counts.add(made, known, failed),
            Err(_) => Ok(()),
        }
    }
}
