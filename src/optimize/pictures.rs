//! What the samples look like that both models were run on.

use super::outcome::Outcome;
use super::session::Session;
use crate::Result;
use crate::task::TaskKind;
use crate::verify::compare_task;

impl Outcome {
    /// Puts in samples to look at, where a model is written: those that models are compared on, or, without any, samples for calibration
    /// by which nothing was fitted or chosen.
    ///
    /// # Errors
    /// When a run fails.
    pub(super) fn picture(&mut self, session: &Session) -> Result<()> {
        let reading = session.judged.reading.as_ref();
        let (Some(model), Some(reading)) = (&self.model, reading) else {
            return Ok(());
        };
        if !matches!(reading.kind, TaskKind::Classify | TaskKind::Detect | TaskKind::Segment) {
            return Ok(());
        }
        if let Some(data) = session.eval {
            self.pictures.draw(reading.kind, data);
            return Ok(());
        }
        let samples = session.samples.as_ref().filter(|s| s.unseen());
        let Some(samples) = samples.filter(|_| !session.limit.is_up()) else {
            return Ok(());
        };
        let data = samples.data.of_runs(samples.told.clone());
        // Samples that are no images are not worth two more runs.
        if data.picture(0).is_some() {
            let both = [&session.original[..], model];
            let compared = compare_task(session.device, both, &data, Some(reading), &session.progress())?;
            self.pictures.shown = compared.map(|c| c.shown).unwrap_or_default();
        }
        self.pictures.draw(reading.kind, &data);
        Ok(())
    }
}
