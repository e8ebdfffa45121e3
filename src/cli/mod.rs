//! The command line.

mod args;
mod bench;
mod db;
mod doctor;
mod dynamic_args;
mod explain;
mod inspect;
mod interrupt;
mod main_job;
mod pareto;
mod plan;
mod planning_args;
mod profile;
mod screen;
mod setup;
mod shell;
mod source;
mod widths;

use std::process::ExitCode;

use clap::Parser;

use crate::Error;

/// Runs the command: 0 done; 1 nothing helps or a check failed; 2 error in use or input.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// The same for given arguments, the first of which is the command's name.
pub fn run(args: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let args = args::Args::parse_from(args);
    interrupt::listen();
    let done = match &args.command {
        Some(args::Command::Bench(bench)) => bench::run(bench),
        Some(args::Command::Explain(explain)) => explain::run(explain),
        Some(args::Command::Inspect(inspect)) => inspect::run(inspect),
        Some(args::Command::Profile(profile)) => profile::run(profile),
        Some(args::Command::Pareto(pareto)) => pareto::run(pareto),
        Some(args::Command::Plan(plan)) => plan::plan(plan),
        Some(args::Command::Apply(apply)) => plan::apply(apply),
        Some(args::Command::Widths(widths)) => widths::run(widths),
        Some(args::Command::Db(db)) => db::run(db),
        Some(args::Command::Doctor(doctor)) => doctor::run(doctor),
        Some(args::Command::Completions { shell }) => Ok(shell::completions(*shell)),
        Some(args::Command::Man { folder }) => shell::man(folder),
        None => match &args.main.model {
            Some(model) => main_job::run(model, &args.main),
            None => Err(Error::Usage(
                "name a model: snapprune MODEL.onnx (or see snapprune --help)".to_owned(),
            )),
        },
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(Error::Stopped) => {
            eprintln!("snapprune: {}", Error::Stopped);
            ExitCode::from(interrupt::INTERRUPTED)
        }
        Err(error) => {
            eprintln!("snapprune: {error}");
            ExitCode::from(2)
        }
    }
}
