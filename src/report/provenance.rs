//! What the written file says of itself, under `snapprune.*` in its metadata.

use bytes::Bytes;

use crate::onnx::proto::StringStringEntryProto;
use crate::onnx::{declare_weights, encode, parse};
use crate::optimize::{MoveRow, Opened, Outcome};
use crate::plan::PlanFile;

/// A model that is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// The original's file name.
    pub name: &'a str,
    /// The command that makes it again.
    pub command: &'a str,
    /// Whether it is the dynamic variant.
    pub gated: bool,
}

/// The model with entries on where it came from and what was done to it.
pub fn with_provenance(bytes: Vec<u8>, written: Written, opened: &Opened, outcome: &Outcome) -> Vec<u8> {
    let Written { name, command, gated } = written;
    let moves: Vec<String> = outcome
        .groups
        .iter()
        .filter(|g| g.before != g.after)
        .map(|g| moved(&g.layers, g.before, g.after))
        .collect();
    let dynamic = outcome.dynamic.as_ref().filter(|_| gated);
    let gates = dynamic.map_or(&[][..], |d| &d.gates).iter().filter(|g| g.used);
    let gates: Vec<String> = gates
        .map(|g| {
            let tile = g.tile.map_or(String::new(), |(r, c)| format!(" {r}x{c}"));
            format!("{}: {}{tile} keep {:.3}", g.block, g.kind, g.keep.unwrap_or(1.0))
        })
        .collect();
    let mut entries = vec![
        ("snapprune.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("snapprune.source", name.to_owned()),
        ("snapprune.command", command.to_owned()),
        ("snapprune.source.blake3", opened.model.hash.clone()),
        (
            "snapprune.device",
            format!("{} ({})", outcome.device.name, outcome.device.fingerprint),
        ),
        ("snapprune.stack", outcome.device.stack.clone()),
        ("snapprune.moves", moves.join("; ")),
        (
            "snapprune.ratio_static",
            outcome.ratio.map_or(String::new(), |r| format!("{:.4}", r.0)),
        ),
    ];
    let mut reparametrized = outcome.moves.iter().filter(|m| m.kind != "zero").peekable();
    if reparametrized.peek().is_some() {
        let text = |m: &MoveRow| {
            format!(
                "{} {}: {} -> {} directions",
                m.kind,
                m.layers.join(" + "),
                m.before,
                m.after
            )
        };
        let all: Vec<String> = reparametrized.map(text).collect();
        entries.push(("snapprune.reparametrized", all.join("; ")));
    }
    let broadcasts = outcome.broadcasts_removed();
    if !broadcasts.is_empty() {
        entries.push(("snapprune.broadcasts_removed", broadcasts.join("; ")));
    }
    let branches = outcome.branches_removed();
    if !branches.is_empty() {
        entries.push(("snapprune.branches_removed", branches.join("; ")));
    }
    if let Some(chosen) = outcome.settings.iter().find(|s| s.chosen && !s.options.is_empty()) {
        entries.push(("snapprune.settings", chosen.options.join("; ")));
    }
    if let Some((ratio, _)) = dynamic.and_then(|d| d.ratio) {
        entries.push(("snapprune.gates", gates.join("; ")));
        entries.push(("snapprune.ratio_dynamic", format!("{ratio:.4}")));
    }
    inscribed(bytes, entries)
}

/// The same of a model that a plan of the file `plan` was applied to.
pub fn with_plan(bytes: Vec<u8>, plan: (&str, &PlanFile), name: &str, opened: &Opened) -> Vec<u8> {
    let (file, plan) = plan;
    let changed = plan.groups.iter().filter(|g| g.width_before != g.width_after);
    let moves = changed.map(|g| moved(&g.layers, g.width_before, g.width_after));
    let mut entries = vec![
        ("snapprune.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("snapprune.source", name.to_owned()),
        ("snapprune.source.blake3", opened.model.hash.clone()),
        ("snapprune.plan", file.to_owned()),
        ("snapprune.moves", moves.collect::<Vec<_>>().join("; ")),
    ];
    let (rotated, pairs) = (&plan.reparametrized.rotated, &plan.reparametrized.pairs);
    let rotated = rotated.iter().map(|value| format!("rotation {value}"));
    let all: Vec<String> = rotated
        .chain(pairs.iter().map(|p| format!("rank {}", p.layer)))
        .collect();
    if !all.is_empty() {
        entries.push(("snapprune.reparametrized", all.join("; ")));
    }
    if !plan.broadcasts.is_empty() {
        entries.push(("snapprune.broadcasts_removed", plan.broadcasts.join("; ")));
    }
    if !plan.branches.is_empty() {
        entries.push(("snapprune.branches_removed", plan.branches.join("; ")));
    }
    inscribed(bytes, entries)
}

/// A group's change, called after its first layer.
fn moved(layers: &[String], before: usize, after: usize) -> String {
    format!("{}: {before} -> {after}", layers.first().map_or("", String::as_str))
}

/// The model with these entries in place of those that it had.
fn inscribed(bytes: Vec<u8>, entries: Vec<(&str, String)>) -> Vec<u8> {
    let bytes = Bytes::from(bytes);
    let mut proto = match parse(bytes.clone()) {
        Ok(model) => model.proto,
        Err(_) => return bytes.into(),
    };
    proto.metadata_props.retain(|p| !p.key().starts_with("snapprune."));
    proto
        .metadata_props
        .extend(entries.into_iter().map(|(key, value)| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value),
        }));
    declare_weights(&mut proto);
    encode(&proto)
}
