//! `snapprune apply MODEL PLAN`.

use super::interrupt;
use super::screen::Screen;
use super::sink::{file_of, put_model, voice};
use crate::flags::ApplyArgs;
use crate::jobs::{ModelSource, apply, same_file};
use crate::optimize::ProgressReporter;
use crate::report::{metric_text, task_text};
use crate::{Error, Result};

/// Applies a plan, measured or edited, without timing anything; always `true`.
pub(super) fn run(args: &ApplyArgs) -> Result<bool> {
    if same_file(&args.output, &args.model) {
        return Err(Error::Usage(
            "-o would overwrite the model that is read; name another file".to_owned(),
        ));
    }
    let screen = Screen::new(args.quiet);
    let source = ModelSource::of(&args.model)?;
    let done = apply(&source, &args.settings()?, interrupt::stop(), &screen)?;
    screen.done();
    let file = file_of(&args.output);
    let written = put_model(file, &done.model, args.save.weights())?.join(" and ");
    let say = voice(args.quiet, file);
    done.task.iter().for_each(|t| say(task_text(t)));
    done.metric.iter().for_each(|m| say(metric_text(m)));
    say(format!(
        "outputs   largest difference {:.1e} ({:.1e} of the range), cosine {:.7}\n",
        done.agreement.max_abs_diff, done.agreement.max_rel_diff, done.agreement.cosine
    ));
    match (done.carrying, args.calib.calib.is_some()) {
        (0, _) => {}
        (n, true) => say(format!(
            "note      {n} of the removed channels carried something: the outputs change by what fitted weights do not make up for\n"
        )),
        (n, false) => say(format!(
            "note      {n} of the removed channels carried something: the outputs change, and nothing makes up for it; give \
             samples with --calib\n"
        )),
    }
    say(format!("written   {written}\n"));
    Ok(true)
}
