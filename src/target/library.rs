//! Where ONNX Runtime's shared library is.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, Result};

/// Finds the library: the path given, `ORT_DYLIB_PATH`, an active or local virtual environment,
/// `python3`'s packages, then the system's library folders.
///
/// # Errors
/// When a named file is not there, or none is found; the message gives the command that installs one.
pub fn find_library(explicit: Option<&Path>) -> Result<PathBuf> {
    let named = explicit
        .map(|p| ("--ort-lib", p.to_path_buf()))
        .or_else(|| set("ORT_DYLIB_PATH").map(|p| ("ORT_DYLIB_PATH", PathBuf::from(p))));
    if let Some((source, path)) = named {
        return if path.is_file() {
            Ok(path)
        } else {
            Err(Error::Runtime(format!(
                "{source} names {}, which is not a file",
                path.display()
            )))
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
            ]
            .iter()
            .find_map(|folder| library_in(Path::new(folder)))
        })
        .ok_or_else(|| {
            Error::Runtime(
                "ONNX Runtime was not found. Install it with\n    \
                 python3 -m venv .venv && .venv/bin/pip install onnxruntime==1.31.1\n\
                 (on a GPU machine: onnxruntime-gpu[cuda,cudnn]==1.31.1), or name the library with --ort-lib"
                    .to_owned(),
            )
        })
}

/// Folders of Python packages: of an active or local virtual environment, then of `python3`.
pub(super) fn package_folders() -> impl Iterator<Item = PathBuf> {
    let mut environments: Vec<PathBuf> = Vec::new();
    environments.extend(set("VIRTUAL_ENV").map(PathBuf::from));
    environments.extend(set("CONDA_PREFIX").map(PathBuf::from));
    environments.push(PathBuf::from(".venv"));
    environments.push(PathBuf::from("venv"));
    let python = std::iter::once(()).flat_map(|()| python_packages());
    environments
        .into_iter()
        .flat_map(|root| site_packages(&root))
        .chain(python)
}

fn set(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|v| !v.is_empty())
}

fn site_packages(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.join("Lib/site-packages")];
    if let Ok(entries) = std::fs::read_dir(root.join("lib")) {
        found.extend(entries.flatten().map(|e| e.path().join("site-packages")));
    }
    found.sort();
    found
}

fn python_packages() -> Vec<PathBuf> {
    let script = "import site,sys;print('\\n'.join(site.getsitepackages()+[site.getusersitepackages()]+sys.path))";
    let output = Command::new("python3").args(["-c", script]).output();
    output.map_or_else(
        |_| Vec::new(),
        |o| String::from_utf8_lossy(&o.stdout).lines().map(PathBuf::from).collect(),
    )
}

/// The library in a folder: the highest version of `libonnxruntime.so*` (or `.dylib`, `.dll`).
fn library_in(folder: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|e| e.path())
        .filter(|p| {
            let name = p
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default();
            name.starts_with("libonnxruntime.so")
                || name == "onnxruntime.dll"
                || (name.starts_with("libonnxruntime.") && name.ends_with(".dylib"))
        })
        .collect();
    found.sort();
    found.pop()
}

#[cfg(test)]
mod tests {
    use super::{find_library, library_in};

    #[test]
    fn a_named_file_must_exist() {
        let missing = std::path::Path::new("/nowhere/libonnxruntime.so");
        let message = find_library(Some(missing)).map_err(|e| e.to_string());
        assert!(matches!(message, Err(m) if m.contains("--ort-lib") && m.contains("/nowhere")));
    }

    #[test]
    fn the_newest_library_of_a_folder_is_taken() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        for name in [
            "libonnxruntime.so.1.30.0",
            "libonnxruntime.so.1.31.1",
            "libonnxruntime_providers_shared.so",
        ] {
            std::fs::write(folder.path().join(name), b"")?;
        }
        let found = library_in(folder.path()).unwrap_or_default();
        assert!(found.ends_with("libonnxruntime.so.1.31.1"));
        Ok(())
    }
}
