//! The same model with other settings of the provider, side by side: they are worth more than widths at times.

use std::sync::Arc;

use super::outcome::ProviderSettings;
use super::prepare::RUNS;
use super::workload::Workload;
use crate::device::{
    CpuFallback, Device, Loading, ModelRun, NamedTensor, SessionHelpers, TimedSession, Timer, load_all, random_inputs,
};
use crate::onnx::{encode, with_node_names};
use crate::profile::{Database, median, whole_key};
use crate::verify::{Loaded, race};
use crate::{Error, Result};

/// Seconds of runs for all settings together.
const SECONDS: f64 = 1.0;
/// Other settings are chosen only where they are faster by more than this.
const WORTH: f64 = 0.98;

/// A device opened with some settings.
pub struct Contender {
    /// How they differ from those given, as provider options; the first contender has those given.
    pub options: Vec<String>,
    /// The device, or why it does not open so.
    pub device: Result<Box<dyn Device>>,
    /// Who loads models with these settings beside this process.
    pub helpers: Option<Arc<dyn SessionHelpers>>,
}

/// What a race of settings came to.
#[derive(Default)]
pub struct SettingsRace {
    /// Every contender with what the model takes; the fastest is marked as chosen.
    pub rows: Vec<ProviderSettings>,
    /// The original as each contender has it loaded, where there is one workload.
    pub loaded: Vec<Loaded>,
}

/// Times the original with each contender's settings, interleaved. A database remembers it.
///
/// # Errors
/// When the job is asked to stop, the inputs cannot be made, or the model does not run with the settings as given.
pub fn race_settings(
    workloads: &[Workload],
    contenders: &[Contender],
    database: Option<&Database>,
    seed: u64,
) -> Result<SettingsRace> {
    let mut inputs: Vec<(Vec<NamedTensor>, f64)> = Vec::new();
    for workload in workloads {
        inputs.push((random_inputs(&workload.opened.specs, seed, 1.0)?, workload.weight));
    }
    let (Some(first), Some(workload)) = (contenders.first(), workloads.first()) else {
        return Ok(SettingsRace::default());
    };
    let model = encode(&workload.opened.proto);
    let named = encode(&with_node_names(&workload.opened.proto));
    let names: Vec<String> = contenders.iter().map(|c| c.options.join(",")).collect();
    let key = whole_key(&format!("settings {}", names.join(";")), &[&model], &inputs, SECONDS);
    let info = first.device.as_ref().ok().map(|d| d.info());
    if let (Some(database), Some(info)) = (database, info)
        && let Some(text) = database.remembered(info, &key)?
        && let Ok(rows) = serde_json::from_str(&text)
    {
        return Ok(SettingsRace {
            rows,
            loaded: Vec::new(),
        });
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
    let mut loaded: Vec<Loaded> = Vec::new();
    for (given, weight) in &inputs {
        loaded = one_workload(
            contenders,
            &mut rows,
            [&model, &named],
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
    if inputs.len() > 1 {
        loaded.clear();
    }
    Ok(SettingsRace { rows, loaded })
}

/// Adds what each contender takes for one workload, by its weight; the original as each has it loaded.
fn one_workload(
    contenders: &[Contender],
    rows: &mut [ProviderSettings],
    [model, named]: [&[u8]; 2],
    inputs: &[NamedTensor],
    weight: f64,
    seconds: f64,
) -> Result<Vec<Loaded>> {
    let mut sessions: Vec<Box<dyn TimedSession>> = Vec::new();
    let mut at: Vec<usize> = Vec::new();
    let running: Vec<usize> = (0..rows.len()).filter(|&k| rows[k].failed.is_none()).collect();
    for (&k, session) in running.iter().zip(loaded(contenders, &running, [model, named], inputs)) {
        let row = &mut rows[k];
        match session {
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
    // Before they are timed: a session that is watched is slower.
    let node_times = match (at.first(), sessions.first_mut()) {
        (Some(0), Some(given)) => given.node_times(RUNS)?,
        _ => None,
    };
    let entries = match race(&mut sessions, seconds) {
        Err(Error::Stopped) => return Err(Error::Stopped),
        // Together they may be too much for the device; then those given are all that is known.
        Err(why) => {
            for row in rows.iter_mut().skip(1).filter(|r| r.failed.is_none()) {
                (row.ms, row.failed) = (None, Some(why.to_string()));
            }
            sessions.truncate(1);
            at.truncate(1);
            race(&mut sessions, seconds)?
        }
        Ok(entries) => entries,
    };
    for (entry, &k) in entries.iter().zip(&at) {
        let own = weight * median(&entry.samples);
        rows[k].ms = rows[k].ms.map(|ms| ms + own);
    }
    let mut all: Vec<Loaded> = rows.iter().map(|_| Loaded::default()).collect();
    for (session, k) in sessions.into_iter().zip(at) {
        all[k].keep(model, session);
    }
    if let (Some(times), Some(given)) = (node_times, all.first_mut()) {
        given.keep_node_times(named, times);
    }
    Ok(all)
}

/// The model loaded by those contenders whose device opens, or why it does not load.
fn loaded(
    contenders: &[Contender],
    running: &[usize],
    [model, named]: [&[u8]; 2],
    inputs: &[NamedTensor],
) -> Vec<Result<Box<dyn TimedSession>>> {
    let timer = |&k: &usize| match &contenders[k].device {
        Ok(device) => device.require_timer(),
        Err(why) => Err(Error::device(why.to_string())),
    };
    let timers: Vec<Result<&dyn Timer>> = running.iter().map(timer).collect();
    // Times of nodes are those with the settings given.
    let of = |model| ModelRun { model, inputs };
    let opened = running
        .iter()
        .zip(&timers)
        .filter_map(|(&k, t)| Some((k, *t.as_ref().ok()?)));
    let loadings: Vec<Loading> = opened
        .map(|(k, timer)| Loading {
            timer,
            run: of(if k == 0 { named } else { model }),
            watched: k == 0,
            // Nodes are watched by the process that looks at them.
            helpers: contenders[k].helpers.as_deref().filter(|_| k > 0),
        })
        .collect();
    let mut sessions = load_all(&loadings, CpuFallback::Allowed).into_iter();
    let in_order = timers.into_iter().filter_map(|timer| match timer {
        Ok(_) => sessions.next(),
        Err(why) => Some(Err(why)),
    });
    // A setting may fail only when it runs.
    let runs = |session: Result<Box<dyn TimedSession>>| {
        let mut session = session?;
        session.run()?;
        Ok(session)
    };
    in_order.map(runs).collect()
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
