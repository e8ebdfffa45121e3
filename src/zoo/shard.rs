//! One machine's share of the work.

use std::str::FromStr;

use crate::{Error, Result};

/// Share `index` (from 0) of `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which share, from 0.
    pub index: usize,
    /// Of how many.
    pub count: usize,
}

impl Default for Shard {
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

impl Shard {
    /// The share that a scheduler gives this process: `SLURM_ARRAY_TASK_ID` of `SLURM_ARRAY_TASK_COUNT` (from
    /// `SLURM_ARRAY_TASK_MIN`), or `JOB_COMPLETION_INDEX` of `JOB_COMPLETIONS` (Kubernetes).
    ///
    /// # Errors
    /// When a scheduler's variables are there but cannot be right.
    pub fn of_scheduler(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let number = |name: &str| -> Result<Option<usize>> {
            let parse = |text: String| {
                let number = text.trim().parse();
                number.map_err(|_| Error::Usage(format!("{name} is '{text}', not a number; give the share as I/N")))
            };
            variable(name).map(parse).transpose()
        };
        let missing = |name: &str| Error::Usage(format!("{name} is not set; give the share as I/N"));
        let (index, count) = if let Some(id) = number("SLURM_ARRAY_TASK_ID")? {
            let count = number("SLURM_ARRAY_TASK_COUNT")?.ok_or_else(|| missing("SLURM_ARRAY_TASK_COUNT"))?;
            let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
            let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
            (id.saturating_sub(first) / step, count)
        } else if let Some(index) = number("JOB_COMPLETION_INDEX")? {
            (
                index,
                number("JOB_COMPLETIONS")?.ok_or_else(|| missing("JOB_COMPLETIONS"))?,
            )
        } else {
            let what = "share auto: neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set; give the share as I/N";
            return Err(Error::Usage(what.to_owned()));
        };
        Self::new(index, count)
    }

    fn new(index: usize, count: usize) -> Result<Self> {
        if index < count {
            return Ok(Self { index, count });
        }
        Err(Error::Usage(format!(
            "share {index} of {count}: shares are numbered from 0, so the last is {}",
            count.saturating_sub(1)
        )))
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "auto" {
            return Self::of_scheduler(|name| std::env::var(name).ok());
        }
        let wrong = || Error::Usage(format!("'{text}': write a share as I/N, the first being 0/N, or auto"));
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        Self::new(index.parse().map_err(|_| wrong())?, count.parse().map_err(|_| wrong())?)
    }
}

/// Which share each piece of work falls to: the largest first, each to the share that has least so far; ties go by index. The
/// same on every machine.
pub fn shares(work: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..work.len()).collect();
    order.sort_by(|&a, &b| work[b].total_cmp(&work[a]).then(a.cmp(&b)));
    let mut load = vec![0.0f64; count.max(1)];
    let mut share = vec![0; work.len()];
    for piece in order {
        let least = (0..load.len())
            .min_by(|&a, &b| load[a].total_cmp(&load[b]))
            .unwrap_or(0);
        share[piece] = least;
        // Nothing is free: pieces without a known size still take turns.
        load[least] += work[piece].max(f64::MIN_POSITIVE);
    }
    share
}

#[cfg(test)]
mod tests {
    use super::{Shard, shares};

    #[test]
    fn shares_are_read_from_flags_and_schedulers() {
        assert_eq!("2/4".parse::<Shard>().unwrap(), Shard { index: 2, count: 4 });
        for wrong in ["4/4", "1", "a/b", "0/0", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
        let with = |set: &[(&str, &str)]| {
            let set: Vec<(String, String)> = set.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            Shard::of_scheduler(move |n| set.iter().find(|(k, _)| k == n).map(|(_, v)| v.clone()))
        };
        let slurm = [
            ("SLURM_ARRAY_TASK_ID", "5"),
            ("SLURM_ARRAY_TASK_COUNT", "3"),
            ("SLURM_ARRAY_TASK_MIN", "4"),
        ];
        assert_eq!(with(&slurm).unwrap(), Shard { index: 1, count: 3 });
        let kubernetes = [("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETIONS", "2")];
        assert_eq!(with(&kubernetes).unwrap(), Shard { index: 0, count: 2 });
        assert!(
            with(&kubernetes[..1])
                .unwrap_err()
                .to_string()
                .contains("JOB_COMPLETIONS")
        );
        assert!(with(&[]).unwrap_err().to_string().contains("as I/N"));
    }

    #[test]
    fn work_is_spread_evenly_and_completely() {
        let work: Vec<f64> = (1..=97).map(|k| f64::from(k * k % 31 + 1)).collect();
        let share = shares(&work, 4);
        let loads: Vec<f64> = (0..4)
            .map(|s| (0..97).filter(|&k| share[k] == s).map(|k| work[k]).sum())
            .collect();
        let (least, most) = loads.iter().fold((f64::MAX, 0.0f64), |(a, b), &l| (a.min(l), b.max(l)));
        assert!(most - least <= 31.0, "{loads:?}");
        assert_eq!(shares(&[0.0; 4], 2), [0, 1, 0, 1]);
    }
}
