//! Problems that are not timed for any model, because like ones were slow.

use std::collections::BTreeSet;
use std::path::Path;

use super::shard::Shard;
use crate::onnx::save;
use crate::profile::Problem;
use crate::{Error, Result};

/// Short hashes of problems with the flags of the device.
#[derive(Debug, Default)]
pub(super) struct PrunedProbes(BTreeSet<String>);

impl PrunedProbes {
    /// Adds problems.
    pub(super) fn extend(&mut self, device: &[String], problems: Vec<&Problem>) {
        self.0.extend(problems.into_iter().map(|p| short(device, p)));
    }

    /// Whether a problem is one of them.
    pub(super) fn has(&self, device: &[String], problem: &Problem) -> bool {
        self.0.contains(&short(device, problem))
    }

    /// Writes those of a share.
    ///
    /// # Errors
    /// When that does not work.
    pub(super) fn write(&self, out: &Path, shard: Shard) -> Result<()> {
        let folder = out.join("spared");
        std::fs::create_dir_all(&folder).map_err(|e| Error::file(&folder, e))?;
        let text: String = self.0.iter().map(|h| format!("{h}\n")).collect();
        save(
            &folder.join(format!("{}-of-{}.txt", shard.index, shard.count)),
            text.as_bytes(),
        )
    }

    /// Reads those of all shares.
    pub(super) fn read(out: &Path) -> Self {
        let files = std::fs::read_dir(out.join("spared")).into_iter().flatten().flatten();
        let texts = files.filter_map(|f| std::fs::read_to_string(f.path()).ok());
        Self(
            texts
                .flat_map(|t| t.lines().map(str::to_owned).collect::<Vec<_>>())
                .collect(),
        )
    }
}

fn short(device: &[String], problem: &Problem) -> String {
    let hash = blake3::hash(format!("{device:?} {}", problem.key()).as_bytes());
    hash.to_hex()[..20].to_owned()
}
