//! Records of all devices: what is listed, exported and taken over.

use rusqlite::{Connection, params};

use super::Database;
use super::file::database_error;
use crate::profile::row::Row;
use crate::{Error, Result};

impl Database {
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

    /// Takes over rows; of two records of one problem the one with more samples stays, or the one that still counts
    /// ([`Database::forget_before`]). How many changed.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing is taken over.
    pub fn take_over(&mut self, rows: &[Row]) -> Result<usize> {
        let since = self.since as i64;
        let take =
            |connection: &mut Connection| -> rusqlite::Result<usize> {
                let transaction = connection.transaction()?;
                let mut changed = 0;
                for row in rows {
                    let samples = serde_json::to_string(&row.samples).unwrap_or_default();
                    let facts = serde_json::to_string(&row.facts).unwrap_or_default();
                    changed += transaction.execute(
                    "INSERT INTO probe (device, stack, problem, samples, made, facts) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT DO UPDATE
                     SET samples = excluded.samples, made = excluded.made, facts = excluded.facts
                     WHERE CASE WHEN (excluded.made >= ?7) = (probe.made >= ?7)
                         THEN json_array_length(excluded.samples) > json_array_length(probe.samples)
                         ELSE excluded.made >= ?7 END",
                    params![row.device, row.stack, row.problem.key(), samples, row.made, facts, since],
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
