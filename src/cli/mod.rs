//! The command line.

pub(crate) mod args;
mod bench;
mod db;
mod device_context;
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
mod save_args;
mod screen;
mod setup;
mod shell;
mod sink;
mod source;
mod turn_args;
mod verify;
mod widths;
mod work_args;
pub(crate) mod zoo;

use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{CommandFactory, FromArgMatches};

use crate::Error;
use crate::zoo::Program;
#[cfg(feature = "python")]
pub(crate) use device_context::DeviceContext;
#[cfg(feature = "python")]
pub(crate) use source::ModelSource;

/// How this program is called, where it is not a program of its own.
static CALLED: OnceLock<Program> = OnceLock::new();

/// Says how worker processes are started.
#[cfg(feature = "python")]
pub(crate) fn called_as(program: Program) {
    // Said once for all; a second time says the same.
    let _ = CALLED.set(program);
}

/// How worker processes are started.
pub(crate) fn program() -> Program {
    CALLED.get().cloned().unwrap_or_else(zoo::this_program)
}

/// Runs the command: 0 done; 1 nothing helps or a check failed; 2 error in use or input.
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

/// The same for given arguments, the first of which is the command's name.
pub fn run(args: impl Iterator<Item = std::ffi::OsString>) -> u8 {
    let args: Vec<std::ffi::OsString> = args.collect();
    let words = args.iter().skip(1).map(|word| word.to_string_lossy().into_owned());
    let command = main_job::command(words);
    let matches = args::Args::command().get_matches_from(args);
    let args = match args::Args::from_arg_matches(&matches) {
        Ok(args) => args,
        Err(error) => error.exit(),
    };
    // Commands that only tell something end with their reader; those that write files, and a zoo's driver, outlive it.
    let tells = matches!(
        &args.command,
        Some(
            args::Command::Inspect(_)
                | args::Command::Explain(_)
                | args::Command::Bench(_)
                | args::Command::Verify(_)
                | args::Command::Widths(_)
                | args::Command::Db(_)
                | args::Command::Doctor(_)
                | args::Command::Completions { .. }
        )
    );
    if tells {
        interrupt::end_with_reader();
    }
    interrupt::listen();
    let status = |done: bool| u8::from(!done);
    let done = match &args.command {
        Some(args::Command::Bench(bench)) => bench::run(bench),
        Some(args::Command::Explain(explain)) => explain::run(explain),
        Some(args::Command::Inspect(inspect)) => inspect::run(inspect),
        Some(args::Command::Profile(profile)) => profile::run(profile),
        Some(args::Command::Pareto(pareto)) => pareto::run(pareto),
        Some(args::Command::Plan(plan)) => plan::plan(plan),
        Some(args::Command::Apply(apply)) => plan::apply(apply),
        Some(args::Command::Zoo(zoo)) => match zoo::run(zoo, matches.subcommand_matches("zoo").unwrap_or(&matches)) {
            Ok(status) => return status,
            Err(error) => Err(error),
        },
        Some(args::Command::ZooWorker(_)) => zoo::work(),
        Some(args::Command::Verify(verify)) => verify::run(verify),
        Some(args::Command::Widths(widths)) => widths::run(widths),
        Some(args::Command::Db(db)) => db::run(db),
        Some(args::Command::Doctor(doctor)) => doctor::run(doctor),
        Some(args::Command::Completions { shell }) => Ok(shell::completions(*shell)),
        Some(args::Command::Man { folder }) => shell::man(folder),
        None => match &args.main.model {
            Some(model) => main_job::run(model, &args.main, &command),
            None => Err(Error::Usage(
                "name a model: snapprune MODEL.onnx (or see snapprune --help)".to_owned(),
            )),
        },
    };
    match done {
        Ok(done) => status(done),
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
