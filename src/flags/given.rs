//! The flags of the work as they were given, to be passed on.

use std::collections::BTreeMap;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, Command};

use super::command_line::parsed;
use super::main_job::MainArgs;
use super::work::WorkArgs;
use crate::Result;
use crate::zoo::Flags;

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
pub fn main_job(model: &str, flags: &Flags) -> Result<MainArgs> {
    let model = (!model.is_empty()).then(|| ["--".to_owned(), model.to_owned()]);
    let words = ["snapprune".to_owned()]
        .into_iter()
        .chain(flags.words())
        .chain(model.into_iter().flatten());
    Ok(parsed(words)?.0.main)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{given, main_job};
    use crate::flags::CommandLine;

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
        let matches = CommandLine::command().try_get_matches_from(words).unwrap();
        let flags = given(matches.subcommand_matches("zoo").unwrap());
        let words = flags.words().join(" ");
        assert_eq!(
            words,
            "--cpu --dim=h=3 --dim=w=4 --mean=-0.5 --mean=0.25 --target-latency=0.8x --threads=1"
        );
        let main = main_job("m.onnx", &flags).unwrap();
        assert_eq!(main.work.setup.data.mean, [-0.5, 0.25]);
        assert!(
            main_job("m.onnx", &flags.and("bach", "8"))
                .unwrap_err()
                .to_string()
                .contains("--bach")
        );
    }
}
