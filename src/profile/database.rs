//! The latency database: a SQLite file, so that nothing is measured twice.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::problem::Problem;
use super::record::Record;
use super::row::Row;
use crate::target::DeviceInfo;
use crate::{Error, Result};

/// The version of the tables.
const SCHEMA: i64 = 2;

/// An open database. Several processes may use one file at a time.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    connection: Connection,
    /// Shared databases that are only read, asked after this one.
    shared: Vec<(PathBuf, Connection)>,
    /// Whether records of other devices and stacks serve too.
    mismatch: bool,
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
        if version == 1 {
            // Another process may have added it just now.
            let added = connection.execute_batch("ALTER TABLE probe ADD COLUMN facts TEXT NOT NULL DEFAULT '{}'");
            added.or_else(|e| {
                if e.to_string().contains("duplicate column") {
                    Ok(())
                } else {
                    Err(fail(e))
                }
            })?;
        }
        connection
            .execute_batch(&format!(
                "CREATE TABLE IF NOT EXISTS probe (
                     device TEXT NOT NULL,
                     stack TEXT NOT NULL,
                     problem TEXT NOT NULL,
                     samples TEXT NOT NULL,
                     made INTEGER NOT NULL DEFAULT (unixepoch()),
                     facts TEXT NOT NULL DEFAULT '{{}}',
                     PRIMARY KEY (device, stack, problem)
                 ) WITHOUT ROWID;
                 CREATE TABLE IF NOT EXISTS whole (
                     device TEXT NOT NULL,
                     stack TEXT NOT NULL,
                     models TEXT NOT NULL,
                     result TEXT NOT NULL,
                     made INTEGER NOT NULL DEFAULT (unixepoch()),
                     PRIMARY KEY (device, stack, models)
                 ) WITHOUT ROWID;
                 CREATE TABLE IF NOT EXISTS device (fingerprint TEXT PRIMARY KEY, name TEXT NOT NULL);
                 PRAGMA user_version = {SCHEMA};"
            ))
            .map_err(fail)?;
        Ok(Self {
            path: path.to_path_buf(),
            connection,
            shared: Vec::new(),
            mismatch: false,
        })
    }

    /// Adds a database that is only read: asked when this one does not know a problem. It may lie on a file
    /// system that cannot be written to.
    ///
    /// # Errors
    /// When it cannot be read or its tables are not of this version.
    pub fn add_shared(&mut self, path: &Path) -> Result<()> {
        let fail = |e: rusqlite::Error| database_error(path, &e);
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_URI;
        // A write-ahead log cannot be made in a folder that cannot be written to.
        let uri = |more: &str| format!("file:{}?mode=ro{more}", path.display());
        let version = |c: &Connection| c.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
        let open = |uri: String| {
            let connection = Connection::open_with_flags(uri, flags)?;
            version(&connection).map(|v| (connection, v))
        };
        let (connection, version) = open(uri("")).or_else(|_| open(uri("&immutable=1"))).map_err(fail)?;
        if version != SCHEMA {
            return Err(Error::Database {
                path: path.to_path_buf(),
                what: format!(
                    "its tables are version {version}, not {SCHEMA}; `snapprune db verify --db` it where it can be written"
                ),
            });
        }
        self.shared.push((path.to_path_buf(), connection));
        Ok(())
    }

    /// Lets records of other devices and stacks serve where this one's are missing.
    pub fn allow_mismatch(&mut self) {
        self.mismatch = true;
    }

    /// What was remembered of whole models (a key of the caller's) on this device and stack.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn remembered(&self, device: &DeviceInfo, models: &str) -> Result<Option<String>> {
        self.connection
            .query_row(
                "SELECT result FROM whole WHERE device = ?1 AND stack = ?2 AND models = ?3",
                params![device.fingerprint, device.stack, models],
                |row| row.get(0),
            )
            .optional()
            .map_err(|e| database_error(&self.path, &e))
    }

    /// Remembers something of whole models.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn remember(&self, device: &DeviceInfo, models: &str, result: &str) -> Result<()> {
        self.connection
            .execute(
                "INSERT OR REPLACE INTO whole (device, stack, models, result) VALUES (?1, ?2, ?3, ?4)",
                params![device.fingerprint, device.stack, models, result],
            )
            .map(|_| ())
            .map_err(|e| database_error(&self.path, &e))
    }

    /// The record of a problem on this device and stack.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn find(&self, device: &DeviceInfo, problem: &Problem) -> Result<Option<Record>> {
        let own = std::iter::once((&self.path, &self.connection));
        let layers: Vec<_> = own.chain(self.shared.iter().map(|(p, c)| (p, c))).collect();
        let key = problem.key();
        for anywhere in [false, true] {
            if anywhere && !self.mismatch {
                break;
            }
            let same = if anywhere { "" } else { "AND device = ?2 AND stack = ?3" };
            let query = format!(
                "SELECT samples, facts FROM probe WHERE problem = ?1 {same}
                 AND (?2 IS NOT NULL AND ?3 IS NOT NULL) ORDER BY made DESC LIMIT 1"
            );
            for (path, connection) in &layers {
                let found: Option<(String, String)> = connection
                    .prepare_cached(&query)
                    .and_then(|mut q| {
                        q.query_row(params![key, device.fingerprint, device.stack], |row| {
                            Ok((row.get(0)?, row.get(1)?))
                        })
                        .optional()
                    })
                    .map_err(|e| database_error(path, &e))?;
                let record = found.and_then(|(samples, facts)| {
                    Some(Record {
                        problem: problem.clone(),
                        samples: serde_json::from_str(&samples).ok()?,
                        facts: serde_json::from_str(&facts).unwrap_or_default(),
                    })
                });
                if record.is_some() {
                    return Ok(record);
                }
            }
        }
        Ok(None)
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
                    "INSERT OR REPLACE INTO probe (device, stack, problem, samples, facts) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![
                        device.fingerprint,
                        device.stack,
                        record.problem.key(),
                        serde_json::to_string(&record.samples).unwrap_or_default(),
                        serde_json::to_string(&record.facts).unwrap_or_default()
                    ],
                )?;
            }
            transaction.execute(
                "INSERT OR REPLACE INTO device (fingerprint, name) VALUES (?1, ?2)",
                params![device.fingerprint, device.name],
            )?;
            transaction.commit()
        };
        store(&mut self.connection).map_err(|e| database_error(&self.path, &e))
    }

    /// Every record, in the order of device, stack and problem.
    ///
    /// # Errors
    /// When the database cannot be read or a record is not what it should be; the message names it.
    pub fn rows(&self) -> Result<Vec<Row>> {
        let fail = |e: rusqlite::Error| database_error(&self.path, &e);
        let mut query = self
            .connection
            .prepare(
                "SELECT p.device, coalesce(d.name, ''), p.stack, p.problem, p.samples, p.made, p.facts
                 FROM probe p LEFT JOIN device d ON d.fingerprint = p.device
                 ORDER BY p.device, p.stack, p.problem",
            )
            .map_err(fail)?;
        let found = query
            .query_map([], |row| {
                let text = |i| row.get::<_, String>(i);
                Ok((
                    text(0)?,
                    text(1)?,
                    text(2)?,
                    text(3)?,
                    text(4)?,
                    row.get::<_, i64>(5)?,
                    text(6)?,
                ))
            })
            .map_err(fail)?;
        let mut rows = Vec::new();
        for row in found {
            let (device, name, stack, problem, samples, made, facts) = row.map_err(fail)?;
            let broken = |e: serde_json::Error| Error::Database {
                path: self.path.clone(),
                what: format!("the record of {problem} on {device} is broken ({e}); delete the file to start anew"),
            };
            rows.push(Row {
                problem: serde_json::from_str(&problem).map_err(broken)?,
                samples: serde_json::from_str(&samples).map_err(broken)?,
                facts: serde_json::from_str(&facts).map_err(broken)?,
                device,
                name,
                stack,
                made,
            });
        }
        Ok(rows)
    }

    /// Takes over rows; of two records of one problem the one with more samples stays. How many changed.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing is taken over.
    pub fn take_over(&mut self, rows: &[Row]) -> Result<usize> {
        let take = |connection: &mut Connection| -> rusqlite::Result<usize> {
            let transaction = connection.transaction()?;
            let mut changed = 0;
            for row in rows {
                let samples = serde_json::to_string(&row.samples).unwrap_or_default();
                let facts = serde_json::to_string(&row.facts).unwrap_or_default();
                changed += transaction.execute(
                    "INSERT INTO probe (device, stack, problem, samples, made, facts) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT DO UPDATE
                     SET samples = excluded.samples, made = excluded.made, facts = excluded.facts
                     WHERE json_array_length(excluded.samples) > json_array_length(probe.samples)",
                    params![row.device, row.stack, row.problem.key(), samples, row.made, facts],
                )?;
                transaction.execute(
                    "INSERT OR IGNORE INTO device (fingerprint, name) VALUES (?1, ?2)",
                    params![row.device, row.name],
                )?;
            }
            transaction.commit()?;
            Ok(changed)
        };
        take(&mut self.connection).map_err(|e| database_error(&self.path, &e))
    }

    /// Removes records older than `days`, of stacks with nothing newer. How many went.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn remove_old(&mut self, days: u32) -> Result<usize> {
        self.connection
            .execute(
                "DELETE FROM probe WHERE (device, stack) IN (
                     SELECT device, stack FROM probe GROUP BY device, stack
                     HAVING max(made) < unixepoch() - ?1 * 86400)",
                params![days],
            )
            .map_err(|e| database_error(&self.path, &e))
    }

    /// What SQLite finds wrong with the file, or nothing.
    ///
    /// # Errors
    /// When the file cannot be read at all.
    pub fn faults(&self) -> Result<Vec<String>> {
        let fail = |e: rusqlite::Error| database_error(&self.path, &e);
        let mut query = self.connection.prepare("PRAGMA integrity_check").map_err(fail)?;
        let lines = query.query_map([], |row| row.get::<_, String>(0)).map_err(fail)?;
        let lines: Vec<String> = lines.collect::<rusqlite::Result<_>>().map_err(fail)?;
        Ok(lines.into_iter().filter(|l| l != "ok").collect())
    }
}

fn database_error(path: &Path, error: &rusqlite::Error) -> Error {
    Error::Database {
        path: path.to_path_buf(),
        what: format!("{error}; name another with --db, or delete it to start anew"),
    }
}
