//! `snapprune explain MODEL.snap.onnx`.

use std::collections::BTreeMap;

use super::stdout;
use crate::flags::ExplainArgs;
use crate::jobs::ModelSource;
use crate::onnx::load_bare;
use crate::{Error, Result};

/// Always `true`: a file that says nothing is an error.
pub(super) fn run(args: &ExplainArgs) -> Result<bool> {
    let source = ModelSource::of(&args.model)?;
    let model = load_bare(&source.path).map_err(|e| source.named(e))?;
    let entries = model.proto.metadata_props.iter();
    let said: BTreeMap<&str, &str> = entries
        .filter_map(|p| Some((p.key().strip_prefix("snapprune.")?, p.value())))
        .collect();
    if said.is_empty() {
        return Err(Error::Usage(format!(
            "{} says nothing of snapprune: it was not written by it, or its metadata was removed; `snapprune inspect` tells what \
             may be done to it",
            args.model.display()
        )));
    }
    if args.json {
        let json = serde_json::json!({"schema_version": 1, "snapprune": said});
        stdout::line(&format!("{json:#}"))?;
    } else {
        stdout::text(&sentences(&said))?;
    }
    Ok(true)
}

/// The entries as sentences.
fn sentences(said: &BTreeMap<&str, &str>) -> String {
    let get = |key: &str| said.get(key).copied().filter(|v| !v.is_empty());
    let source = get("source").unwrap_or("a file without a name");
    let mut lines = vec![format!(
        "made by   snapprune {} from {source} (blake3 {})",
        get("version").unwrap_or("of an unknown version"),
        get("source.blake3").unwrap_or("unknown")
    )];
    for (title, key) in [("by plan", "plan"), ("for", "device"), ("with", "stack")] {
        lines.extend(get(key).map(|v| format!("{title:<9} {v}")));
    }
    let listed = |title: &str, key: &str, none: &str| {
        let all: Vec<&str> = get(key).map_or(Vec::new(), |v| v.split("; ").collect());
        let mut lines = vec![if all.is_empty() {
            format!("{title:<9} {none}")
        } else {
            format!("{title:<9} {}", all[0])
        }];
        lines.extend(all.iter().skip(1).map(|v| format!("{:<9} {v}", "")));
        lines
    };
    lines.extend(listed("widths", "moves", "as in the original"));
    if said.contains_key("reparametrized") {
        lines.push(
            "moved     these widths are of directions: trunks were rotated (rotation), layers made two (rank):"
                .to_owned(),
        );
        lines.extend(listed("", "reparametrized", "none"));
    }
    if said.contains_key("broadcasts_removed") {
        lines.push(
            "without   broadcasts that were written out; the nodes behind them repeat their inputs themselves:"
                .to_owned(),
        );
        lines.extend(listed("", "broadcasts_removed", "none"));
    }
    if said.contains_key("branches_removed") {
        lines.push("without   residual branches: what these additions added to is handed on as it is:".to_owned());
        lines.extend(listed("", "branches_removed", "none"));
    }
    if said.contains_key("settings") {
        lines.extend(listed("run with", "settings", "the settings given"));
    }
    if said.contains_key("gates") {
        lines.extend(listed("gates", "gates", "none"));
    }
    let ratio =
        |key: &str, what: &str| get(key).map(|v| format!("latency   {v} of {what}, measured there side by side"));
    lines.extend(ratio("ratio_static", "the original's"));
    lines.extend(ratio("ratio_dynamic", "the static model's"));
    lines.extend(get("command").map(|v| format!("again     {v}")));
    lines.push(format!(
        "undo      {source} was not touched: take it in place of this file"
    ));
    lines.join("\n") + "\n"
}
