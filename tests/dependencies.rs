//! What the project depends on: licences and sources, as `deny.toml` allows them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

fn packages() -> Vec<Value> {
    let done = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let found: Value = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&done.stderr)));
    found["packages"].as_array().unwrap().clone()
}

/// The licences that deny.toml allows.
fn allowed() -> BTreeSet<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml")).unwrap();
    let list = text.split("allow = [").nth(1).unwrap().split(']').next().unwrap();
    list.lines()
        .filter_map(|l| l.trim().strip_prefix('"')?.split('"').next().map(str::to_owned))
        .collect()
}

/// Whether an SPDX expression (with `/` as an old word for OR) can be met with these licences.
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let all = |term: &str| {
        term.split(" AND ").all(|part| {
            let part = part.trim();
            match part.strip_prefix('(').and_then(|p| p.strip_suffix(')')) {
                Some(inner) => is_met(inner, allowed),
                None => allowed.contains(part),
            }
        })
    };
    // Alternatives within brackets belong together.
    let mut depth = 0;
    let flat: String = expression
        .replace('/', " OR ")
        .chars()
        .map(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            if depth > 0 && c == ' ' { '\u{a0}' } else { c }
        })
        .collect();
    flat.split(" OR ").any(|term| all(&term.replace('\u{a0}', " ")))
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed_and_comes_from_the_registry() {
    let allowed = allowed();
    assert!(allowed.contains("MIT") && !allowed.contains("GPL-3.0"));
    let packages = packages();
    assert!(packages.len() > 100);
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(is_met(licence, &allowed), "{name}: {licence}");
        match package["source"].as_str() {
            Some(source) => assert_eq!(
                source, "registry+https://github.com/rust-lang/crates.io-index",
                "{name}"
            ),
            None => assert_eq!(name, "snapprune"),
        }
    }
}

#[test]
fn expressions_are_read_as_they_are_meant() {
    let allowed: BTreeSet<String> = ["MIT", "Unicode-3.0"].map(str::to_owned).into();
    for met in [
        "MIT",
        "MIT OR GPL-3.0",
        "GPL-3.0/MIT",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
    ] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for unmet in ["GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR LGPL-2.1) AND MIT", "none"] {
        assert!(!is_met(unmet, &allowed), "{unmet}");
    }
}

/// `1.95` as numbers.
fn version(text: &str) -> Vec<u64> {
    text.split(['.', '-']).map_while(|part| part.parse().ok()).collect()
}

#[test]
fn the_stated_rust_version_is_enough_and_is_the_one_that_builds_here() {
    let packages = packages();
    let own = packages.iter().find(|p| p["name"] == "snapprune").unwrap();
    let stated = version(own["rust_version"].as_str().unwrap());
    assert!(stated.len() >= 2);
    for package in &packages {
        if let Some(needs) = package["rust_version"].as_str() {
            assert!(version(needs) <= stated, "{} needs Rust {needs}", package["name"]);
        }
    }
    let compiler = Command::new("rustc").arg("--version").output().unwrap();
    let compiler = String::from_utf8(compiler.stdout).unwrap();
    let here = version(compiler.split_whitespace().nth(1).unwrap());
    assert!(here >= stated, "{compiler}");
    if std::env::var_os("CI").is_some() {
        assert_eq!(
            here[..2],
            stated[..2],
            "CI must build with the Rust version of Cargo.toml: {compiler}"
        );
    }
}
