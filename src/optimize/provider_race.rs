//! The same model with other settings of the provider, side by side: they are worth more than widths at times.

use super::outcome::ProviderSettings;

use super::workload::Workload;
use crate::device::{CpuFallback, Device, NamedTensor, TimedSession, random_inputs};
use crate::onnx::encode;
use crate::profile::{Database, median, whole_key};
use crate::verify::race;
use crate::{Error, Result};

/// Seconds of runs for all settings together.
const SECONDS: f64 = 2.0;
/// Other settings are chosen only where they are faster by more than this.
const WORTH: f64 = 0.98;

/// A device opened with some settings.
pub struct Contender {
    /// How they differ from those given, as provider options; the first contender has those given.
    pub options: Vec<String>,
    /// The device, or why it does not open so.
    pub device: Result<Box<dyn Device>>,
}

/// Times the original with each contender's settings, interleaved; the fastest is marked as chosen. A database remembers it.
///
/// # Errors
/// When the job is asked to stop, the inputs cannot be made, or the model does not run with the settings as given.
pub fn race_settings(
    workloads: &[Workload],
    contenders: &[Contender],
    database: Option<&Database>,
    seed: u64,
) -> Result<Vec<ProviderSettings>> {
    let mut inputs: Vec<(Vec<NamedTensor>, f64)> = Vec::new();
    for workload in workloads {
        inputs.push((random_inputs(&workload.opened.specs, seed, 1.0)?, workload.weight));
    }
    let (Some(first), Some(workload)) = (contenders.first(), workloads.first()) else {
        return Ok(Vec::new());
    };
    let model = encode(&workload.opened.proto);
    let names: Vec<String> = contenders.iter().map(|c| c.options.join(",")).collect();
    let key = whole_key(&format!("settings {}", names.join(";")), &[&model], &inputs, SECONDS);
    let info = first.device.as_ref().ok().map(|d| d.info());
    if let (Some(database), Some(info)) = (database, info)
        && let Some(text) = database.remembered(info, &key)?
        && let Ok(known) = serde_json::from_str(&text)
    {
        return Ok(known);
    }
    let mut rows: Vec<ProviderSettings> = contenders
        .iter()
        .map(|c| ProviderSettings {
            options: c.options.clone(),
            ms: Some(0.0),
            ratio: None,
            failed: None,
            chosen: false,
        })
        .collect();
    for (given, weight) in &inputs {
        one_workload(
            contenders,
            &mut rows,
            &model,
            given,
            *weight,
            SECONDS / inputs.len() as f64,
        )?;
    }
    choose(&mut rows);
    let passing = rows.iter().any(|r| r.failed.is_some());
    if let (Some(database), Some(info)) = (database, info)
        && !passing
    {
        database.remember(info, &key, &serde_json::to_string(&rows).unwrap_or_default())?;
    }
    Ok(rows)
}

/// Adds what each contender takes for one workload, by its weight.
fn one_workload(
    contenders: &[Contender],
    rows: &mut [ProviderSettings],
    model: &[u8],
    inputs: &[NamedTensor],
    weight: f64,
    seconds: f64,
) -> Result<()> {
    let mut sessions: Vec<Box<dyn TimedSession>> = Vec::new();
    let mut at: Vec<usize> = Vec::new();
    for (k, (contender, row)) in contenders.iter().zip(rows.iter_mut()).enumerate() {
        if row.failed.is_some() {
            continue;
        }
        match loaded(contender, model, inputs) {
            Ok(session) => {
                sessions.push(session);
                at.push(k);
            }
            Err(Error::Stopped) => return Err(Error::Stopped),
            Err(why) => {
                row.failed = Some(why.to_string());
                row.ms = None;
            }
        }
    }
    let entries = match race(&mut sessions, seconds) {
        Err(Error::Stopped) => return Err(Error::Stopped),
        // Together they may be too much for the device; then those given are all that is known.
        Err(why) => {
            for row in rows.iter_mut().skip(1).filter(|r| r.failed.is_none()) {
                (row.ms, row.failed) = (None, Some(why.to_string()));
            }
            sessions.truncate(1);
            race(&mut sessions, seconds)?
        }
        Ok(entries) => entries,
    };
    for (entry, &k) in entries.iter().zip(&at) {
        let own = weight * median(&entry.samples);
        rows[k].ms = rows[k].ms.map(|ms| ms + own);
    }
    Ok(())
}

fn loaded(contender: &Contender, model: &[u8], inputs: &[NamedTensor]) -> Result<Box<dyn TimedSession>> {
    let device = contender
        .device
        .as_ref()
        .map_err(|why| Error::device(why.to_string()))?;
    let mut session = device.require_timer()?.load(model, inputs, CpuFallback::Allowed)?;
    // A setting may fail only when it runs.
    session.run()?;
    Ok(session)
}

/// Works out ratios and marks the fastest; without a clear gain the settings as given stay.
fn choose(rows: &mut [ProviderSettings]) {
    let Some(given) = rows.first().and_then(|r| r.ms) else {
        return;
    };
    rows.iter_mut().for_each(|r| r.ratio = r.ms.map(|ms| ms / given));
    let fastest = (0..rows.len())
        .filter(|&k| rows[k].ratio.is_some_and(|r| r < WORTH))
        .min_by(|&a, &b| {
            rows[a]
                .ms
                .unwrap_or(f64::MAX)
                .total_cmp(&rows[b].ms.unwrap_or(f64::MAX))
        });
    rows[fastest.unwrap_or(0)].chosen = true;
}

#[cfg(test)]
mod tests {
    use super::{ProviderSettings, choose};

    #[test]
    fn settings_change_only_for_a_clear_gain() {
        let row = |ms: Option<f64>| ProviderSettings {
            options: vec![],
            ms,
            ratio: None,
            failed: None,
            chosen: false,
        };
        let chosen = |times: &[Option<f64>]| {
            let mut rows: Vec<_> = times.iter().map(|&ms| row(ms)).collect();
            choose(&mut rows);
            rows.iter().position(|r| r.chosen)
        };
        assert_eq!(chosen(&[Some(2.0), Some(1.99), None]), Some(0));
        assert_eq!(chosen(&[Some(2.0), Some(2.4), Some(1.1), Some(1.0)]), Some(3));
        assert_eq!(chosen(&[None, Some(1.0)]), None);
    }
}
