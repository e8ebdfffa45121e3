//! The command line.

pub(crate) mod args;
mod bench;
mod db;
mod doctor;
mod dynamic_args;
mod explain;
mod inspect;
mod interrupt;
pub(crate) mod main_job;
mod pareto;
pub(crate) mod plan;
mod planning_args;
pub(crate) mod profile;
mod screen;
mod setup;
mod shell;
mod sink;
mod source;
mod widths;

use std::process::ExitCode;

use clap::Parser;

use crate::Error;
#[cfg(feature = "python")]
pub(crate) use source::Source;

/// Runs the command: 0 done; 1 nothing helps or a check failed; 2 error in use or input.
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

/// The same for given arguments, the first of which is the command's name.
pub fn run(args: impl Iterator<Item = std::ffi::OsString>) -> u8 {
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
        Ok(true) => 0,
        Ok(false) => 1,
        Err(Error::Stopped) => {
            eprintln!("snapprune: {}", Error::Stopped);
            interrupt::INTERRUPTED
        }
        Err(error) => {
            eprintln!("snapprune: {error}");
            error.next_step().iter().for_each(|step| eprintln!("  → {step}"));
            2
        }
    }
}
