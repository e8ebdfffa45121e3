//! Python environments whose packages bring shared libraries: those that are active, and that of `python3`. None is taken from the
//! current folder, and nothing that the current folder holds has a say in which are taken.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Folders of Python packages, absolute: of an active virtual environment, then of `python3`, which is asked last.
pub(super) fn package_folders() -> impl Iterator<Item = PathBuf> {
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(set);
    let active: Vec<PathBuf> = active.map(PathBuf::from).filter(|p| p.is_absolute()).collect();
    let python = std::iter::once(()).flat_map(|()| python_packages());
    active.into_iter().flat_map(|root| site_packages(&root)).chain(python)
}

/// A variable of the environment that says something.
pub(super) fn set(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|v| !v.is_empty())
}

/// A virtual environment that lies in the current folder, though nothing says that it is to be used.
pub(super) fn inactive() -> Option<String> {
    let names = [".venv", "venv", "env", ".env"].into_iter();
    let mut here = names.filter(|n| Path::new(n).join("bin/activate").is_file() || holds_runtime(Path::new(n)));
    let active = set("VIRTUAL_ENV").map(PathBuf::from).filter(|v| v.is_absolute());
    let active = active.and_then(|v| std::fs::canonicalize(v).ok());
    here.find(|n| active.is_none() || std::fs::canonicalize(n).ok() != active)
        .map(str::to_owned)
}

fn holds_runtime(root: &Path) -> bool {
    site_packages(root).iter().any(|s| s.join("onnxruntime").is_dir())
}

fn site_packages(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.join("Lib/site-packages")];
    if let Ok(entries) = std::fs::read_dir(root.join("lib")) {
        found.extend(entries.flatten().map(|e| e.path().join("site-packages")));
    }
    found.sort();
    found
}

/// Asked in isolated mode and in the root folder: Python puts the current folder before all others, and managers of Python
/// versions read files in it. What `PYTHONPATH` names is added, as far as it is absolute.
fn python_packages() -> Vec<PathBuf> {
    let script = "import site,sys;print('\\n'.join(site.getsitepackages()+[site.getusersitepackages()]+sys.path))";
    let mut found: Vec<PathBuf> = std::env::var_os("PYTHONPATH")
        .iter()
        .flat_map(std::env::split_paths)
        .collect();
    let output = on_path("python3").and_then(|python| {
        let mut command = Command::new(python);
        command.args(["-I", "-c", script]).current_dir("/").stdin(Stdio::null());
        command.output().ok()
    });
    let said = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    found.extend(said.iter().flat_map(|t| t.lines()).map(PathBuf::from));
    found.retain(|p| p.is_absolute());
    found
}

/// A Python interpreter: the one that `SNAPPRUNE_PYTHON` names, that of an active virtual environment, or `python3` in the folders of
/// `PATH`; absolute paths only.
pub fn python_interpreter() -> Option<PathBuf> {
    let named = set("SNAPPRUNE_PYTHON").map(PathBuf::from).filter(|p| p.is_absolute());
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(set);
    let programs = ["bin/python3", "bin/python", "Scripts/python.exe", "python.exe"];
    let of = |root: PathBuf| {
        programs
            .map(|program| root.join(program))
            .into_iter()
            .find(|p| is_program(p))
    };
    let mut active = active.map(PathBuf::from).filter(|p| p.is_absolute()).filter_map(of);
    named.or_else(|| active.next()).or_else(|| on_path("python3"))
}

/// A program in the folders of `PATH`, without those that depend on where this process was started.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&path).filter(|p| p.is_absolute());
    folders.map(|f| f.join(name)).find(|p| is_program(p))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// A library that the system's loader would take from where this process was started, in place of ONNX Runtime's or NVIDIA's own:
/// an empty or relative part of `LD_LIBRARY_PATH` has it look there.
pub(super) fn planted() -> Option<PathBuf> {
    let path = set("LD_LIBRARY_PATH")?;
    // The loader also takes `;` between folders.
    let folders = path
        .split([':', ';'])
        .map(|f| Path::new(if f.is_empty() { "." } else { f }));
    let entries = folders
        .filter(|f| f.is_relative())
        .filter_map(|f| std::fs::read_dir(f).ok());
    let mut files = entries.flatten().flatten();
    let loaded = |name: &str| name.contains(".so") && LOADED.iter().any(|l| name.starts_with(l));
    let found = files.find(|e| e.file_name().to_str().is_some_and(loaded))?;
    std::path::absolute(found.path()).ok()
}

/// How the names of the libraries begin that are loaded by name.
const LOADED: [&str; 4] = ["libcu", "libnv", "libonnxruntime", "libsnapprune"];
