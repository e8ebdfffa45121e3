//! `snapprune plan MODEL`.

use super::interrupt;
use super::screen::Screen;
use super::sink::{file_of, put, voice};
use crate::flags::{PlanArgs, declined_hint};
use crate::jobs::{ModelSource, plan_model};
use crate::report::{Listed, outcome_text};
use crate::{Error, Result};

/// Writes the plan that the main job would apply; `false` where there is none.
pub(super) fn run(args: &PlanArgs) -> Result<bool> {
    let screen = Screen::new(args.quiet);
    let source = ModelSource::of(&args.model)?;
    let file = file_of(&args.output);
    let say = voice(args.quiet, file);
    let settings = args.settings()?;
    let context = settings.context(interrupt::stop())?;
    say(format!(
        "device    {}\n",
        settings.device.describe(context.device.as_ref())
    ));
    let outcome = plan_model(context, &source, &settings, &screen)?.outcome;
    let Some(plan) = &outcome.plan else {
        let why = outcome
            .declined
            .as_ref()
            .map_or("no plan was found".to_owned(), ToString::to_string);
        say(format!(
            "nothing written: {why}; the original stays the best there is\n"
        ));
        let hint = outcome.declined.as_ref().and_then(declined_hint);
        hint.into_iter().for_each(|hint| say(format!("  → {hint}\n")));
        return Ok(false);
    };
    let text = serde_json::to_string_pretty(plan).map_err(|e| Error::Plan(e.to_string()))?;
    let written = put(file, format!("{text}\n").as_bytes())?;
    say(outcome_text(&outcome, Listed::Changed));
    say(format!("written   {written}; apply it with `snapprune apply`\n"));
    Ok(true)
}
