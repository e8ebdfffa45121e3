//! What is asked of the machine. Libraries and programs that lie in the current folder are not loaded: whoever unpacks a model there
//! would run its code. One process at a time takes times on a device.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use common::command::{model, snapprune};
use common::recorded::profile as recorded;
use snapprune::profile::Database;

/// A shared library that leaves a mark when it is loaded.
const MARKS: &str = "#include <stdlib.h>\n#include <fcntl.h>\n\
    __attribute__((constructor)) static void loaded(void) { open(getenv(\"PLANTED\"), O_CREAT | O_WRONLY, 0600); }\n";

/// A folder with planted libraries at `places`, beside a model.
fn folder(places: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("marks.c"), MARKS).unwrap();
    let mut build = Command::new("cc");
    build
        .args(["-shared", "-fPIC", "-o"])
        .arg(at("marks.so"))
        .arg(at("marks.c"));
    assert!(build.status().unwrap().success());
    for place in places {
        std::fs::create_dir_all(at(place).parent().unwrap()).unwrap();
        std::fs::copy(at("marks.so"), at(place)).unwrap();
    }
    std::fs::copy(model("shapes96.onnx"), at("model.onnx")).unwrap();
    folder
}

/// The command in a folder, as somebody would run it who has activated nothing; the exit status and what was said.
fn inspect(folder: &Path, set: &[(&str, &str)]) -> (Option<i32>, String) {
    let done = snapprune()
        .args(["inspect", "model.onnx"])
        .current_dir(folder)
        .env_remove("VIRTUAL_ENV")
        .env_remove("CONDA_PREFIX")
        .env_remove("ORT_DYLIB_PATH")
        .env("PLANTED", folder.join("loaded"))
        .envs(set.iter().copied())
        .output()
        .unwrap();
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

const RUNTIME: &str = "onnxruntime/capi/libonnxruntime.so.1.99.9";

#[test]
fn a_library_in_the_current_folder_is_not_loaded() {
    let site = |root: &str| format!("{root}/lib/python3.11/site-packages/{RUNTIME}");
    let (hidden, plain) = (site(".venv"), site("venv"));
    let clean = folder(&[]);
    let folder = folder(&[
        &hidden,
        &plain,
        RUNTIME,
        "libonnxruntime.so",
        "lib/libonnxruntime.so",
        "libcuda.so.1",
    ]);
    for program in ["python3", "bin/python3"] {
        let file = folder.path().join(program);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "#!/bin/sh\ntouch \"$PLANTED\"\n").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    }
    for module in [
        "site.py",
        "sys.py",
        "sitecustomize.py",
        "usercustomize.py",
        "encodings.py",
    ] {
        std::fs::write(
            folder.path().join(module),
            "import os\nopen(os.environ['PLANTED'], 'w')\n",
        )
        .unwrap();
    }
    let path = format!(":.:bin:{}", std::env::var("PATH").unwrap());
    let loaded = || folder.path().join("loaded").exists();
    for set in [
        &[][..],
        &[("PATH", "")],
        &[("PATH", path.as_str()), ("PYTHONPATH", ":.")],
        // Somebody set it by hand; what is active has an absolute path.
        &[("VIRTUAL_ENV", ".venv"), ("CONDA_PREFIX", "venv")],
    ] {
        let (code, said) = inspect(folder.path(), set);
        assert!(!loaded(), "{set:?}: {said}");
        // What is planted changes nothing.
        assert_eq!(code, inspect(clean.path(), set).0, "{set:?}: {said}");
    }
    // Whoever names it gets it: the mark is left when one is loaded.
    let named = folder.path().join(RUNTIME);
    let done = snapprune()
        .args(["inspect", "model.onnx", "--ort-lib"])
        .arg(&named)
        .current_dir(folder.path())
        .env("PLANTED", folder.path().join("loaded"))
        .output()
        .unwrap();
    assert!(done.status.code() == Some(2) && loaded(), "{done:?}");
}

#[test]
fn an_environment_in_the_current_folder_can_be_activated() {
    let folder = folder(&[]);
    let bin = folder.path().join(".venv/bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::write(bin.join("activate"), "").unwrap();
    let (code, said) = inspect(folder.path(), &[("PATH", "")]);
    assert_eq!(
        code,
        Some(2),
        "ONNX Runtime lies in a folder of the system here: {said}"
    );
    assert!(said.contains(". .venv/bin/activate"), "{said}");
}

#[test]
fn an_active_environment_may_lie_anywhere() {
    let folder = folder(&[]);
    let site = folder
        .path()
        .join(".venv/lib/python3.11/site-packages/onnxruntime/capi");
    std::fs::create_dir_all(&site).unwrap();
    let library = std::fs::canonicalize(&common::runtime().library).unwrap();
    std::os::unix::fs::symlink(&library, site.join(library.file_name().unwrap())).unwrap();
    let environment = folder.path().join(".venv");
    let (code, said) = inspect(
        folder.path(),
        &[("VIRTUAL_ENV", environment.to_str().unwrap()), ("PATH", "")],
    );
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn the_loaders_path_may_not_name_the_current_folder() {
    let folder = folder(&["libcuda.so.1"]);
    for path in [":/nowhere", "/nowhere:", "/nowhere::/elsewhere", ".", "../nowhere:."] {
        let (code, said) = inspect(folder.path(), &[("LD_LIBRARY_PATH", path)]);
        assert_eq!(code, Some(2), "{path}: {said}");
        assert!(
            said.contains("LD_LIBRARY_PATH") && said.contains("libcuda.so.1"),
            "{said}"
        );
        assert!(!folder.path().join("loaded").exists(), "{path}");
    }
}

/// A folder of locks with the CPU's in it, and a model.
struct Locks(tempfile::TempDir);

impl Locks {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(model("shapes96.onnx"), folder.path().join("model.onnx")).unwrap();
        let constraints = Self(folder);
        assert_eq!(constraints.run(BENCH), (Some(0), String::new()));
        constraints
    }

    fn file(&self) -> PathBuf {
        let files = std::fs::read_dir(self.0.path().join("locks")).unwrap();
        let files: Vec<PathBuf> = files.map(|f| f.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snapprune"));
        command
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .env(
                "ORT_DYLIB_PATH",
                std::fs::canonicalize(&common::runtime().library).unwrap(),
            )
            .env("XDG_CACHE_HOME", self.0.path().join("cache"))
            .env("SNAPPRUNE_LOCKS", self.0.path().join("locks"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// The exit status and standard error.
    fn run(&self, line: &str) -> (Option<i32>, String) {
        let done = self.command(line).output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    }

    /// A command that has said a line; what it says later goes unheard, but it can say it.
    fn said(&self, line: &str) -> (Child, BufReader<ChildStderr>, String) {
        let mut child = self.command(line).spawn().unwrap();
        let mut reader = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        reader.read_line(&mut said).unwrap();
        (child, reader, said)
    }
}

const BENCH: &str = "bench model.onnx --cpu --threads 1 --seconds 0.01";

#[test]
fn whoever_times_has_the_device_for_itself() {
    let constraints = Locks::new();
    let held = File::open(constraints.file()).unwrap();
    held.lock().unwrap();
    for line in [
        BENCH,
        "model.onnx --cpu --threads 1",
        "plan model.onnx -o plan.json --cpu --threads 1",
        "pareto model.onnx --cpu --threads 1",
        "profile model.onnx --cpu --threads 1",
        "zoo model.onnx --out zoo --cpu --threads 1",
    ] {
        let (code, said) = constraints.run(&format!("{line} --no-wait"));
        assert_eq!(code, Some(2), "{line}: {said}");
        assert!(said.contains(&format!("pid {}", std::process::id())), "{line}: {said}");
        assert!(said.contains("--no-wait was given"), "{line}: {said}");
    }
    // These time nothing.
    recorded(constraints.0.path());
    std::fs::copy(model("shapes96_misaligned.onnx"), constraints.0.path().join("off.onnx")).unwrap();
    Database::open(&constraints.0.path().join("own.db")).unwrap();
    for line in [
        "inspect model.onnx",
        "verify model.onnx model.onnx --cpu --threads 1",
        "db ls --db own.db",
        "off.onnx --profile profile.json --no-wait",
    ] {
        let (code, said) = constraints.run(line);
        assert_eq!(code, Some(0), "{line}: {said}");
        assert!(!said.contains("waits for"), "{line}: {said}");
    }
    // Nor has anything taken a turn on another device.
    constraints.file();
}

#[test]
fn a_wait_for_the_device_ends_with_it_or_with_ctrl_c() {
    let constraints = Locks::new();
    let held = File::open(constraints.file()).unwrap();
    held.lock().unwrap();
    for signal in ["-INT", "-TERM"] {
        let (mut child, _reader, said) = constraints.said(BENCH);
        assert!(said.contains("waits for another snapprune"), "{said}");
        let kill = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
    }
    let (mut waiting, _reader, _) = constraints.said(BENCH);
    held.unlock().unwrap();
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
}

#[test]
fn who_is_killed_leaves_the_device_free() {
    let constraints = Locks::new();
    let file = File::open(constraints.file()).unwrap();
    let mut holder = constraints
        .command("bench model.onnx --cpu --threads 1 --seconds 600")
        .spawn()
        .unwrap();
    while file.try_lock().is_ok() {
        file.unlock().unwrap();
        assert!(holder.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(constraints.run(&format!("{BENCH} --no-wait")).0, Some(0));
}
