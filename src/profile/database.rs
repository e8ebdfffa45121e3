//! The latency database: a SQLite file, so that nothing is measured twice.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::problem::Problem;
use super::record::Record;
use crate::target::DeviceInfo;
use crate::{Error, Result};

/// The version of the tables.
const SCHEMA: i64 = 1;

/// An open database. Several processes may use one file at a time.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    connection: Connection,
}

impl Database {
    /// The file used when none is named: `snapprune/latency.db` in the user's cache folder.
    pub fn default_path() -> Option<PathBuf> {
        let set = |v: &str| std::env::var_os(v).filter(|s| !s.is_empty()).map(PathBuf::from);
        let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|h| h.join(".cache")))?;
        Some(cache.join("snapprune").join("latency.db"))
    }

    /// Opens or makes a database.
    ///
    /// # Errors
    /// When the file cannot be made, is not a database, or has tables of a newer version.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent().filter(|p| *p != Path::new("")) {
            std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
        }
        let fail = |e: rusqlite::Error| database_error(path, &e);
        let connection = Connection::open(path).map_err(fail)?;
        connection.busy_timeout(Duration::from_secs(30)).map_err(fail)?;
        // The journal mode is answered with a row.
        connection
            .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
            .map_err(fail)?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(fail)?;
        let version: i64 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(fail)?;
        if version > SCHEMA {
            return Err(Error::Database {
                path: path.to_path_buf(),
                what: format!(
                    "its tables are version {version}, newer than {SCHEMA}; update snapprune or name another with --db"
                ),
            });
        }
        connection
            .execute_batch(&format!(
                "CREATE TABLE IF NOT EXISTS probe (
                     device TEXT NOT NULL,
                     stack TEXT NOT NULL,
                     problem TEXT NOT NULL,
                     samples TEXT NOT NULL,
                     made INTEGER NOT NULL DEFAULT (unixepoch()),
                     PRIMARY KEY (device, stack, problem)
                 ) WITHOUT ROWID;
                 PRAGMA user_version = {SCHEMA};"
            ))
            .map_err(fail)?;
        Ok(Self {
            path: path.to_path_buf(),
            connection,
        })
    }

    /// The record of a problem on this device and stack.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn find(&self, device: &DeviceInfo, problem: &Problem) -> Result<Option<Record>> {
        let text: Option<String> = self
            .connection
            .prepare_cached("SELECT samples FROM probe WHERE device = ?1 AND stack = ?2 AND problem = ?3")
            .and_then(|mut q| {
                q.query_row(params![device.fingerprint, device.stack, problem.key()], |row| {
                    row.get(0)
                })
                .optional()
            })
            .map_err(|e| database_error(&self.path, &e))?;
        let samples: Option<Vec<f64>> = text.and_then(|t| serde_json::from_str(&t).ok());
        Ok(samples.map(|samples| Record {
            problem: problem.clone(),
            samples,
        }))
    }

    /// Stores records, all or none; a record of the same problem is replaced.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn store(&mut self, device: &DeviceInfo, records: &[Record]) -> Result<()> {
        let store = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            for record in records {
                transaction.execute(
                    "INSERT OR REPLACE INTO probe (device, stack, problem, samples) VALUES (?1, ?2, ?3, ?4)",
                    params![
                        device.fingerprint,
                        device.stack,
                        record.problem.key(),
                        serde_json::to_string(&record.samples).unwrap_or_default()
                    ],
                )?;
            }
            transaction.commit()
        };
        store(&mut self.connection).map_err(|e| database_error(&self.path, &e))
    }
}

fn database_error(path: &Path, error: &rusqlite::Error) -> Error {
    Error::Database {
        path: path.to_path_buf(),
        what: format!("{error}; name another with --db, or delete it to start anew"),
    }
}
