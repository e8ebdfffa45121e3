//! Manifests: models with flags of their own, a JSON object a line.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use super::flags::Flags;
use super::item::Item;
use super::roles::{FlagRole, has_role};
use crate::{Error, Result};

/// The models of a manifest: JSON lines with `model`, perhaps `name`, and flags of the main job by their names, such as
/// `{"model": "a.onnx", "batch": 8, "shapes": {"image": [8, 3, 96, 96]}, "calib": "a.npz", "target_latency": "0.8x"}`.
/// Paths are relative to the manifest.
///
/// # Errors
/// When it cannot be read or a row is wrong; the message names the line.
pub fn manifest(file: &Path) -> Result<Vec<Item>> {
    let text = std::fs::read_to_string(file).map_err(|e| Error::file(file, e))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    lines
        .map(|(k, line)| {
            row(line, folder).map_err(|what| Error::Usage(format!("{} line {}: {what}", file.display(), k + 1)))
        })
        .collect()
}

fn row(line: &str, folder: &Path) -> std::result::Result<Item, String> {
    let fields: Map<String, Value> = serde_json::from_str(line).map_err(|e| format!("not a JSON object ({e})"))?;
    let text = |name: &str| match fields.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.as_str())),
        Some(other) => Err(format!("\"{name}\" is {other}, not a text")),
    };
    let model = text("model")?.ok_or("it names no \"model\"")?;
    let token = text("token")?.map(str::to_owned);
    let place = |path: &str| match path.contains("://") {
        true => path.to_owned(),
        false => folder.join(path).to_string_lossy().into_owned(),
    };
    let mut flags = BTreeMap::new();
    for (key, value) in fields
        .iter()
        .filter(|(k, _)| !["model", "name", "token"].contains(&k.as_str()))
    {
        let (name, mut values) = match flag(key, value)? {
            Some(flag) => flag,
            None => continue,
        };
        if has_role(&name, FlagRole::WholeZoo) {
            return Err(format!(
                "\"{key}\" holds for the whole zoo; give it on the command line"
            ));
        }
        if Flags::is_path(&name) {
            // Letters may stand where a file does.
            let is_named = |v: &str| name != "alphabet" || Path::new(&place(v)).is_file();
            values.iter_mut().filter(|v| is_named(v)).for_each(|v| *v = place(v));
        }
        flags.insert(name, values);
    }
    let mut found = Item::new(
        Path::new(model),
        Path::new(Path::new(model).file_name().unwrap_or_default()),
    );
    if let Some(name) = text("name")? {
        let plain = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
        if !plain || name.contains('\\') {
            return Err(format!("the name '{name}' is no relative path below the output folder"));
        }
        found.name = name.to_owned();
    }
    found.model = PathBuf::from(place(model));
    found.flags = Flags(flags);
    found.token = token;
    Ok(found)
}

/// A field as a flag: its long name and its values; `None` for what is off.
fn flag(key: &str, value: &Value) -> std::result::Result<Option<(String, Vec<String>)>, String> {
    let scalar = |v: &Value| match v {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("\"{key}\" holds {other}, which no flag takes")),
    };
    let named = |name: &str, v: &Value, between: char| match v {
        Value::Array(list) => {
            let list = list.iter().map(scalar).collect::<std::result::Result<Vec<_>, _>>()?;
            Ok(format!("{name}{between}{}", list.join(",")))
        }
        one => Ok::<_, String>(format!("{name}{between}{}", scalar(one)?)),
    };
    let name = key.replace('_', "-");
    Ok(match (name.as_str(), value) {
        (_, Value::Null | Value::Bool(false)) => None,
        (_, Value::Bool(true)) => Some((name, Vec::new())),
        ("shapes" | "shape", Value::Object(all)) => {
            let values = all
                .iter()
                .map(|(n, v)| named(n, v, ':'))
                .collect::<std::result::Result<_, _>>()?;
            Some(("shape".to_owned(), values))
        }
        ("dims" | "dim", Value::Object(all)) => {
            let values = all
                .iter()
                .map(|(n, v)| named(n, v, '='))
                .collect::<std::result::Result<_, _>>()?;
            Some(("dim".to_owned(), values))
        }
        (_, Value::Array(list)) => Some((name, list.iter().map(scalar).collect::<std::result::Result<_, _>>()?)),
        (_, one) => Some((name, vec![scalar(one)?])),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::manifest;

    #[test]
    fn a_manifest_s_rows_set_flags_and_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("zoo.jsonl");
        std::fs::write(
            &file,
            r#"{"model": "m/a.onnx", "batch": 8, "shapes": {"x": [1, 3, 9, 9]}, "dims": {"h": 480}, "mean": [0.5, -0.1], "calib": "c.npz"}

{"model": "/abs/a.onnx", "name": "other/a", "target_latency": "0.8x", "exact": false, "nhwc": true, "keep": ["l1", "l2"]}
{"model": "s3://bucket/b.onnx", "token": "etag-1"}
"#,
        )
        .unwrap();
        let found = manifest(&file).unwrap();
        let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        assert_eq!(found[0].model, Path::new(&at("m/a.onnx")));
        let words = found[0].flags.words();
        let calib = format!("--calib={}", at("c.npz"));
        assert_eq!(
            words,
            [
                "--batch=8",
                &calib,
                "--dim=h=480",
                "--mean=0.5",
                "--mean=-0.1",
                "--shape=x:1,3,9,9"
            ]
        );
        assert_eq!(
            (found[1].name.as_str(), found[1].model.as_path()),
            ("other/a", Path::new("/abs/a.onnx"))
        );
        assert_eq!(
            found[1].flags.words(),
            ["--keep=l1", "--keep=l2", "--nhwc", "--target-latency=0.8x"]
        );
        assert_eq!(
            (found[2].name.as_str(), found[2].token.as_deref()),
            ("b", Some("etag-1"))
        );
        assert_eq!(found[2].model, Path::new("s3://bucket/b.onnx"));
        for (row, what) in [
            ("[]", "not a JSON object"),
            ("{}", "names no \"model\""),
            (r#"{"model": "a", "name": "../a"}"#, "no relative path"),
            (r#"{"model": "a", "gpu": 1}"#, "whole zoo"),
            (r#"{"model": "a", "batch": {"x": 1}}"#, "no flag takes"),
        ] {
            std::fs::write(&file, format!("\n{row}\n")).unwrap();
            let said = manifest(&file).unwrap_err().to_string();
            assert!(said.contains(what) && said.contains("line 2"), "{said}");
        }
    }
}
