//! Providers that are installed as plug-ins, with the devices that they offer.

use std::path::Path;

use super::check::{Check, CheckState, check};
use crate::cli::interrupt;
use crate::device::{PLUGIN_PATIENCE, Plugin, installed_plugins};
use crate::flags::DoctorArgs;
use crate::jobs::Program;
use crate::zoo::{Answer, Engine, Flags, Isolation, Job, Local, LocalSettings};

/// Each is loaded in a process of its own: one that crashes there costs its own line.
pub(super) fn plugins(args: &DoctorArgs, checks: &mut Vec<Check>) {
    let processes = Local::new(
        LocalSettings {
            program: Program::current(),
            gpus: Vec::new(),
            jobs: 1,
            isolation: Isolation::EachJob,
        },
        interrupt::stop().clone(),
    );
    // Without one, the plug-ins say why they cannot be tried.
    let folder = tempfile::tempdir();
    let folder = folder
        .as_ref()
        .map_or_else(|_| std::env::temp_dir(), |f| f.path().to_path_buf());
    let patience = args.ep_timeout.unwrap_or(PLUGIN_PATIENCE);
    for plugin in installed_plugins() {
        let flags = flags(args, &plugin, &folder);
        checks.push(told(
            &plugin,
            processes.run(0, &Job::Device { flags }, None, Some(patience.saturating_mul(2))),
        ));
    }
}

/// Nothing is kept: the database has a line of its own.
fn flags(args: &DoctorArgs, plugin: &Plugin, folder: &Path) -> Flags {
    let db = folder.join("latency.db");
    let flags = Flags::default()
        .and("ep", plugin.name.as_str())
        .and("db", db.to_string_lossy());
    let flags = match args.ep_timeout {
        Some(time) => flags.and("ep-timeout", format!("{}s", time.as_secs_f64())),
        None => flags,
    };
    match &args.ort_lib {
        Some(library) => flags.and("ort-lib", library.to_string_lossy()),
        None => flags,
    }
}

fn told(plugin: &Plugin, answer: Answer) -> Check {
    let name = format!("plug-in {}", plugin.name);
    match answer {
        Answer::Device { info, .. } => check(
            &name,
            CheckState::Ok,
            format!("{}: a convolution runs", info.stack),
            None,
        ),
        Answer::Failed { reason, .. } => {
            let found = format!("{reason}; its library is {}", plugin.library.display());
            check(&name, CheckState::Note, found, None)
        }
        _ => check(&name, CheckState::Note, "it was not tried".to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::{CheckState, Plugin, told};
    use crate::zoo::{Answer, FailureKind};

    #[test]
    fn a_plugin_that_crashes_costs_its_own_line() {
        let plugin = Plugin {
            name: "thing".to_owned(),
            library: "/env/libonnxruntime_providers_thing.so".into(),
        };
        let failed = Answer::Failed {
            failure: FailureKind::Crash,
            reason: "its process was ended by signal 11".to_owned(),
        };
        let shown = told(&plugin, failed);
        assert_eq!(shown.state, CheckState::Note);
        assert!(shown.found.contains("signal 11") && shown.found.contains("providers_thing.so"));
    }
}
