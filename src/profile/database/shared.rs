//! Databases that are only read.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::file::{PATIENCE, database_error, plain};
use super::journal::{Journal, journal_at};
use super::schema::{SCHEMA, version};
use crate::{Error, Result};

/// A database that is only read.
#[derive(Debug)]
pub(super) struct Shared {
    pub path: PathBuf,
    pub connection: Connection,
    /// Whether it keeps facts beside times: since version 2.
    pub facts: bool,
}

impl Shared {
    /// Opens one, of this version or an earlier one. It may lie on a file system that cannot be written to.
    ///
    /// # Errors
    /// When it cannot be read, is no database of ours, or is from a newer version.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let fail = |e: rusqlite::Error| database_error(path, &e);
        let (connection, version) = match journal_at(path) == Journal::Rollback && has_log(path) {
            // Its log was made elsewhere, and no index may be made for it here; what is not in the file itself is not seen.
            true => unchanging(path),
            // A log cannot be looked into in a folder that cannot be written to.
            false => reading(path).or_else(|e| unchanging(path).map_err(|_| e)),
        }
        .map_err(fail)?;
        if !(1..=SCHEMA).contains(&version) {
            let what = match version {
                0 => "it is no latency database".to_owned(),
                _ => {
                    format!("its tables are version {version}, newer than {SCHEMA}; update snapprune, or leave it out")
                }
            };
            return Err(Error::Database {
                path: path.to_path_buf(),
                what,
            });
        }
        Ok(Self {
            path: path.to_path_buf(),
            connection,
            facts: version > 1,
        })
    }
}

fn reading(path: &Path) -> rusqlite::Result<(Connection, i64)> {
    let connection = Connection::open_with_flags(plain(path), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(PATIENCE)?;
    version(&connection).map(|v| (connection, v))
}

/// As a file that nobody changes, without locks and logs.
fn unchanging(path: &Path) -> rusqlite::Result<(Connection, i64)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("{}?immutable=1", address(path)), flags)?;
    version(&connection).map(|v| (connection, v))
}

/// A file's URI: every byte that is not plain is written as its number, so that none can be taken for a part of the URI
/// (RFC 3986, section 2.1).
fn address(path: &Path) -> String {
    // The machine between the second and the third slash is left out.
    let mut out = "file://".to_owned();
    for &byte in plain(path).as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Whether a file says that its transactions go through a log (SQLite, "Database File Format", bytes 18 and 19).
fn has_log(path: &Path) -> bool {
    use std::io::Read;
    let mut head = [0; 20];
    let read = std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut head));
    read.is_ok() && head.ends_with(&[2, 2])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Shared, address, has_log};
    use crate::profile::Database;

    #[test]
    fn names_are_no_parts_of_an_address() {
        assert_eq!(
            address(Path::new("/a b/50%?x#y/l.db")),
            "file:///a%20b/50%25%3Fx%23y/l.db"
        );
        assert_eq!(address(Path::new("/ü/a&b=c;d.db")), "file:///%C3%BC/a%26b%3Dc%3Bd.db");
        assert_eq!(address(Path::new("//host/l.db")), "file:////host/l.db");
    }

    #[test]
    fn a_file_that_cannot_change_is_read_whatever_it_is_called() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "plain",
            "a b",
            "what?mode=memory",
            "50%",
            "100%25",
            "c#d",
            "e&f=g",
            "file:x",
            "ü",
            "'\"\\",
        ] {
            let path = folder.path().join(name).join("l.db");
            drop(Database::open(&path).unwrap());
            assert!(path.is_file(), "{name}");
            assert!(
                super::unchanging(&path).is_ok() && super::reading(&path).is_ok(),
                "{name}"
            );
            assert!(Shared::open(&path).is_ok_and(|s| s.facts), "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_no_text_serve_too() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder
            .path()
            .join(std::ffi::OsStr::from_bytes(b"caf\xe9?"))
            .join("l.db");
        drop(Database::open(&path).unwrap());
        assert!(path.is_file());
        assert!(super::unchanging(&path).is_ok() && super::reading(&path).is_ok());
    }

    #[test]
    fn what_is_no_database_of_ours_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.db");
        assert!(Shared::open(&missing).is_err());
        assert!(!missing.exists());
        let empty = folder.path().join("empty.db");
        std::fs::write(&empty, b"").unwrap();
        let error = Shared::open(&empty).unwrap_err().to_string();
        assert!(error.contains("no latency database"), "{error}");
        let newer = folder.path().join("newer.db");
        rusqlite::Connection::open(&newer)
            .unwrap()
            .pragma_update(None, "user_version", 99)
            .unwrap();
        let error = Shared::open(&newer).unwrap_err().to_string();
        assert!(error.contains("version 99"), "{error}");
    }

    #[test]
    fn a_log_is_seen_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.db");
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (a)").unwrap();
        assert!(!has_log(&path));
        connection
            .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
            .unwrap();
        assert!(has_log(&path));
        assert!(!has_log(&folder.path().join("missing.db")));
    }
}
