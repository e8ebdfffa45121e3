//! Others that measure problems in place of this process.

use std::collections::HashMap;

use crate::profile::problem::Problem;
use crate::profile::record::Record;
use crate::{Error, Result};

/// Processes that load probes at the same time: what takes long when a session is made on a GPU is done by one thread of a process at a
/// time.
pub trait ProbeHelpers {
    /// Measures the problems of sessions, loaded together and timed one after the other; their records, in any order.
    ///
    /// # Errors
    /// When the job is asked to stop, or a helper cannot do its part: then this process does it.
    fn measure(&self, sessions: &[Vec<Problem>]) -> Result<Vec<Record>>;
}

/// What helpers measure of sessions, in the order of their problems; `None` where there are none, or one session is not worth the way. Those
/// that fail are not asked again, and `told` says why.
///
/// # Errors
/// When the job is asked to stop.
pub(super) fn measured_by<'t>(
    helpers: &mut Option<Box<dyn ProbeHelpers + 't>>,
    sessions: &[Vec<Problem>],
    told: &mut Option<String>,
) -> Result<Option<Vec<Record>>> {
    let Some(asked) = helpers.as_ref().filter(|_| sessions.len() > 1) else {
        return Ok(None);
    };
    let why = match asked.measure(sessions) {
        Err(Error::Stopped) => return Err(Error::Stopped),
        Ok(records) => {
            let mut found: HashMap<Problem, Record> = records.into_iter().map(|r| (r.problem.clone(), r)).collect();
            let all = sessions.iter().flatten().map(|p| found.remove(p));
            if let Some(all) = all.collect::<Option<Vec<_>>>() {
                return Ok(Some(all));
            }
            "not all was measured".to_owned()
        }
        Err(why) => why.to_string(),
    };
    *told = Some(format!(
        "processes that load layers at the same time are done without, which takes longer: {why}"
    ));
    *helpers = None;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::{Error, ProbeHelpers, Problem, Record, Result, measured_by};
    use crate::profile::RecordFacts;

    /// Gives the records of all problems but some, from the last to the first.
    struct Backwards {
        without: usize,
        stopped: bool,
    }

    impl ProbeHelpers for Backwards {
        fn measure(&self, sessions: &[Vec<Problem>]) -> Result<Vec<Record>> {
            if self.stopped {
                return Err(Error::Stopped);
            }
            let record = |p: &Problem| Record {
                problem: p.clone(),
                samples: vec![p.cout as f64],
                facts: RecordFacts::default(),
            };
            Ok(sessions.iter().flatten().rev().skip(self.without).map(record).collect())
        }
    }

    #[test]
    fn what_helpers_measure_comes_in_order_and_those_that_fail_go() {
        let session = |couts: [usize; 2]| couts.map(|c| Problem::plain(16, c, 8)).to_vec();
        let sessions = [session([8, 24]), session([16, 32])];
        let asked = |without, stopped, sessions: &[Vec<Problem>]| {
            let mut helpers: Option<Box<dyn ProbeHelpers>> = Some(Box::new(Backwards { without, stopped }));
            let mut told = None;
            let found = measured_by(&mut helpers, sessions, &mut told);
            assert_eq!(told.is_some(), helpers.is_none());
            (found, helpers.is_some())
        };
        let (found, stay) = asked(0, false, &sessions);
        let widths = found.unwrap().unwrap().iter().map(|r| r.samples[0]).collect::<Vec<_>>();
        assert_eq!((widths, stay), (vec![8.0, 24.0, 16.0, 32.0], true));
        let (found, stay) = asked(1, false, &sessions);
        assert!(found.unwrap().is_none() && !stay);
        let (found, stay) = asked(1, false, &sessions[..1]);
        assert!(found.unwrap().is_none() && stay);
        let (found, stay) = asked(0, true, &sessions);
        assert!(matches!(found, Err(Error::Stopped)) && stay);
    }
}
