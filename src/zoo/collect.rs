//! The first phase: what the models' layers are, each problem once.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::context::ZooContext;
use super::engine::WorkKind;
use super::entry::State;
use super::item::Item;
use super::message::{Answer, Job};
use super::problems::Collected;
use super::spread::spread;
use crate::Result;
use crate::onnx::save;
use crate::optimize::Step;

/// What was collected from a model, and what it was collected from.
#[derive(Serialize, Deserialize)]
struct StoredNeeds {
    /// Hash of the model, the flags and the version.
    key: String,
    collected: Collected,
}

/// A model's problems from the output folder, if they are of its present content and flags.
pub(super) fn collected(context: &ZooContext, item: &Item) -> Option<Collected> {
    stored(context, item, &key(context, item))
}

fn stored(context: &ZooContext, item: &Item, key: &str) -> Option<Collected> {
    let path = context
        .journal
        .out()
        .join("problems")
        .join(format!("{}.json", item.name));
    let stored: StoredNeeds = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
    (stored.key == key).then_some(stored.collected)
}

/// What a model's problems depend on.
fn key(context: &ZooContext, item: &Item) -> String {
    let content = match &item.token {
        Some(token) => token.clone(),
        None => context.journal.inputs(item, &[]).into_values().collect(),
    };
    let flags = context.flags(item).without_data().of_result().words();
    let text = format!("{} {content} {flags:?}", env!("CARGO_PKG_VERSION"));
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// Collects what `items` need, unless that was done before; those that cannot be read are journalled as failed.
///
/// # Errors
/// When the output folder cannot be written to, or it is asked to stop.
pub(super) fn collect<'i>(context: &ZooContext, items: Vec<&'i Item>) -> Result<Vec<(&'i Item, Collected)>> {
    let found = Mutex::new(Vec::new());
    let add = |item: &'i Item, collected: Collected| {
        if let Ok(mut found) = found.lock() {
            found.push((item, collected));
        }
    };
    // The largest first, so that no slot is left with one at the end.
    let mut items = items;
    items.sort_by_key(|i| std::cmp::Reverse(i.model.metadata().map_or(0, |m| m.len())));
    spread(context, Step::ReadModels, WorkKind::Untimed, items, &|slot, item| {
        let key = key(context, item);
        if let Some(collected) = stored(context, item, &key) {
            add(item, collected);
            return Ok(());
        }
        let job = Job::Collect {
            model: item.model.clone(),
            flags: context.flags(item).without_data(),
        };
        let mut entry = context.begun(item);
        match context.engine.run(slot, &job, None, context.setup.timeout) {
            Answer::Collected(collected) => {
                let stored = StoredNeeds { key, collected };
                let text = serde_json::to_string(&stored).unwrap_or_default();
                save(
                    &context.journal.place("problems", &item.name, ".json")?,
                    text.as_bytes(),
                )?;
                entry.state = State::Collected;
                context.note(&entry)?;
                add(item, stored.collected);
                Ok(())
            }
            answer => context.failed(entry, answer),
        }
    })?;
    let mut found = found.into_inner().unwrap_or_default();
    found.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    Ok(found)
}
