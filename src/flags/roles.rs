//! Every flag of the main job has its role, and Python has the arguments that the roles say.

use clap::CommandFactory;

use super::command_line::CommandLine;
use crate::zoo::{FlagRole, ROLES};

/// The long names of the main job's flags, in order.
fn names() -> Vec<String> {
    let command = CommandLine::command();
    let longs = command.get_arguments().filter_map(|a| a.get_long());
    let mut names: Vec<String> = longs
        .filter(|n| !["help", "version"].contains(n))
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names
}

/// The arguments of `snapprune.optimize`, as flags.
fn keywords() -> Vec<String> {
    let text = include_str!("../python/snapprune/_jobs.py");
    let text = text.split_once("def optimize(").unwrap().1;
    let text = text.split_once("*,\n").unwrap().1.split_once(") ->").unwrap().0;
    let name = |line: &str| Some(line.trim().split_once(':')?.0.replace('_', "-"));
    let plural = |name: String| match name.as_str() {
        "shapes" | "dims" | "ep-options" => name.trim_end_matches('s').to_owned(),
        _ => name,
    };
    let mut names: Vec<String> = text.lines().filter_map(name).map(plural).collect();
    names.retain(|n| n != "progress");
    names.sort_unstable();
    names
}

fn sorted(rows: impl Iterator<Item = &'static (&'static str, &'static [FlagRole])>) -> Vec<String> {
    let mut names: Vec<String> = rows.map(|(n, _)| (*n).to_owned()).collect();
    names.sort_unstable();
    names
}

#[test]
fn every_flag_has_its_role_once() {
    assert_eq!(sorted(ROLES.iter()), names());
}

#[test]
fn python_has_the_arguments_that_the_roles_say() {
    let python = ROLES.iter().filter(|(_, roles)| roles.contains(&FlagRole::Python));
    assert_eq!(sorted(python), keywords());
}
