//! Which settings of the provider a job is done with.

use std::sync::Arc;

use super::device::{DeviceSettings, SettingsSearch};
use super::helper::Opening;
use super::session_helpers::SessionProcesses;
use crate::Result;
use crate::device::{CudaOptions, Device, DeviceKind, Runtime, SessionHelpers};
use crate::optimize::{Contender, ProviderSettings, SettingsRace, Workload, race_settings};
use crate::profile::Database;
use crate::verify::Loaded;

/// What the race of settings came to.
#[derive(Default)]
pub(super) struct Raced {
    /// Every setting with what the model takes.
    pub rows: Vec<ProviderSettings>,
    /// The device to use in place of the one that was given, and its settings.
    pub device: Option<(Box<dyn Device>, CudaOptions)>,
    /// The original, as it stayed loaded with these settings.
    pub loaded: Loaded,
    /// What the user should know.
    pub note: Option<String>,
}

/// Races the settings that the provider of `device` offers; nothing where it offers none, or is not here.
///
/// # Errors
/// When the job is asked to stop, or the model does not run with the settings as given.
pub(super) fn raced(
    settings: &DeviceSettings,
    runtime: &Runtime,
    device: &dyn Device,
    workloads: &[Workload],
    database: Option<&Database>,
    seed: u64,
) -> Result<Raced> {
    if device.info().kind != DeviceKind::Cuda || device.timer().is_none() {
        return Ok(Raced::default());
    }
    let variants = std::iter::once(settings.cuda).chain(settings.cuda.variants());
    // To tell what others would give, one change at a time is enough.
    let most = match settings.search {
        SettingsSearch::Off => 0,
        SettingsSearch::Given => 1,
        SettingsSearch::Auto => usize::MAX,
    };
    let tried: Vec<CudaOptions> = variants
        .filter(|cuda| cuda.difference(settings.cuda).len() <= most)
        .collect();
    let mut contenders: Vec<Contender> = tried
        .iter()
        .map(|&cuda| {
            let device = DeviceSettings {
                cuda,
                ..settings.clone()
            }
            .open(runtime);
            let opened = device.as_ref().ok().map(|d| (d.as_ref(), runtime));
            let opening = opened.and_then(|opened| Opening::of(settings, cuda, opened));
            Contender {
                options: cuda.difference(settings.cuda),
                helpers: opening.map(|o| Arc::new(SessionProcesses::new(o)) as Arc<dyn SessionHelpers>),
                device,
            }
        })
        .collect();
    let SettingsRace { rows, mut loaded } = race_settings(workloads, &contenders, database, seed)?;
    let mut loaded_by = |k: usize| loaded.get_mut(k).map(std::mem::take).unwrap_or_default();
    let chosen = rows.iter().position(|r| r.chosen).filter(|&k| k > 0);
    let Some(chosen) = chosen else {
        return Ok(Raced {
            rows,
            loaded: loaded_by(0),
            ..Raced::default()
        });
    };
    let (name, ratio) = (rows[chosen].name(), rows[chosen].ratio.unwrap_or(1.0));
    if settings.search == SettingsSearch::Auto
        && let Ok(device) = contenders.swap_remove(chosen).device
    {
        return Ok(Raced {
            rows,
            loaded: loaded_by(chosen),
            device: tried.get(chosen).map(|&cuda| (device, cuda)),
            note: Some(format!(
                "with {name} the original takes {ratio:.2} of what it takes with the settings given; all times here are so, and the model \
                 is to be run so"
            )),
        });
    }
    let mut rows = rows;
    rows.iter_mut().enumerate().for_each(|(k, row)| row.chosen = k == 0);
    Ok(Raced {
        rows,
        loaded: loaded_by(0),
        device: None,
        note: Some(format!(
            "the settings given stay; with {name} the original would take {ratio:.2} of what it takes so"
        )),
    })
}
