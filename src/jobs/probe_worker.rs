//! A helper process: loads probes as it is told, and times them when it is its turn.

use std::io::Write;

use super::probe_message::{Answer, Request};
use crate::device::{CudaDevice, Device, Runtime, Stop};
use crate::profile::measure_together;
use crate::{Error, Result};

/// Does what comes in, line by line, until there is no more.
///
/// # Errors
/// When the GPU cannot be opened, or nobody listens any more.
pub fn serve_probes(requests: impl Iterator<Item = String>, mut answers: impl Write, stop: &Stop) -> Result<()> {
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
    while let Some(Request::Load(sessions)) = requests.next() {
        let mut tells = Ok(());
        let mut turn = || -> Result<()> {
            tells = tell(&Answer::Loaded);
            match requests.next() {
                Some(Request::Time) => Ok(()),
                _ => Err(Error::Stopped),
            }
        };
        let answer = match measure_together(timer, &sessions, &mut turn) {
            Ok(records) => Answer::Timed(records),
            Err(error) => Answer::Failed(error.to_string()),
        };
        tells?;
        tell(&answer)?;
    }
    Ok(())
}
