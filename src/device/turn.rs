//! One process at a time takes times on a device: others that run beside it make its times longer, and theirs.
//!
//! Whose turn it is, is a lock of the system's on a file, which ends with its process. The file is one of the machine, not of a user:
//! devices are shared by all of them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::stop::Stop;
use crate::{Error, Result};

/// Names the folder of the locks, such as one that containers share; `off`: there are none.
const FOLDER: &str = "SNAPPRUNE_LOCKS";

/// How often a lock is tried that somebody else has.
const PATIENCE: Duration = Duration::from_millis(50);

/// The turn to time on a device; it ends when this is dropped, or with the process.
#[derive(Debug)]
pub struct Turn(Option<File>);

/// What to do while another process times on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenBusy {
    /// Wait until it is done.
    Wait,
    /// Fail with [`Error::Busy`].
    Fail,
}

/// What happens while a turn is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnEvent {
    /// The turn is another's, and is waited for. Reported once.
    Waiting {
        /// The process that has it, as far as it is known.
        holder: String,
    },
    /// Nothing can be locked: others may time on the device meanwhile.
    Unlocked {
        /// The file that cannot be locked.
        path: PathBuf,
        /// The system's error.
        why: String,
    },
}

impl std::fmt::Display for TurnEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Waiting { holder } => write!(f, "waits for {holder} that times on this device"),
            Self::Unlocked { path, why } => write!(
                f,
                "{} cannot be locked ({why}), so that others may time on this device meanwhile; {FOLDER} names another folder",
                path.display()
            ),
        }
    }
}

impl Turn {
    /// Takes the turn on a device, known by [`super::Device::unit`]. Where nothing can be locked the turn is given all the same, and
    /// reported.
    ///
    /// # Errors
    /// When it is another's and `busy` says to fail, or when `stop` is requested.
    pub fn take(unit: &str, busy: WhenBusy, stop: &Stop, report: &dyn Fn(TurnEvent)) -> Result<Self> {
        let folder = std::env::var_os(FOLDER).filter(|f| !f.is_empty());
        if folder.as_ref().is_some_and(|f| f == "off") {
            return Ok(Self(None));
        }
        Self::take_in(&folder.map_or_else(common, PathBuf::from), unit, busy, stop, report)
    }

    fn take_in(folder: &Path, unit: &str, busy: WhenBusy, stop: &Stop, report: &dyn Fn(TurnEvent)) -> Result<Self> {
        let path = folder.join(name(unit));
        let unlocked = |e: &std::io::Error| {
            report(TurnEvent::Unlocked {
                path: path.clone(),
                why: e.to_string(),
            });
            Ok(Self(None))
        };
        let mut waiting = false;
        loop {
            stop.check()?;
            let file = match opened(&path) {
                Ok(file) => file,
                Err(e) => return unlocked(&e),
            };
            match file.try_lock() {
                // Somebody may have tidied the folder in the meantime; then others lock a new file.
                Ok(()) if !is_at(&file, &path) => {}
                Ok(()) => {
                    // A file in use looks so to those who tidy up. It may be another user's.
                    let _ = file.set_modified(SystemTime::now());
                    return Ok(Self(Some(file)));
                }
                Err(TryLockError::WouldBlock) => {
                    let holder = described(holder(&file));
                    if busy == WhenBusy::Fail {
                        return Err(Error::Busy { holder });
                    }
                    if !waiting {
                        report(TurnEvent::Waiting { holder });
                    }
                    waiting = true;
                    std::thread::sleep(PATIENCE);
                }
                Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Interrupted => {}
                Err(TryLockError::Error(e)) => return unlocked(&e),
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // A process that was forked meanwhile has the file open too; only this ends the lock for it.
        if let Some(file) = &self.0 {
            let _ = file.unlock();
        }
    }
}

/// A folder that all users of a machine write to and nobody removes another's files from.
fn common() -> PathBuf {
    match Path::new("/tmp").is_dir() {
        true => PathBuf::from("/tmp"),
        false => std::env::temp_dir(),
    }
}

/// A folder may be shared between machines, devices are not: the start of the machine is part of the name.
fn name(unit: &str) -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot = boot.split('-').next().unwrap_or_default().trim();
    match boot {
        "" => format!("snapprune-{unit}.lock"),
        boot => format!("snapprune-{boot}-{unit}.lock"),
    }
}

/// The file, made if it is not there. It is only read, so that it may be anybody's; links are not followed, so that it may lie in a
/// folder that anybody writes to.
fn opened(path: &Path) -> std::io::Result<File> {
    let mut last = ErrorKind::NotFound.into();
    // It may come and go between the two.
    for _ in 0..10 {
        match no_links(OpenOptions::new().read(true)).open(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            other => return other,
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        match no_links(OpenOptions::new().read(true).write(true).create_new(true)).open(path) {
            Ok(file) => {
                readable(&file)?;
                return Ok(file);
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => last = e,
            Err(e) => return Err(e),
        }
    }
    Err(last)
}

#[cfg(unix)]
fn no_links(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    options.custom_flags(flags.bits() as i32)
}

#[cfg(not(unix))]
fn no_links(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Others must be able to open it, whatever the umask.
#[cfg(unix)]
fn readable(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(PermissionsExt::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |m: std::fs::Metadata| (m.dev(), m.ino());
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(own), Ok(there)) => id(own) == id(there),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// The process that has a file locked, where the system tells; it does not across containers.
#[cfg(unix)]
fn holder(file: &File) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let inode = file.metadata().ok()?.ino().to_string();
    // number: FLOCK ADVISORY WRITE pid major:minor:inode start end
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, place, ..] = words.as_slice() else {
            return None;
        };
        (place.rsplit(':').next() == Some(inode.as_str())).then(|| pid.parse().ok().filter(|&p| p > 0))?
    })
}

#[cfg(not(unix))]
fn holder(_: &File) -> Option<u32> {
    None
}

fn described(holder: Option<u32>) -> String {
    match holder {
        Some(pid) if pid == std::process::id() => "another job of this process".to_owned(),
        Some(pid) => format!("another snapprune (pid {pid})"),
        None => "another snapprune".to_owned(),
    }
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
