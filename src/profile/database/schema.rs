//! The tables, and how those of earlier versions become them.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::file::database_error;
use crate::{Error, Result};

/// The version of the tables: 2 added `probe.facts`, 3 `device.facts`.
pub(super) const SCHEMA: i64 = 3;

/// The version that a file has; 0 is a new one.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Makes the tables, or brings those of an earlier version up to date, all or nothing. Records keep their keys: which of those
/// are still this machine's, `Database::find` knows.
///
/// # Errors
/// When the file is no database, cannot be written, or is from a newer version.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<()> {
    let fail = |e: rusqlite::Error| database_error(path, &e);
    let refuse = |found: i64| Error::DatabaseTooNew {
        path: path.to_path_buf(),
        found,
        known: SCHEMA,
    };
    match version(connection).map_err(fail)? {
        SCHEMA => return Ok(()),
        found if found > SCHEMA => return Err(refuse(found)),
        _ => {}
    }
    // Another process may be at it; it is looked at again when that is done.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(fail)?;
    let found = version(&transaction).map_err(fail)?;
    if found > SCHEMA {
        return Err(refuse(found));
    }
    transaction.execute_batch(TABLES).map_err(fail)?;
    for table in ["probe", "device"] {
        add_facts(&transaction, table).map_err(fail)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA).map_err(fail)?;
    transaction.commit().map_err(fail)
}

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS probe (
        device TEXT NOT NULL,
        stack TEXT NOT NULL,
        problem TEXT NOT NULL,
        samples TEXT NOT NULL,
        made INTEGER NOT NULL DEFAULT (unixepoch()),
        facts TEXT NOT NULL DEFAULT '{}',
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
    CREATE TABLE IF NOT EXISTS device (
        fingerprint TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        facts TEXT NOT NULL DEFAULT '{}'
    );";

/// Adds the column `facts` to a table that has none.
fn add_facts(connection: &Connection, table: &str) -> rusqlite::Result<()> {
    let columns = "SELECT count(*) FROM pragma_table_info(?1) WHERE name = 'facts'";
    let has: bool = connection.query_row(columns, [table], |row| row.get(0))?;
    match has {
        true => Ok(()),
        false => connection.execute_batch(&format!(
            "ALTER TABLE {table} ADD COLUMN facts TEXT NOT NULL DEFAULT '{{}}'"
        )),
    }
}
