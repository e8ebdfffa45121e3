//! The latency database: a SQLite file, so that nothing is measured twice.

mod file;
mod journal;
mod rows;
mod schema;
mod shared;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use self::file::{PATIENCE, database_error, plain};
use self::shared::Shared;
use super::problem::Problem;
use super::record::Record;
use crate::device::DeviceInfo;
use crate::{Error, Result};

/// An open database. Several processes may use one file at a time, those of several machines too where it lies on a file system
/// that they share.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    connection: Connection,
    /// Shared databases that are only read, asked after this one.
    shared: Vec<Shared>,
    /// Whether records of other devices and stacks serve too.
    mismatch: bool,
    /// What is older, in seconds since 1970, is not known.
    since: u64,
}

impl Database {
    /// The file used when none is named: `snapprune/latency.db` in the user's cache folder.
    pub fn default_path() -> Option<PathBuf> {
        let set = |v: &str| std::env::var_os(v).filter(|s| !s.is_empty()).map(PathBuf::from);
        let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|h| h.join(".cache")))?;
        Some(cache.join("snapprune").join("latency.db"))
    }

    /// Opens or makes a database. Tables of earlier versions are brought up to date; the records stay.
    ///
    /// # Errors
    /// When the file cannot be made, is not a database, or has tables of a newer version.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent().filter(|p| *p != Path::new("")) {
            std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
        }
        let fail = |e: rusqlite::Error| database_error(path, &e);
        // SQLite would take more from a new file's permissions than the umask does. Where this fails, it says why.
        let _ = std::fs::File::options().write(true).create_new(true).open(path);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(plain(path), flags).map_err(fail)?;
        connection.busy_timeout(PATIENCE).map_err(fail)?;
        journal::keep(&connection, journal::journal_at(path)).map_err(fail)?;
        schema::prepare(&mut connection, path)?;
        Ok(Self {
            path: path.to_path_buf(),
            connection,
            shared: Vec::new(),
            mismatch: false,
            since: 0,
        })
    }

    /// Adds a database that is only read: asked when this one does not know a problem. It may lie on a file
    /// system that cannot be written to, and be of an earlier version.
    ///
    /// # Errors
    /// When it cannot be read or its tables are of a newer version.
    pub fn add_shared(&mut self, path: &Path) -> Result<()> {
        self.shared.push(Shared::open(path)?);
        Ok(())
    }

    /// Lets records of other devices and stacks serve where this one's are missing.
    pub fn allow_mismatch(&mut self) {
        self.mismatch = true;
    }

    /// Has what is older count as unknown, so that it is measured again; `when` is in seconds since 1970.
    pub fn forget_before(&mut self, when: u64) {
        self.since = when;
    }

    /// What was remembered of whole models (a key of the caller's) on this device and stack.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn remembered(&self, device: &DeviceInfo, models: &str) -> Result<Option<String>> {
        let query = "SELECT result FROM whole WHERE device = ?1 AND stack = ?2 AND models = ?3 AND made >= ?4";
        for fingerprint in fingerprints(device) {
            let wanted = params![fingerprint, device.stack, models, self.since as i64];
            let found = self
                .connection
                .query_row(query, wanted, |row| row.get(0))
                .optional()
                .map_err(|e| database_error(&self.path, &e))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
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

    /// The record of a problem on this device and stack, also one that an earlier version kept under a fingerprint that the
    /// device had then.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn find(&self, device: &DeviceInfo, problem: &Problem) -> Result<Option<Record>> {
        let own = std::iter::once((&self.path, &self.connection, true));
        let shared = self.shared.iter().map(|s| (&s.path, &s.connection, s.facts));
        let layers: Vec<_> = own.chain(shared).collect();
        let key = problem.key();
        let anywhere = self.mismatch.then_some(None);
        for wanted in fingerprints(device).map(Some).chain(anywhere) {
            for (path, connection, facts) in &layers {
                let found = look_up(
                    connection,
                    &key,
                    (wanted.map(|f| (f, device.stack.as_str())), self.since),
                    *facts,
                );
                let record = found
                    .map_err(|e| database_error(path, &e))?
                    .and_then(|(samples, facts)| {
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

    /// Stores records, all or none; a record of the same problem is replaced. What this very device was known by in earlier
    /// versions becomes its records of now, too.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn store(&mut self, device: &DeviceInfo, records: &[Record]) -> Result<()> {
        let store = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            for former in &device.former {
                adopt(&transaction, former, &device.fingerprint)?;
            }
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
                "INSERT OR REPLACE INTO device (fingerprint, name, facts) VALUES (?1, ?2, ?3)",
                params![
                    device.fingerprint,
                    device.name,
                    serde_json::to_string(&device.facts).unwrap_or_default()
                ],
            )?;
            transaction.commit()
        };
        store(&mut self.connection).map_err(|e| database_error(&self.path, &e))
    }
}

/// What a device is and was known by, the present one first.
fn fingerprints(device: &DeviceInfo) -> impl Iterator<Item = &str> {
    std::iter::once(&device.fingerprint)
        .chain(&device.former)
        .map(String::as_str)
}

/// Samples and facts of the newest record of a problem that was made since: on a device and stack, or on any.
fn look_up(
    connection: &Connection,
    problem: &str,
    (wanted, since): (Option<(&str, &str)>, u64),
    facts: bool,
) -> rusqlite::Result<Option<(String, String)>> {
    let facts = if facts { "facts" } else { "'{}'" };
    let same = if wanted.is_some() {
        "AND device = ?3 AND stack = ?4"
    } else {
        ""
    };
    let mut query = connection.prepare_cached(&format!(
        "SELECT samples, {facts} FROM probe WHERE problem = ?1 AND made >= ?2 {same} ORDER BY made DESC LIMIT 1"
    ))?;
    let read = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?));
    match wanted {
        Some((device, stack)) => query.query_row(params![problem, since as i64, device, stack], read),
        None => query.query_row(params![problem, since as i64], read),
    }
    .optional()
}

/// Copies a device's records to another fingerprint; where there is one of the same key already, that one stays. Those under the former
/// fingerprint stay too: another machine may have had the same, and use the same file.
fn adopt(connection: &Connection, former: &str, fingerprint: &str) -> rusqlite::Result<()> {
    for (table, rest) in [
        ("probe", "stack, problem, samples, made, facts"),
        ("whole", "stack, models, result, made"),
    ] {
        let copied =
            format!("INSERT OR IGNORE INTO {table} (device, {rest}) SELECT ?2, {rest} FROM {table} WHERE device = ?1");
        connection
            .prepare_cached(&copied)?
            .execute(params![former, fingerprint])?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "database/tests.rs"]
mod tests;
