//! How many problems one share of a zoo has timed, over all its runs.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::shard::Shard;
use crate::onnx::save;
use crate::{Error, Result};

/// Counts of problems.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelCounts {
    /// What the models need before anything is chosen, each model for itself.
    pub needed: usize,
    /// The same, each problem once.
    pub distinct: usize,
    /// Timed in the profile phase.
    pub made: usize,
    /// Known before the zoo began.
    pub known: usize,
    /// Could not be timed; the models that need them say why.
    pub failed: usize,
    #[serde(skip)]
    before: (usize, usize),
    #[serde(skip)]
    met: usize,
    #[serde(skip)]
    file: PathBuf,
}

impl ModelCounts {
    /// Goes on with the counts of earlier runs.
    pub(super) fn begin(out: &Path, shard: Shard, needed: usize, distinct: usize) -> Self {
        let file = out
            .join("counts")
            .join(format!("{}-of-{}.json", shard.index, shard.count));
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let earlier: Self = serde_json::from_str(&text).unwrap_or_default();
        Self {
            needed: earlier.needed.max(needed),
            distinct: earlier.distinct.max(distinct),
            before: (earlier.made, earlier.known),
            file,
            failed: 0,
            ..earlier
        }
    }

    /// Adds problems that were timed, met in the database, and failed.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn add(&mut self, made: usize, met: usize, failed: usize) -> Result<()> {
        self.made += made;
        self.met += met;
        self.failed += failed;
        // What an earlier run of this zoo timed is met again.
        self.known = self.before.1.max(self.met.saturating_sub(self.before.0));
        if let Some(folder) = self.file.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
        }
        save(&self.file, serde_json::to_string(self).unwrap_or_default().as_bytes())
    }

    /// Those of all shares.
    pub(super) fn of_all(out: &Path) -> Self {
        let files = std::fs::read_dir(out.join("counts")).into_iter().flatten().flatten();
        let texts = files.filter_map(|f| std::fs::read_to_string(f.path()).ok());
        let mut all = Self::default();
        for counts in texts.filter_map(|t| serde_json::from_str::<Self>(&t).ok()) {
            all.needed = all.needed.max(counts.needed);
            all.distinct = all.distinct.max(counts.distinct);
            all.made += counts.made;
            all.known += counts.known;
            all.failed += counts.failed;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::{ModelCounts, Shard};

    #[test]
    fn what_an_earlier_run_timed_is_not_taken_for_known_before() {
        let folder = tempfile::tempdir().unwrap();
        let begin = || ModelCounts::begin(folder.path(), Shard::default(), 0, 0);
        let mut first = begin();
        first.add(10, 4, 0).unwrap();
        // Killed; the next run meets all 14 again, and times 6 more.
        let mut second = begin();
        second.add(6, 14, 0).unwrap();
        let all = ModelCounts::of_all(folder.path());
        assert_eq!((all.made, all.known), (16, 4));
    }
}
