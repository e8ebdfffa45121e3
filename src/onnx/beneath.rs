//! Opening a file of a folder, and nothing outside of it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, Result};

/// A pipe in place of a file must not make anybody wait.
pub(super) const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// What opens a folder on the way.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a plain path below a folder, through no link. The kernel resolves it; where it cannot, the path is walked part by part.
///
/// # Errors
/// `LOOP` or `XDEV` for a link or a path that leaves the folder, and what the system says of the file.
pub(super) fn beneath(folder: &Path, location: &Path) -> Result<File> {
    let here = if folder == Path::new("") {
        Path::new(".")
    } else {
        folder
    };
    // The kernel would follow `a/../b`, which stays inside.
    parts(location)?;
    let at = openat(CWD, here, FOLDER, Mode::empty())?;
    if let Some(done) = resolved_by_kernel(&at, location) {
        return done.map(File::from);
    }
    walk(at, location)
}

/// `None` where the kernel has no such call, or a sandbox refuses it.
#[cfg(target_os = "linux")]
fn resolved_by_kernel(folder: &OwnedFd, location: &Path) -> Option<Result<OwnedFd>> {
    use rustix::fs::{ResolveFlags, openat2};
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(folder, location, READ, Mode::empty(), inside) {
        Err(Errno::NOSYS | Errno::PERM) => None,
        done => Some(done),
    }
}

#[cfg(not(target_os = "linux"))]
fn resolved_by_kernel(_: &OwnedFd, _: &Path) -> Option<Result<OwnedFd>> {
    None
}

/// The parts of a plain path: what leads out of its folder (`..`, a root) is refused.
fn parts(location: &Path) -> Result<Vec<Component<'_>>> {
    let mut parts = Vec::new();
    for part in location.components() {
        match part {
            Component::Normal(_) => parts.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(Errno::XDEV),
        }
    }
    Ok(parts)
}

/// Opens a path part by part below a folder; a link anywhere in it is refused.
fn walk(mut at: OwnedFd, location: &Path) -> Result<File> {
    let parts = parts(location)?;
    let (last, folders) = parts.split_last().ok_or(Errno::INVAL)?;
    for part in folders {
        at = openat(&at, part.as_os_str(), FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
    }
    openat(&at, last.as_os_str(), READ | OFlags::NOFOLLOW, Mode::empty()).map(File::from)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use rustix::fs::{CWD, Mode, openat};

    use super::{FOLDER, beneath, walk};

    #[test]
    fn a_walk_opens_what_the_kernel_would() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/weights"), "weights").unwrap();
        std::fs::write(root.join("beside"), "beside").unwrap();
        symlink("a", root.join("linked")).unwrap();
        symlink("beside", root.join("link")).unwrap();
        let walked = |path: &str| walk(openat(CWD, root, FOLDER, Mode::empty())?, Path::new(path));
        for (path, text) in [
            ("a/b/weights", "weights"),
            ("./a/./b/weights", "weights"),
            ("beside", "beside"),
        ] {
            for opened in [walked(path), beneath(root, Path::new(path))] {
                let mut found = String::new();
                opened.unwrap().read_to_string(&mut found).unwrap();
                assert_eq!(found, text, "{path}");
            }
        }
        let absolute = root.join("beside");
        let leaving = ["a/../beside", "../beside", "..", absolute.to_str().unwrap()];
        for path in ["link", "linked/b/weights", "a/b/nothing", "beside/weights", "."]
            .into_iter()
            .chain(leaving)
        {
            assert!(walked(path).is_err(), "{path}");
            assert!(beneath(root, Path::new(path)).is_err() || path == ".", "{path}");
        }
    }
}
