//! Where ONNX Runtime's shared library is.
//!
//! Loading a library runs its code, so none is taken from a folder only because the command was started there: what is named,
//! what the user has activated or installed, and the system's own folders.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::environments::{inactive, package_folders, set};
use crate::error::LibraryError;
use crate::{Error, Result};

/// Finds the library: the path given, `ORT_DYLIB_PATH`, an active virtual environment (`VIRTUAL_ENV`, `CONDA_PREFIX`),
/// `python3`'s packages, then the system's library folders. The path is absolute.
///
/// # Errors
/// When a named file is not there, or none is found; see [`LibraryError`].
pub fn find_library(explicit: Option<&Path>) -> Result<PathBuf> {
    let named = explicit
        .map(|p| (None, p.to_path_buf()))
        .or_else(|| set(VARIABLE).map(|p| (Some(VARIABLE), PathBuf::from(p))));
    if let Some((variable, path)) = named {
        return if path.is_file() {
            // A name without a folder would be looked for by the system's loader, elsewhere.
            std::path::absolute(&path).map_err(|e| Error::file(&path, e))
        } else {
            Err(Error::Library(LibraryError::NoFile { path, variable }))
        };
    }
    package_folders()
        .find_map(|site| library_in(&site.join("onnxruntime/capi")))
        .or_else(|| {
            [
                "/usr/local/lib",
                "/usr/lib",
                "/usr/lib/x86_64-linux-gnu",
                "/usr/lib/aarch64-linux-gnu",
                "/opt/onnxruntime/lib",
                "/opt/homebrew/lib",
            ]
            .iter()
            .find_map(|folder| library_in(Path::new(folder)))
        })
        .ok_or_else(|| Error::Library(LibraryError::NotFound { inactive: inactive() }))
}

/// The environment variable that names the library.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The library in a folder: the highest version of `libonnxruntime.so*` (or `.dylib`, `.dll`).
fn library_in(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten().map(|e| e.path());
    entries
        .filter(|p| p.file_name().is_some_and(is_library) && p.is_file())
        .max_by_key(|p| (version(p), p.clone()))
}

fn is_library(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name == "libonnxruntime.so"
        || name.starts_with("libonnxruntime.so.")
        || name == "onnxruntime.dll"
        || (name.starts_with("libonnxruntime.") && name.ends_with(".dylib"))
}

/// The numbers in a file's name, which count as numbers: 1.9 comes before 1.31.
fn version(path: &Path) -> Vec<u64> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let numbers = name.split(|c: char| !c.is_ascii_digit());
    numbers.filter_map(|n| n.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::{find_library, library_in};

    #[test]
    fn a_named_file_must_exist() {
        let file = std::path::Path::new("/nowhere/libonnxruntime.so");
        let message = find_library(Some(file)).map_err(|e| e.to_string());
        assert!(matches!(message, Err(m) if m.contains("/nowhere") && m.contains("is not a file")));
    }

    #[test]
    fn a_named_file_is_no_bare_name_for_the_loader() {
        let found = find_library(Some(std::path::Path::new("Cargo.toml"))).unwrap();
        assert_eq!(
            found,
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")
        );
    }

    #[test]
    fn the_newest_library_of_a_folder_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "libonnxruntime.so.1.9.0",
            "libonnxruntime.so.1.30.0",
            "libonnxruntime.so.1.31.1",
            "libonnxruntime_providers_shared.so",
        ] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        std::fs::create_dir(folder.path().join("libonnxruntime.so.99")).unwrap();
        let found = library_in(folder.path()).unwrap();
        assert!(found.ends_with("libonnxruntime.so.1.31.1"), "{}", found.display());
    }
}
