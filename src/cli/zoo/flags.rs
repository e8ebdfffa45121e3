//! The flags of the work as they were given, to be passed on.

use std::collections::BTreeMap;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, Command};

use crate::cli::args::{self, MainArgs};
use crate::cli::work_args::WorkArgs;
use crate::zoo::{Flags, Item};
use crate::{Error, Result};

/// Those of a command line.
pub(super) fn given(matches: &ArgMatches) -> Flags {
    let mut flags = BTreeMap::new();
    for arg in WorkArgs::augment_args(Command::new("work")).get_arguments() {
        let (id, Some(long)) = (arg.get_id().as_str(), arg.get_long()) else {
            continue;
        };
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        let raw = matches.get_raw(id).into_iter().flatten();
        let values = raw.map(|v| v.to_string_lossy().into_owned());
        let switch = !arg.get_action().takes_values();
        flags.insert(long.to_owned(), if switch { Vec::new() } else { values.collect() });
    }
    Flags(flags)
}

/// The main job's flags for a model; without a model where its name is empty.
///
/// # Errors
/// When they are not such flags.
pub(super) fn parsed(model: &str, flags: &Flags) -> Result<MainArgs> {
    let model = (!model.is_empty()).then(|| ["--".to_owned(), model.to_owned()]);
    let words = ["snapprune".to_owned()]
        .into_iter()
        .chain(flags.words())
        .chain(model.into_iter().flatten());
    Ok(args::parsed(words)?.0.main)
}

/// Checks a model's own flags, together with those of all.
///
/// # Errors
/// When they are wrong; the message names the model.
pub(super) fn check(item: &Item, flags: &Flags) -> Result<()> {
    match parsed(&item.model.to_string_lossy(), &flags.with(&item.flags)) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Usage(format!("{}: {error}", item.name))),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{given, parsed};
    use crate::cli::args::Args;

    #[test]
    fn flags_are_passed_on_as_they_were_given() {
        let words = [
            "snapprune",
            "zoo",
            "m",
            "--out",
            "o",
            "--cpu",
            "--threads",
            "1",
            "--mean",
            "-0.5,0.25",
            "--dim",
            "h=3",
            "--dim=w=4",
            "--target-latency",
            "0.8x",
            "--jobs",
            "3",
        ];
        let matches = Args::command().try_get_matches_from(words).unwrap();
        let flags = given(matches.subcommand_matches("zoo").unwrap());
        let words = flags.words().join(" ");
        assert_eq!(
            words,
            "--cpu --dim=h=3 --dim=w=4 --mean=-0.5 --mean=0.25 --target-latency=0.8x --threads=1"
        );
        let main = parsed("m.onnx", &flags).unwrap();
        assert_eq!(main.work.data.mean, [-0.5, 0.25]);
        assert!(
            parsed("m.onnx", &flags.and("bach", "8"))
                .unwrap_err()
                .to_string()
                .contains("--bach")
        );
    }
}
