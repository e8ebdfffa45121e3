//! The command line.

mod apply;
mod bench;
#[cfg(unix)]
mod crash;
mod db;
mod doctor;
mod explain;
mod inspect;
mod interrupt;
mod main_job;
mod pareto;
mod plan;
mod play;
mod profile;
mod requests;
mod screen;
mod shell;
mod sink;
mod stdout;
mod unanswered;
mod verify;
mod video;
mod widths;
mod zoo;
mod zoo_worker;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::Error;
use crate::flags::{Command, CommandLine, hint, typed};
use crate::jobs::{Program, serve_job};
use crate::report::visible;

/// Runs the command: 0 done; 1 nothing helps or a check failed; 2 error in use or input.
pub fn main() -> ExitCode {
    if let Ok(path) = std::env::current_exe() {
        Program { path, args: Vec::new() }.set_current();
    }
    ExitCode::from(run(std::env::args_os()))
}

/// The same for given arguments, the first of which is the command's name.
pub fn run(args: impl Iterator<Item = std::ffi::OsString>) -> u8 {
    let status = command(args);
    #[cfg(unix)]
    crash::done();
    status
}

fn command(args: impl Iterator<Item = std::ffi::OsString>) -> u8 {
    let args: Vec<std::ffi::OsString> = args.collect();
    let words = args.iter().skip(1).map(|word| word.to_string_lossy().into_owned());
    let command = typed(words);
    let matches = match CommandLine::command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(said) => return shown(&said),
    };
    let args = match CommandLine::from_arg_matches(&matches) {
        Ok(args) => args,
        Err(said) => return shown(&said),
    };
    // Commands that only tell something end with their reader; those that write files, and a zoo's driver, outlive it.
    let tells = matches!(
        &args.command,
        Some(
            Command::Inspect(_)
                | Command::Explain(_)
                | Command::Bench(_)
                | Command::Verify(_)
                | Command::Widths(_)
                | Command::Db(_)
                | Command::Doctor(_)
                | Command::Completions { .. }
        )
    );
    if tells {
        interrupt::end_with_reader();
    }
    interrupt::listen();
    unanswered::watch(match &args.command {
        Some(Command::ZooWorker(_)) => zoo_worker::failed,
        _ => told,
    });
    // A zoo reads from a worker's end what ended it.
    #[cfg(unix)]
    if !matches!(&args.command, Some(Command::ZooWorker(_) | Command::ProbeWorker(_))) {
        crash::tell(plugin(&matches));
    }
    let status = |done: bool| u8::from(!done);
    let done = match &args.command {
        Some(Command::Bench(bench)) => bench::run(bench),
        Some(Command::Explain(explain)) => explain::run(explain),
        Some(Command::Inspect(inspect)) => inspect::run(inspect),
        Some(Command::Profile(profile)) => profile::run(profile),
        Some(Command::Pareto(pareto)) => pareto::run(pareto),
        Some(Command::Play(play)) => play::run(play),
        Some(Command::Plan(plan)) => plan::run(plan),
        Some(Command::Apply(apply)) => apply::run(apply),
        Some(Command::Zoo(zoo)) => match zoo::run(zoo, matches.subcommand_matches("zoo").unwrap_or(&matches)) {
            Ok(status) => return status,
            Err(error) => Err(error),
        },
        Some(Command::ZooWorker(_)) => zoo_worker::run(),
        Some(Command::ProbeWorker(_)) => {
            let asked = requests::requests().into_iter();
            serve_job(asked, std::io::stdout(), interrupt::stop()).map(|()| true)
        }
        Some(Command::Verify(verify)) => verify::run(verify),
        Some(Command::Widths(widths)) => widths::run(widths),
        Some(Command::Db(db)) => db::run(db),
        Some(Command::Doctor(doctor)) => doctor::run(doctor),
        Some(Command::Completions { shell }) => shell::completions(*shell),
        Some(Command::Man { folder }) => shell::man(folder),
        None => match &args.main.model {
            Some(model) => main_job::run(model, &args.main, &command),
            None => Err(Error::Usage(
                "name a model: snapprune MODEL.onnx (or see snapprune --help)".to_owned(),
            )),
        },
    };
    match done {
        Ok(done) => status(done),
        Err(error) => told(&error),
    }
}

/// Says what ended the command, and what to do about it; the exit status.
fn told(error: &Error) -> u8 {
    eprintln!("snapprune: {}", visible(&error.to_string()));
    hint(error).iter().for_each(|step| eprintln!("  → {}", visible(step)));
    match error {
        Error::Stopped => interrupt::INTERRUPTED,
        _ => 2,
    }
}

/// The plug-in that a command is to use.
#[cfg(unix)]
fn plugin(matches: &clap::ArgMatches) -> Option<&str> {
    let own = matches.subcommand().map_or(matches, |(_, own)| own);
    let named = |id| own.try_get_one::<String>(id).ok().flatten();
    named("ep_name").or_else(|| named("ep")).map(String::as_str)
}

/// Shows the help, the version, or what is wrong with the flags; the exit status.
fn shown(said: &clap::Error) -> u8 {
    match said.print().and_then(|()| std::io::stdout().flush()) {
        // A reader that has seen enough is no failure.
        Err(error) if !said.use_stderr() && error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("snapprune: {}", Error::file("standard output", error));
            2
        }
        _ => u8::try_from(said.exit_code()).unwrap_or(2),
    }
}
