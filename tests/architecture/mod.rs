//! What docs/architecture.md promises of the sources: the order of the modules, no circles, small files.

mod sources;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sources::Sources;
use tokens::{Token, tokens};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The longest file, in lines.
const LONGEST: usize = 350;

/// What the median of the files in `src` stays below, in lines.
const MEDIAN: usize = 130;

/// Where strings name flags: those of the command line, and those of NVIDIA's compiler.
const NAMES_FLAGS: &[&str] = &["src/cli/", "src/flags/", "src/fused/cuda.rs"];

/// The modules in the order that docs/architecture.md gives them in one line.
fn order() -> Vec<&'static str> {
    let text = include_str!("../../docs/architecture.md");
    let lines: Vec<&str> = text.lines().filter(|line| line.matches('→').count() > 5).collect();
    assert_eq!(lines.len(), 1, "one line tells the order of the modules: {lines:?}");
    lines[0].split('→').map(str::trim).collect()
}

/// The module in `src` that a file belongs to.
fn room(path: &str) -> &str {
    let first = path.split('/').next().unwrap();
    first.strip_suffix(".rs").unwrap_or(first)
}

#[test]
fn modules_use_only_those_before_them() {
    let order = order();
    let rank = |room: &str| {
        let rank = order.iter().position(|name| *name == room);
        rank.unwrap_or_else(|| panic!("docs/architecture.md does not order `{room}`"))
    };
    let sources = Sources::read(&Path::new(ROOT).join("src"));
    let mut backward = Vec::new();
    for (file, used) in sources.uses() {
        for other in used {
            if file != "lib.rs" && other != "lib.rs" && rank(room(file)) < rank(room(other)) {
                backward.push(format!("{file} uses {other}"));
            }
        }
    }
    assert!(backward.is_empty(), "against the order:\n{}", backward.join("\n"));
}

#[test]
fn files_do_not_use_one_another_in_circles() {
    let sources = Sources::read(&Path::new(ROOT).join("src"));
    let uses = sources.uses();
    let reached: BTreeMap<&str, BTreeSet<&str>> = uses.keys().map(|file| (*file, reached(&uses, file))).collect();
    let mut circles = BTreeMap::new();
    for (file, behind) in &reached {
        if behind.contains(file) {
            let together = behind.iter().filter(|other| reached[*other].contains(file));
            let circle: BTreeSet<&str> = together.copied().collect();
            let lines = circle.iter().map(|file| {
                let next: Vec<&str> = uses[file].intersection(&circle).copied().collect();
                format!("  {file} uses {}\n", next.join(", "))
            });
            circles.insert(circle.clone(), lines.collect::<String>());
        }
    }
    let text: Vec<String> = circles.into_values().collect();
    assert!(text.is_empty(), "circles:\n{}", text.join("\n"));
}

/// All files that a file uses, by way of others too.
fn reached<'a>(uses: &BTreeMap<&'a str, BTreeSet<&'a str>>, file: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = uses[file].iter().copied().collect();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(&uses[next]);
        }
    }
    found
}

#[test]
fn files_are_small() {
    let src = lengths("src");
    let all = src
        .iter()
        .chain(&lengths("tests"))
        .chain(&lengths("benches"))
        .cloned()
        .collect::<Vec<_>>();
    let long = all.iter().filter(|(_, lines)| *lines > LONGEST);
    let long: Vec<String> = long.map(|(file, lines)| format!("{lines} {file}")).collect();
    assert!(long.is_empty(), "longer than {LONGEST} lines:\n{}", long.join("\n"));

    let mut lines: Vec<usize> = src.iter().map(|(_, lines)| *lines).collect();
    lines.sort_unstable();
    let median = lines[lines.len() / 2];
    assert!(median < MEDIAN, "the median file of src has {median} lines");
}

#[test]
fn only_the_command_line_names_its_flags() {
    let mut found = Vec::new();
    for (file, _) in lengths("src") {
        if NAMES_FLAGS.iter().any(|place| file.starts_with(place)) {
            continue;
        }
        let text = std::fs::read_to_string(Path::new(ROOT).join(&file)).unwrap();
        for token in tokens(&text) {
            if let Token::Text(text) = token
                && names_a_flag(&text)
            {
                found.push(format!("{file}: {text}"));
            }
        }
    }
    assert!(
        found.is_empty(),
        "say it in plain words, and which flag helps in src/flags/hints.rs:\n{}",
        found.join("\n")
    );
}

/// Whether a string contains a word such as `--db`.
fn names_a_flag(text: &str) -> bool {
    let begins = |(at, _): (usize, &str)| {
        let before = text[..at].chars().next_back();
        let behind = text[at + 2..].chars().next();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '-') && behind.is_some_and(|c| c.is_ascii_lowercase())
    };
    text.match_indices("--").any(begins)
}

/// The Rust files of a folder with their numbers of lines.
fn lengths(folder: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![Path::new(ROOT).join(folder)];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.strip_prefix(ROOT).unwrap().to_str().unwrap().to_string();
            found.push((name, std::fs::read_to_string(&path).unwrap().lines().count()));
        }
    }
    found
}
