//! What the flags of `zoo` ask for.

use std::path::PathBuf;

use clap::ArgMatches;

use super::given::{given, main_job};
use super::zoo::ZooArgs;
use crate::device::Stop;
use crate::jobs::{Program, same_file};
use crate::profile::Database;
use crate::zoo::{Flags, Isolation, Item, Local, LocalSettings, Phase, Setup, find};
use crate::{Error, Result};

impl ZooArgs {
    /// Finds the models and checks all flags, before anything is begun. `matches` are those of the command.
    ///
    /// # Errors
    /// When there are no models, or flags are wrong.
    pub fn setup<'a>(&self, matches: &ArgMatches, stop: &'a Stop) -> Result<Setup<'a>> {
        let mut flags = given(matches);
        if !flags.0.contains_key("profile") && self.plan_only && self.work.goals.goals().any() {
            let what =
                "--plan-only writes plans from known times, and goals are reached by measuring: leave out one of them";
            return Err(Error::Usage(what.to_owned()));
        }
        // Pictures are for those who look at one model.
        flags.0.insert("staircases".to_owned(), vec!["0s".to_owned()]);
        if let Some(when) = self.work.setup.store.remeasure {
            // One moment for all processes: what one of them has timed since is known to the others.
            flags = flags.and("remeasure", when.to_string());
        }
        let items = find(&self.models, &self.out)?;
        items.iter().try_for_each(|i| check(i, &flags))?;
        Ok(Setup {
            items,
            out: self.out.clone(),
            destination: None,
            db: self.database(&mut flags),
            flags,
            phases: self.phases()?,
            shard: self.shard,
            timeout: self.timeout,
            retry_failed: self.retry_failed,
            plan_only: self.plan_only,
            stop,
        })
    }

    fn phases(&self) -> Result<Vec<Phase>> {
        let mut phases = self.phase.clone();
        phases.sort_unstable();
        phases.dedup();
        if phases.is_empty() {
            phases = vec![Phase::Collect, Phase::Profile, Phase::Apply];
        }
        if phases == [Phase::Collect, Phase::Apply] {
            let what =
                "--phase collect,apply leaves out the one between them; leave out --phase, or do one phase at a time";
            return Err(Error::Usage(what.to_owned()));
        }
        Ok(phases)
    }

    /// The database of the driver, taken out of the flags.
    fn database(&self, flags: &mut Flags) -> PathBuf {
        let db = flags.0.remove("db").and_then(|v| v.last().map(PathBuf::from));
        let db = db.or_else(|| match self.shard.count {
            1 => Database::default_path(),
            // Machines do not share a database file; what they time goes round as text.
            n => Some(self.out.join("times").join(format!("{}-of-{n}.db", self.shard.index))),
        });
        db.unwrap_or_else(|| self.out.join("latency.db"))
    }

    /// This machine's processes.
    pub fn local(&self, stop: &Stop) -> Local {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let settings = LocalSettings {
            program: Program::current(),
            gpus: self.gpus.clone(),
            jobs: self.jobs.unwrap_or(cores),
            isolation: if self.isolate {
                Isolation::EachJob
            } else {
                Isolation::Shared
            },
        };
        Local::new(settings, stop.clone())
    }
}

/// Checks a model's own flags, together with those of all; the message names the model.
fn check(item: &Item, flags: &Flags) -> Result<()> {
    if let Some(own) = item.flags.metric_file()
        && !flags
            .metric_file()
            .is_some_and(|file| same_file(file.as_ref(), own.as_ref()))
    {
        return Err(Error::Usage(format!(
            "{}: its metric is code in {own}, which a manifest alone does not let run; name a function of that file with --metric, too",
            item.name
        )));
    }
    match main_job(&item.model.to_string_lossy(), &flags.with(&item.flags)) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Usage(format!("{}: {error}", item.name))),
    }
}
