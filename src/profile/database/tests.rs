use std::path::Path;

use rusqlite::Connection;

use super::Database;
use crate::device::{DeviceInfo, DeviceKind};
use crate::profile::{Problem, Record, RecordFacts, Row};

fn device(fingerprint: &str, former: &[&str], stack: &str) -> DeviceInfo {
    DeviceInfo {
        kind: DeviceKind::Cpu,
        name: "A processor".to_owned(),
        fingerprint: fingerprint.to_owned(),
        stack: stack.to_owned(),
        facts: [("instructions".to_owned(), "fma".to_owned())].into(),
        former: former.iter().map(|f| (*f).to_owned()).collect(),
    }
}

fn record(cout: usize, ms: f64) -> Record {
    Record {
        problem: Problem::plain(8, cout, 4),
        samples: vec![ms; 3],
        facts: RecordFacts::default(),
    }
}

/// A file as earlier versions left it, with one time of 1 ms of `record(8, _)`.
fn old(path: &Path, version: u8, device: &str, stack: &str) {
    let connection = Connection::open(path).unwrap();
    let facts = if version > 1 {
        "facts TEXT NOT NULL DEFAULT '{}',"
    } else {
        ""
    };
    let whole =
        "CREATE TABLE whole (device TEXT NOT NULL, stack TEXT NOT NULL, models TEXT NOT NULL, result TEXT NOT NULL,
             made INTEGER NOT NULL DEFAULT (unixepoch()), PRIMARY KEY (device, stack, models)) WITHOUT ROWID;
         INSERT INTO whole (device, stack, models, result) SELECT device, stack, 'models', 'kept' FROM probe;";
    connection
        .execute_batch(&format!(
            "CREATE TABLE probe (device TEXT NOT NULL, stack TEXT NOT NULL, problem TEXT NOT NULL, samples TEXT NOT NULL,
                 made INTEGER NOT NULL DEFAULT (unixepoch()), {facts} PRIMARY KEY (device, stack, problem)) WITHOUT ROWID;
             CREATE TABLE device (fingerprint TEXT PRIMARY KEY, name TEXT NOT NULL);
             INSERT INTO device VALUES ('{device}', 'A processor');
             INSERT INTO probe (device, stack, problem, samples) VALUES ('{device}', '{stack}', '{}', '[1.0, 1.0, 1.0]');
             {}
             PRAGMA journal_mode = WAL; PRAGMA user_version = {version};",
            record(8, 1.0).problem.key(),
            if version > 1 { whole } else { "" },
        ))
        .unwrap();
}

fn time(database: &Database, device: &DeviceInfo, cout: usize) -> Option<f64> {
    let found = database.find(device, &record(cout, 0.0).problem).unwrap();
    found.map(|r| r.samples[0])
}

#[test]
fn what_earlier_versions_kept_of_this_very_device_is_found_and_becomes_its_own_when_it_is_written() {
    for version in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.db");
        old(&path, version, "before", "cpu");
        let now = device("now", &["before"], "cpu");
        let mut database = Database::open(&path).unwrap();
        assert_eq!(time(&database, &now, 8), Some(1.0));
        let remembered = database.remembered(&now, "models").unwrap();
        assert_eq!(remembered.as_deref(), (version > 1).then_some("kept"));
        database.store(&now, &[record(16, 2.0)]).unwrap();
        let rows = database.rows().unwrap();
        let own = |rows: &[Row]| rows.iter().filter(|r| r.device == "now").count();
        assert_eq!((own(&rows), rows.len()), (2, 3));
        assert!(rows.iter().all(|r| r.name == "A processor"));
        assert_eq!(database.remembered(&now, "models").unwrap(), remembered);
        // What is newer stays: a time under the former key that comes in later does not replace it.
        let mut later = rows.iter().find(|r| r.device == "before").unwrap().clone();
        later.samples = vec![9.0; 4];
        assert_eq!(database.take_over(&[later]).unwrap(), 1);
        database.store(&now, &[]).unwrap();
        assert_eq!(
            (time(&database, &now, 8), time(&database, &now, 16)),
            (Some(1.0), Some(2.0))
        );
        assert_eq!(own(&database.rows().unwrap()), 2);
    }
}

#[test]
fn machines_that_were_told_apart_only_later_both_keep_what_they_had() {
    for version in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.db");
        old(&path, version, "before", "cpu");
        let (one, other) = (device("one", &["before"], "cpu"), device("other", &["before"], "cpu"));
        let mut database = Database::open(&path).unwrap();
        let remembered = database.remembered(&other, "models").unwrap();
        database.store(&one, &[record(16, 2.0)]).unwrap();
        assert_eq!(time(&database, &other, 8), Some(1.0));
        assert_eq!(time(&database, &other, 16), None);
        assert_eq!(database.remembered(&other, "models").unwrap(), remembered);
        database.store(&other, &[record(8, 3.0)]).unwrap();
        assert_eq!(
            (time(&database, &one, 8), time(&database, &other, 8)),
            (Some(1.0), Some(3.0))
        );
    }
}

#[test]
fn what_cannot_be_known_to_be_of_this_device_or_stack_is_listed_and_serves_only_where_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.db");
    old(&path, 2, "gpu", "onnxruntime 1.31.1 cuda driver=580");
    let now = device("gpu", &[], "onnxruntime 1.31.1 cuda driver=580 cudnn=9.28.1");
    let mut database = Database::open(&path).unwrap();
    assert_eq!(time(&database, &now, 8), None);
    database.store(&now, &[record(16, 2.0)]).unwrap();
    assert_eq!(database.rows().unwrap().len(), 2);
    database.allow_mismatch();
    assert_eq!(time(&database, &now, 8), Some(1.0));
}

#[test]
fn shared_databases_of_earlier_versions_are_read_as_they_are() {
    for version in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("100% of what?.db");
        old(&path, version, "before", "cpu");
        let before = std::fs::read(&path).unwrap();
        let mut database = Database::open(&folder.path().join("own.db")).unwrap();
        database.add_shared(&path).unwrap();
        assert_eq!(time(&database, &device("now", &["before"], "cpu"), 8), Some(1.0));
        assert_eq!(time(&database, &device("now", &[], "cpu"), 8), None);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_migration_that_was_cut_off_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.db");
    old(&path, 1, "before", "cpu");
    // As the step from 1 to 2 could leave a file: the column is there, the number is not.
    let half = Connection::open(&path).unwrap();
    half.execute_batch("ALTER TABLE probe ADD COLUMN facts TEXT NOT NULL DEFAULT '{}'")
        .unwrap();
    drop(half);
    let database = Database::open(&path).unwrap();
    assert_eq!(time(&database, &device("before", &[], "cpu"), 8), Some(1.0));
}

#[test]
fn many_that_open_an_old_file_at_once_all_get_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.db");
    old(&path, 2, "before", "cpu");
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| Database::open(&path).map(|_| ())))
            .collect();
        all.into_iter().for_each(|t| t.join().unwrap().unwrap());
    });
    assert_eq!(Database::open(&path).unwrap().rows().unwrap().len(), 1);
}

#[test]
fn facts_of_a_device_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.db");
    let mut database = Database::open(&path).unwrap();
    database.store(&device("now", &[], "cpu"), &[record(8, 1.0)]).unwrap();
    let kept: String = database
        .connection
        .query_row("SELECT facts FROM device WHERE fingerprint = 'now'", [], |r| r.get(0))
        .unwrap();
    assert_eq!(kept, "{\"instructions\":\"fma\"}");
}

#[test]
fn a_name_that_means_something_to_sqlite_is_a_file_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["what?mode=memory.db", "50%.db", "a#b.db", "file:x.db", ":memory:", " "] {
        let path = folder.path().join(name);
        Database::open(&path)
            .unwrap()
            .store(&device("now", &[], "cpu"), &[record(8, 1.0)])
            .unwrap();
        assert!(path.is_file(), "{name}");
        let again = Database::open(&path).unwrap();
        assert_eq!(time(&again, &device("now", &[], "cpu"), 8), Some(1.0));
    }
    // Relative, SQLite would take these for an address and for memory.
    assert!(super::plain(Path::new("file:x.db")).is_absolute());
    assert!(super::plain(Path::new(":memory:")).is_absolute());
}

#[test]
fn what_is_to_be_measured_again_is_not_known() {
    let folder = tempfile::tempdir().unwrap();
    let mut database = Database::open(&folder.path().join("l.db")).unwrap();
    let device = DeviceInfo::default();
    let problem = Problem::plain(8, 8, 8);
    let record = |samples: usize| Record {
        problem: problem.clone(),
        samples: vec![1.0; samples],
        facts: Default::default(),
    };
    database.store(&device, &[record(9)]).unwrap();
    database.remember(&device, "race", "1").unwrap();
    let mut old = database.rows().unwrap();
    let now = u64::try_from(old[0].made).unwrap();
    database.forget_before(now);
    assert!(database.find(&device, &problem).unwrap().is_some());
    database.forget_before(now + 1);
    assert!(database.find(&device, &problem).unwrap().is_none());
    // A second may have passed between the two.
    database.forget_before(now + 60);
    assert!(database.remembered(&device, "race").unwrap().is_none());
    // A new time takes the place of an old one of more samples, and not the other way round.
    let mut new = old.clone();
    new[0].made += 60;
    new[0].samples.truncate(3);
    assert_eq!(database.take_over(&new).unwrap(), 1);
    old[0].samples.push(1.0);
    assert_eq!(database.take_over(&old).unwrap(), 0);
    assert_eq!(database.find(&device, &problem).unwrap().unwrap().samples.len(), 3);
}
