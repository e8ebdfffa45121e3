//! A helper process: loads probes or a model as it is told, and times them when it is its turn.

use std::io::Write;
use std::path::Path;

use super::helper_message::{Answer, Request};
use super::tensor_file::{read_tensors, write_tensors};
use crate::device::{CpuFallback, CudaDevice, Device, Runtime, Stop, TimedSession, Timer};
use crate::profile::measure_together;
use crate::{Error, Result};

/// Does what comes in, line by line, until there is no more.
///
/// # Errors
/// When the GPU cannot be opened, or nobody listens any more.
pub fn serve_job(requests: impl Iterator<Item = String>, mut answers: impl Write, stop: &Stop) -> Result<()> {
    let mut requests = requests.filter_map(|line| serde_json::from_str::<Request>(&line).ok());
    let mut tell = |answer: &Answer| -> Result<()> {
        let line = serde_json::to_string(answer).unwrap_or_default();
        let said = writeln!(answers, "{line}").and_then(|()| answers.flush());
        said.map_err(|e| Error::file("standard output", e))
    };
    let Some(Request::Open { library, gpu, options }) = requests.next() else {
        return Err(Error::Usage("nothing was said of a device".to_owned()));
    };
    let runtime = Runtime::load(Some(&library))?.stopped_by(stop);
    let device = CudaDevice::new(runtime, gpu, options)?;
    tell(&Answer::Opened {
        stack: device.info().stack.clone(),
    })?;
    let timer = device.require_timer()?;
    let mut model: Option<Box<dyn TimedSession>> = None;
    while let Some(request) = requests.next() {
        let answer = match request {
            Request::Load(sessions) => {
                let mut tells = Ok(());
                let mut turn = || -> Result<()> {
                    tells = tell(&Answer::Loaded);
                    match requests.next() {
                        Some(Request::Time) => Ok(()),
                        _ => Err(Error::Stopped),
                    }
                };
                let timed = measure_together(timer, &sessions, &mut turn).map(Answer::Timed);
                tells?;
                timed
            }
            Request::Unload => {
                model = None;
                continue;
            }
            other => of_model(timer, &mut model, other),
        };
        tell(&answer.unwrap_or_else(|error| Answer::Failed(error.to_string())))?;
    }
    Ok(())
}

/// Does what is asked of a whole model.
fn of_model(timer: &dyn Timer, model: &mut Option<Box<dyn TimedSession>>, request: Request) -> Result<Answer> {
    if let Request::LoadModel { model: path, inputs } = &request {
        *model = None;
        let bytes = std::fs::read(path).map_err(|e| Error::file(path, e))?;
        *model = Some(timer.prepare(&bytes, &read_tensors(inputs)?, CpuFallback::Allowed)?);
    }
    let Some(session) = model else {
        return Err(Error::device("it has no model".to_owned()));
    };
    let mut took = 0.0;
    match request {
        Request::FirstRun => session.first_run()?,
        Request::Settle => session.settle()?,
        Request::Run { repeats } => {
            session.set_repeats(repeats);
            took = session.run()?;
        }
        Request::Outputs { inputs, outputs } => outputs_of(session.as_mut(), &inputs, &outputs)?,
        _ => {}
    }
    Ok(Answer::Done {
        ms: took,
        repeats: session.repeats(),
        gives_outputs: session.gives_outputs(),
    })
}

fn outputs_of(session: &mut dyn TimedSession, inputs: &Path, outputs: &Path) -> Result<()> {
    write_tensors(outputs, &session.outputs(&read_tensors(inputs)?)?)
}
