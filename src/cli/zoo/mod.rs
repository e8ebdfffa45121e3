//! `snapprune zoo MODELS --out DIR`.

mod args;
mod flags;
mod worker;

use std::path::{Path, PathBuf};

use clap::ArgMatches;

pub use args::{WorkerArgs, ZooArgs};
pub(super) use worker::run as work;

use super::interrupt;
use super::screen::Screen;
use crate::device::Stop;
use crate::onnx::save;
use crate::optimize::ProgressReporter;
use crate::profile::Database;
use crate::zoo::{
    Engine, Flags, Item, JournalEntry, Local, Phase, Program, Setup, Zoo, csv, find, page, run as run_zoo,
    text as zoo_text,
};
use crate::{Error, Result};

/// The exit status.
pub(super) fn run(args: &ZooArgs, matches: &ArgMatches) -> Result<u8> {
    let talk = !args.quiet && !args.json;
    let screen = Screen::new(args.quiet);
    let told = |entry: &JournalEntry| {
        if talk {
            screen.aside(&|| println!("{}", zoo_text::line(entry)));
        }
    };
    let engine = local(args, interrupt::stop());
    let asked = asked(args, matches)?;
    let zoo = zoo(args, asked, &engine, interrupt::stop(), &screen, &told)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&zoo.summary).unwrap_or_default());
    }
    if talk {
        print!("{}", zoo_text::totals(&zoo.summary, zoo.skipped));
        println!("written   {}", args.out.join("zoo.html").display());
    }
    Ok(zoo.code as u8)
}

/// What is asked for: the models, and the flags for all of them.
pub(crate) struct Asked {
    pub items: Vec<Item>,
    pub flags: Flags,
    /// The address of an object store for what is written, where the engine knows such addresses.
    pub destination: Option<String>,
}

/// Finds the models and checks all flags, before anything is begun.
///
/// # Errors
/// When there are none, or flags are wrong.
pub(crate) fn asked(args: &ZooArgs, matches: &ArgMatches) -> Result<Asked> {
    let mut flags = flags::given(matches);
    if !flags.0.contains_key("profile") && args.plan_only && args.work.goals.goals().any() {
        let what =
            "--plan-only writes plans from known times, and goals are reached by measuring: leave out one of them";
        return Err(Error::Usage(what.to_owned()));
    }
    // Pictures are for those who look at one model.
    flags.0.insert("staircases".to_owned(), vec!["0s".to_owned()]);
    if let Some(when) = args.work.store.remeasure {
        // One moment for all processes: what one of them has timed since is known to the others.
        flags = flags.and("remeasure", when.to_string());
    }
    let items = find(&args.models, &args.out)?;
    items.iter().try_for_each(|i| flags::check(i, &flags))?;
    let destination = None;
    Ok(Asked {
        items,
        flags,
        destination,
    })
}

/// This machine's processes.
pub(crate) fn local(args: &ZooArgs, stop: &Stop) -> Local {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Local::new(
        super::program(),
        args.gpus.clone(),
        args.jobs.unwrap_or(cores),
        args.isolate,
        stop.clone(),
    )
}

/// Does the zoo and writes its report.
///
/// # Errors
/// When nothing can be written, the device is not there, or it is asked to stop.
pub(crate) fn zoo(
    args: &ZooArgs,
    asked: Asked,
    engine: &dyn Engine,
    stop: &Stop,
    reporter: &(dyn ProgressReporter + Sync),
    told: &(dyn Fn(&JournalEntry) + Sync),
) -> Result<Zoo> {
    let mut phases = args.phase.clone();
    phases.sort_unstable();
    phases.dedup();
    if phases.is_empty() {
        phases = vec![Phase::Collect, Phase::Profile, Phase::Apply];
    }
    if phases == [Phase::Collect, Phase::Apply] {
        return Err(Error::Usage(
            "--phase collect,apply leaves out the one between them; leave out --phase, or do one phase at a time"
                .to_owned(),
        ));
    }
    let mut flags = asked.flags;
    let db = flags.0.remove("db").and_then(|v| v.last().map(PathBuf::from));
    let db = db.or_else(|| match args.shard.count {
        1 => Database::default_path(),
        // Machines do not share a database file; what they time goes round as text.
        n => Some(args.out.join("times").join(format!("{}-of-{n}.db", args.shard.index))),
    });
    let db = db.unwrap_or_else(|| args.out.join("latency.db"));
    let setup = Setup {
        items: asked.items,
        out: args.out.clone(),
        destination: asked.destination,
        flags,
        db,
        phases,
        shard: args.shard,
        timeout: args.timeout,
        retry_failed: args.retry_failed,
        plan_only: args.plan_only,
        stop,
    };
    let zoo = run_zoo(&setup, engine, reporter, told)?;
    write(&args.out, &zoo)?;
    Ok(zoo)
}

/// The report: for programs, for spreadsheets, for people.
fn write(out: &Path, zoo: &Zoo) -> Result<()> {
    let text = serde_json::to_string_pretty(&zoo.summary).unwrap_or_default();
    save(&out.join("zoo.json"), format!("{text}\n").as_bytes())?;
    save(&out.join("zoo.csv"), csv(&zoo.summary).as_bytes())?;
    let name = out
        .canonicalize()
        .ok()
        .and_then(|o| o.file_name().map(|n| n.to_string_lossy().into_owned()));
    save(
        &out.join("zoo.html"),
        page(&name.unwrap_or_else(|| "zoo".to_owned()), &zoo.summary)?.as_bytes(),
    )
}

/// How this very program is called again.
pub(super) fn this_program() -> Program {
    Program {
        path: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("snapprune")),
        args: Vec::new(),
    }
}
