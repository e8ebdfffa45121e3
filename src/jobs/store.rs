//! The latency databases that a job reads, and the one that it writes to.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::profile::Database;

/// Which latency databases are used, and what of them counts.
#[derive(Clone, Debug, Default)]
pub struct StoreSettings {
    /// The database that is written to; `None`: the user's own.
    pub path: Option<PathBuf>,
    /// Further databases, only read.
    pub shared: Vec<PathBuf>,
    /// Whether times of other devices and stacks count where there are none of this one.
    pub allow_mismatch: bool,
    /// Times from before this moment, in seconds since 1970, are not known.
    pub remeasure_before: Option<u64>,
}

impl StoreSettings {
    /// Opens the databases; `None` where no path is given and no cache folder is known.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub fn open(&self) -> Result<Option<Database>> {
        let path = self.path.clone().or_else(Database::default_path);
        let Some(path) = path.as_deref() else { return Ok(None) };
        self.open_at(path).map(Some)
    }

    fn open_at(&self, path: &Path) -> Result<Database> {
        let mut database = Database::open(path)?;
        for shared in &self.shared {
            database.add_shared(shared)?;
        }
        if self.allow_mismatch {
            database.allow_mismatch();
        }
        if let Some(moment) = self.remeasure_before {
            database.forget_before(moment);
        }
        Ok(database)
    }
}
