//! How SQLite keeps transactions whole, by the file system that a database lies on.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::file::PATIENCE;

/// Between two tries to begin a log.
const AGAIN: Duration = Duration::from_millis(5);

/// SQLite's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Journal {
    /// A log ahead of the file, with an index in memory that all its users share: on one machine only
    /// (SQLite, "Write-Ahead Logging").
    Ahead,
    /// The old pages in a file beside, under locks of the file system: wherever there are locks.
    Rollback,
}

/// File systems that several machines may share, or that do not say whether they do, by the number that `statfs` gives (Linux,
/// `linux/magic.h` and the sources of each).
const SHARED: [(u32, &str); 28] = [
    (0x0000_6969, "NFS"),
    (0x6e66_7364, "NFS server"),
    (0x0000_517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB 2"),
    (0x6573_5546, "FUSE"),
    (0x6573_5543, "FUSE control"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "kAFS"),
    (0x6473_7664, "Andrew or DFS"),
    (0x0102_1997, "9P"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x7375_7245, "Coda"),
    (0x0000_564c, "NCP"),
    (0xaad7_aaea, "PanFS"),
    (0x2003_0528, "OrangeFS"),
    (0x6163_6673, "ACFS"),
    (0xbeef_dead, "StorNext"),
    (0x0131_11a8, "IBRIX"),
    (0x786f_4256, "VirtualBox folder"),
    (0xbacb_acbc, "VMware folder"),
    (0x7c7c_6673, "Parallels folder"),
    (0x00c0_ffee, "host folder"),
];

/// The journal for a file system of this number.
pub(super) fn journal_for(kind: u32) -> Journal {
    match SHARED.iter().any(|&(number, _)| number == kind) {
        true => Journal::Rollback,
        false => Journal::Ahead,
    }
}

/// The journal for a file, which need not be there yet.
pub(super) fn journal_at(path: &Path) -> Journal {
    kind_at(path).map_or(Journal::Ahead, journal_for)
}

/// The number of the file system of a file, or of the folder that it would lie in.
#[cfg(target_os = "linux")]
fn kind_at(path: &Path) -> Option<u32> {
    let folder = path.parent().filter(|p| *p != Path::new("")).unwrap_or(Path::new("."));
    let found = rustix::fs::statfs(path).or_else(|_| rustix::fs::statfs(folder)).ok()?;
    // The numbers have 32 bits, whatever the sign and size of the field.
    Some(found.f_type as u32)
}

#[cfg(not(target_os = "linux"))]
fn kind_at(_: &Path) -> Option<u32> {
    None
}

/// Has a connection, which was not used before, keep this journal. A database with a log that was moved to where none may be is
/// taken back from it, without the index that machines cannot share.
///
/// # Errors
/// When SQLite refuses: the file is no database, or somebody else works with its log.
pub(super) fn keep(connection: &Connection, journal: Journal) -> rusqlite::Result<()> {
    // The mode is answered with a row.
    let mode =
        |mode: &str| connection.query_row(&format!("PRAGMA journal_mode = {mode}"), [], |r| r.get::<_, String>(0));
    if journal == Journal::Ahead {
        // Of several that begin a log at once, SQLite refuses all but one, without patience.
        let begin = Instant::now();
        while let Err(error) = mode("WAL") {
            if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) || begin.elapsed() > PATIENCE {
                return Err(error);
            }
            std::thread::sleep(AGAIN);
        }
        return connection.pragma_update(None, "synchronous", "NORMAL");
    }
    // Whoever has a log for itself keeps its index in its own memory.
    let locking =
        |mode: &str| connection.query_row(&format!("PRAGMA locking_mode = {mode}"), [], |r| r.get::<_, String>(0));
    locking("EXCLUSIVE")?;
    let kept = mode("DELETE");
    locking("NORMAL")?;
    kept?;
    // The lock is given back at the next access.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get::<_, i64>(0))?;
    // With old pages beside the file, less could leave a broken file behind when power fails.
    connection.pragma_update(None, "synchronous", "FULL")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rusqlite::Connection;

    use super::{Journal, SHARED, journal_at, journal_for, keep};

    #[test]
    fn a_log_only_where_one_machine_has_the_file_system() {
        for (kind, name) in SHARED {
            assert_eq!(journal_for(kind), Journal::Rollback, "{name}");
        }
        for (kind, name) in [
            (0xef53, "ext4"),
            (0x5846_5342, "XFS"),
            (0x9123_683e, "Btrfs"),
            (0x2fc1_2fc1, "ZFS"),
            (0x0102_1994, "tmpfs"),
            (0x794c_7630, "overlay"),
            (0xf2f5_2010, "F2FS"),
            (0xca45_1a4e, "bcachefs"),
        ] {
            assert_eq!(journal_for(kind), Journal::Ahead, "{name}");
        }
    }

    #[test]
    fn the_file_system_of_a_file_that_is_not_there_yet_is_its_folders() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(journal_at(&folder.path().join("new.db")), journal_at(folder.path()));
        assert_eq!(journal_at(Path::new("new.db")), journal_at(Path::new(".")));
        assert_eq!(journal_at(Path::new("/nowhere/at/all.db")), Journal::Ahead);
    }

    fn mode(connection: &Connection) -> String {
        connection.query_row("PRAGMA journal_mode", [], |r| r.get(0)).unwrap()
    }

    #[test]
    fn a_database_with_a_log_is_taken_back_from_it_with_all_that_is_in_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("here.db"), folder.path().join("there.db"));
        let first = Connection::open(&here).unwrap();
        keep(&first, Journal::Ahead).unwrap();
        assert_eq!(mode(&first), "wal");
        first
            .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2);")
            .unwrap();
        // Moved while the log still holds everything.
        std::fs::copy(&here, &there).unwrap();
        std::fs::copy(folder.path().join("here.db-wal"), folder.path().join("there.db-wal")).unwrap();
        let moved = Connection::open(&there).unwrap();
        keep(&moved, Journal::Rollback).unwrap();
        assert_eq!(mode(&moved), "delete");
        assert!(!folder.path().join("there.db-shm").exists());
        assert!(!folder.path().join("there.db-wal").exists());
        let rows: i64 = moved.query_row("SELECT count(*) FROM t", [], |r| r.get(0)).unwrap();
        assert_eq!(rows, 2);
    }

    #[test]
    fn several_work_with_a_database_that_has_no_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.db");
        let open = || {
            let connection = Connection::open(&path).unwrap();
            connection.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
            keep(&connection, Journal::Rollback).unwrap();
            connection
        };
        let (first, second) = (open(), open());
        first
            .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1);")
            .unwrap();
        second.execute_batch("INSERT INTO t VALUES (2);").unwrap();
        let rows: i64 = first.query_row("SELECT count(*) FROM t", [], |r| r.get(0)).unwrap();
        assert_eq!(rows, 2);
    }

    #[test]
    fn several_open_a_new_database_at_once() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let path = folder.path().join(format!("{round}.db"));
            let together = std::sync::Barrier::new(4);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        together.wait();
                        crate::profile::Database::open(&path).unwrap();
                    });
                }
            });
        }
    }
}
