//! Every command that the README and the documentation show, run as it is written, in a folder that has the files it names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod given;

use crate::common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::command::{model, python, snapprune};
use given::{camera, lines, pictures, samples, small};
use snapprune::onnx::encode;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The README and the pages, by name.
fn pages() -> Vec<(String, String)> {
    let mut files = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    let docs = std::fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|e| e.unwrap().path());
    files.extend(docs.filter(|p| p.extension().is_some_and(|e| e == "md")));
    files.sort();
    let page = |p: PathBuf| {
        (
            p.file_name().unwrap().to_string_lossy().into_owned(),
            std::fs::read_to_string(&p).unwrap(),
        )
    };
    files.into_iter().map(page).collect()
}

/// Lines of code blocks that begin like a command, without their remarks.
fn commands(text: &str) -> Vec<String> {
    const KNOWN: [&str; 9] = [
        "snapprune",
        "make",
        "pip",
        "python",
        "olive",
        "bash",
        "cat",
        "cargo",
        "PYTHONPATH=examples/olive",
    ];
    let lines = text.lines().filter_map(|l| l.strip_prefix("    "));
    let bare = lines.map(|l| l.split("  #").next().unwrap_or_default().trim().to_owned());
    bare.filter(|l| l.split_whitespace().next().is_some_and(|w| KNOWN.contains(&w)))
        .collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    let prose: Vec<&str> = text
        .lines()
        .filter(|l| !l.starts_with("    ") && !l.starts_with("```"))
        .collect();
    prose
        .join("\n")
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|s| s.replace('\n', " "))
        .collect()
}

/// A folder with the files that the pages name.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::write(place.at("model.onnx"), encode(&small())).unwrap();
        lines(place.0.path());
        samples(&place.at("samples.npz"), 40, 1);
        samples(&place.at("test.npz"), 24, 2);
        std::fs::create_dir(place.at("models")).unwrap();
        std::fs::copy(place.at("model.onnx"), place.at("models/model.onnx")).unwrap();
        pictures(place.0.path());
        camera(place.0.path());
        std::fs::copy(
            root().join("models/video_scenes.py"),
            place.at("models/video_scenes.py"),
        )
        .unwrap();
        std::os::unix::fs::symlink(root().join("examples"), place.at("examples")).unwrap();
        // Two files that only a gain makes, for a recorded device on which a model has one.
        let recorded = common::recorded::profile(place.0.path());
        let off = model("shapes96_misaligned.onnx");
        let made = |args: &[&str]| {
            let file = if args.is_empty() { "off.snap.onnx" } else { "off.json" };
            let mut command = snapprune();
            command
                .args(args)
                .arg(&off)
                .arg("--profile")
                .arg(&recorded)
                .arg("-o")
                .arg(place.at(file));
            let done = command.arg("--db").arg(place.at("off.db")).output().unwrap();
            assert_eq!(done.status.code(), Some(0), "{done:?}");
        };
        made(&[]);
        made(&["plan"]);
        std::fs::copy(off, place.at("off.onnx")).unwrap();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a line as a shell does; its exit status and what it said.
    fn run(&self, line: &str) -> (Option<i32>, String) {
        let binaries = Path::new(env!("CARGO_BIN_EXE_snapprune")).parent().unwrap();
        let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
        let done = Command::new("bash")
            .args(["-c", line])
            .current_dir(&self.0)
            .env("PATH", path)
            .env("XDG_CACHE_HOME", self.at("cache"))
            .env("SNAPPRUNE_PYTHON", python())
            .env(
                "ORT_DYLIB_PATH",
                std::fs::canonicalize(&common::runtime().library).unwrap(),
            )
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
        (done.status.code(), said)
    }
}

/// Whether a command needs a model with a gain.
fn needs_a_gain(line: &str) -> bool {
    let commands = ["apply", "explain", "bench", "verify"];
    commands.iter().any(|c| line.starts_with(&format!("snapprune {c}")))
}

/// A line as it is run here: on the processor, on the model that has a gain where one is needed, and with little time for what is only
/// measured.
fn resolved(line: &str) -> String {
    let Some(rest) = line.strip_prefix("snapprune ") else {
        return line.to_owned();
    };
    let here = line
        .replace("--gpu 0", "--gpu 1")
        .replace("--gpu 1", "--cpu --threads 1");
    if needs_a_gain(line) {
        return here.replace("model.", "off.").replace("plan.json", "off.json");
    }
    let optimizes = ["model.onnx", "plan ", "pareto ", "zoo "]
        .iter()
        .any(|c| rest.starts_with(c));
    match optimizes && !here.contains("--time-budget") {
        true => format!("{here} --time-budget 2s"),
        false => here,
    }
}

/// Runs one command of a page.
fn checked(place: &Place, line: &str) {
    let first = line.split_whitespace().next().unwrap();
    match first {
        "make" => {
            let done = Command::new("make")
                .current_dir(root())
                .arg("-n")
                .args(line.split_whitespace().skip(1))
                .output();
            assert!(done.unwrap().status.success(), "{line}");
        }
        // Installed and tried by the tests in tests/python.
        "pip" => {
            let extra = line
                .split_once('[')
                .and_then(|(_, r)| r.split_once(']'))
                .map(|(e, _)| e.to_owned());
            let project = std::fs::read_to_string(root().join("pyproject.toml")).unwrap();
            for extra in extra.unwrap().split(',') {
                assert!(project.contains(&format!("\n{extra} = [")), "{line}");
            }
        }
        "python" => {
            let script = line.split_whitespace().nth(1).unwrap();
            if script == "-m" {
                // Of the package, whose own tests run it.
                let name = line.split_whitespace().nth(2).unwrap().replace('.', "/");
                assert!(root().join(format!("src/python/{name}.py")).is_file(), "{line}");
                return;
            }
            let (code, said) = match place.run("python3 -c 'import torchvision, onnxscript, snapprune'").0 {
                Some(0) => place.run(&line.replacen("python", "python3", 1)),
                _ => place.run(&format!(
                    "python3 -c 'import ast; ast.parse(open(\"{script}\").read())'"
                )),
            };
            assert_eq!(code, Some(0), "{line}: {said}");
        }
        "PYTHONPATH=examples/olive" => {
            if place.run("command -v olive").0 == Some(0) {
                let (code, said) = place.run(&format!("cd '{}' && {line}", root().display()));
                assert_eq!(code, Some(0), "{line}: {said}");
            }
            for word in line.split_whitespace().filter(|w| w.ends_with(".json")) {
                let text = std::fs::read_to_string(root().join(word)).unwrap();
                assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{word}");
            }
        }
        _ => {
            let (code, said) = place.run(line);
            let fine = match needs_a_gain(line) {
                true => vec![Some(0)],
                false => vec![Some(0), Some(1)],
            };
            assert!(fine.contains(&code), "{line}: {code:?} {said}");
            assert!(!said.contains("panicked"), "{line}: {said}");
        }
    }
}

#[test]
fn every_command_of_the_pages_runs() {
    let mut lines = BTreeSet::new();
    for (name, text) in pages() {
        let found = commands(&text);
        println!("{name}: {} commands", found.len());
        lines.extend(found);
    }
    assert!(lines.len() > 30, "{lines:?}");
    let place = Place::new();
    // Files that one command writes and another reads come first.
    let lines: BTreeSet<String> = lines.iter().map(|l| resolved(l)).collect();
    let (first, rest): (Vec<_>, Vec<_>) = lines.into_iter().partition(|l| l.starts_with("snapprune profile"));
    for line in first.iter().chain(&rest) {
        let start = std::time::Instant::now();
        checked(&place, line);
        println!("{:5.1} s  {line}", start.elapsed().as_secs_f64());
    }
}

#[test]
fn commands_and_flags_in_the_text_exist() {
    let help = |args: &[&str]| {
        let done = snapprune().args(args).arg("--help").output().unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    let main = help(&[]);
    let commands: Vec<&str> = main
        .lines()
        .skip_while(|l| !l.starts_with("Commands:"))
        .skip(1)
        .take_while(|l| l.starts_with("  "))
        .filter_map(|l| {
            l.strip_prefix("  ")?
                .split_whitespace()
                .next()
                .filter(|w| w.starts_with(char::is_alphabetic))
        })
        .collect();
    assert!(
        commands.contains(&"doctor") && commands.contains(&"bench"),
        "{commands:?}"
    );
    let every: String = commands
        .iter()
        .filter(|c| **c != "help")
        .map(|c| help(&[c]))
        .collect::<String>()
        + &main;
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for (page, text) in pages() {
        for code in quoted(&text) {
            let words: Vec<&str> = code.split_whitespace().collect();
            for word in words.iter().filter(|w| w.starts_with("--") && w.len() > 2) {
                let flag: String = word
                    .chars()
                    .take_while(|c| c.is_ascii_lowercase() || *c == '-')
                    .collect();
                let overhead = ["--bench", "--example", "--release", "--test", "--ray"];
                assert!(
                    every.contains(&flag) || overhead.contains(&flag.as_str()),
                    "{page}: {code}: no flag {flag}"
                );
            }
            match words.as_slice() {
                ["snapprune", command, ..] if command.chars().all(|c| c.is_ascii_lowercase()) => {
                    assert!(commands.contains(command), "{page}: {code}");
                }
                ["cargo", "bench", "--bench", name, ..] => {
                    assert!(manifest.contains(&format!("name = \"{name}\"")), "{page}: {code}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn the_changelog_has_a_section_for_the_version() {
    let text = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        text.lines().any(|l| l.split(' ').take(2).eq(["##", version])),
        "CHANGELOG.md has no `## {version}`"
    );
}

#[test]
fn links_lead_to_files() {
    for (page, text) in pages() {
        let folder = if ["README.md", "CONTRIBUTING.md"].contains(&page.as_str()) {
            root()
        } else {
            root().join("docs")
        };
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')').map(|(t, _)| t));
        for device in targets.filter(|t| !t.starts_with("http")) {
            let file = device.split('#').next().unwrap_or_default();
            assert!(folder.join(file).exists(), "{page}: {device}");
        }
    }
}
