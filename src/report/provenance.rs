//! What the written file says of itself, under `snapprune.*` in its metadata.

use std::path::Path;

use crate::onnx::proto::StringStringEntryProto;
use crate::onnx::{encode, parse};
use crate::optimize::{Opened, Outcome};

/// The model with entries on where it came from and what was done to it.
pub fn with_provenance(bytes: &[u8], path: &Path, opened: &Opened, outcome: &Outcome) -> Vec<u8> {
    let Ok(model) = parse(bytes.to_vec()) else {
        return bytes.to_vec();
    };
    let mut proto = model.proto;
    let moves: Vec<String> = outcome
        .groups
        .iter()
        .filter(|g| g.before != g.after)
        .map(|g| {
            format!(
                "{}: {} -> {}",
                g.layers.first().map_or("", String::as_str),
                g.before,
                g.after
            )
        })
        .collect();
    let file = path
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let entries = [
        ("snapprune.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("snapprune.source", file),
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
    proto.metadata_props.retain(|p| !p.key().starts_with("snapprune."));
    proto
        .metadata_props
        .extend(entries.map(|(key, value)| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value),
        }));
    encode(&proto)
}
