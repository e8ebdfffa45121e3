//! `snapprune zoo MODELS --out DIR`.

use clap::ArgMatches;

use super::interrupt;
use super::screen::Screen;
use super::stdout::{line, text};
use crate::Result;
use crate::flags::ZooArgs;
use crate::optimize::ProgressReporter;
use crate::zoo::{JournalEntry, run as run_zoo, text as zoo_text, write_report};

/// The exit status.
pub(super) fn run(args: &ZooArgs, matches: &ArgMatches) -> Result<u8> {
    let talk = !args.quiet && !args.json;
    let screen = Screen::new(args.quiet);
    let report = |entry: &JournalEntry| {
        if talk {
            // What is lost here stands in the journal.
            screen.aside(&|| drop(line(&zoo_text::line(entry))));
        }
    };
    let stop = interrupt::stop();
    let engine = args.local(stop);
    let setup = args.setup(matches, stop)?;
    let zoo = run_zoo(&setup, &engine, &screen, &report)?;
    write_report(&args.out, &zoo.summary)?;
    if args.json {
        line(&serde_json::to_string_pretty(&zoo.summary).unwrap_or_default())?;
    }
    if talk {
        text(&zoo_text::totals(&zoo.summary, zoo.skipped))?;
        line(&format!("written   {}", args.out.join("zoo.html").display()))?;
    }
    Ok(zoo.code as u8)
}
