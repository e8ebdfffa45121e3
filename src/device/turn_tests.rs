use std::cell::RefCell;
use std::path::Path;

use super::{Stop, Turn, TurnEvent, WhenBusy, name};
use crate::{Error, Result};

fn take(folder: &Path, busy: WhenBusy, report: &dyn Fn(TurnEvent)) -> Result<Turn> {
    Turn::take_in(folder, "cpu", busy, &Stop::default(), report)
}

fn silent(event: TurnEvent) {
    panic!("{event}");
}

#[test]
fn a_turn_is_one_jobs_until_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let own = take(folder.path(), WhenBusy::Fail, &silent).unwrap();
    let refused = take(folder.path(), WhenBusy::Fail, &silent).unwrap_err();
    assert!(matches!(&refused, Error::Busy { holder } if holder == "another job of this process"));
    // Another device is nobody's.
    Turn::take_in(folder.path(), "cuda-1", WhenBusy::Fail, &Stop::default(), &silent).unwrap();
    drop(own);
    take(folder.path(), WhenBusy::Fail, &silent).unwrap();
}

#[test]
fn who_waits_says_so_once_and_goes_on_when_the_turn_comes() {
    let folder = tempfile::tempdir().unwrap();
    let own = RefCell::new(Some(take(folder.path(), WhenBusy::Wait, &silent).unwrap()));
    let said = RefCell::new(Vec::new());
    let report = |event: TurnEvent| {
        said.borrow_mut().push(event);
        drop(own.take());
    };
    take(folder.path(), WhenBusy::Wait, &report).unwrap();
    assert_eq!(said.borrow().len(), 1, "{said:?}");
    assert!(matches!(said.borrow()[0], TurnEvent::Waiting { .. }), "{said:?}");
}

#[test]
fn who_waits_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let _own = take(folder.path(), WhenBusy::Wait, &silent).unwrap();
    let stop = Stop::default();
    let waited = Turn::take_in(folder.path(), "cpu", WhenBusy::Wait, &stop, &|_| stop.request());
    assert!(matches!(waited, Err(Error::Stopped)), "{waited:?}");
}

#[test]
fn a_file_that_was_tidied_away_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let own = take(folder.path(), WhenBusy::Wait, &silent).unwrap();
    let waited = take(folder.path(), WhenBusy::Wait, &|_| {
        std::fs::remove_file(folder.path().join(name("cpu"))).unwrap();
    });
    assert!(waited.unwrap().0.is_some());
    drop(own);
}

#[cfg(unix)]
#[test]
fn everybody_may_lock_the_file_and_links_are_not_followed() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    drop(take(folder.path(), WhenBusy::Wait, &silent).unwrap());
    let path = folder.path().join(name("cpu"));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    std::fs::remove_file(&path).unwrap();
    let other = folder.path().join("other");
    std::os::unix::fs::symlink(&other, &path).unwrap();
    let said = RefCell::new(String::new());
    let turn = take(folder.path(), WhenBusy::Wait, &|event| {
        said.replace(event.to_string()).clear()
    })
    .unwrap();
    assert!(turn.0.is_none() && !other.exists());
    assert!(said.borrow().contains("cannot be locked"), "{said:?}");
}
