//! The models of a zoo: from folders, patterns, files, and manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::flags::Flags;
use crate::{Error, Result};

/// A model of the zoo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Its name, also that of what is written: parts with `/` between them.
    pub name: String,
    /// Its file.
    pub model: PathBuf,
    /// Its own flags of the main job.
    #[serde(default)]
    pub flags: Flags,
    /// What stands for its content, where the file is not here to be read (an object store's tag).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// The models of all places, in the order of their names. A place is a folder (with its folders), a pattern such as
/// `models/*.onnx`, a manifest (`.jsonl`), or a model. What lies in `out` is left out, and what snapprune wrote.
///
/// # Errors
/// When a place is not there or holds no models, a manifest's row is wrong, or two models have one name.
pub fn find(places: &[PathBuf], out: &Path) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    for place in places {
        let before = items.len();
        if place.extension().is_some_and(|e| e == "jsonl") {
            items.extend(manifest(place)?);
        } else if place.is_dir() {
            let mut files = Vec::new();
            let mut seen = BTreeSet::new();
            walk(place, out, &mut seen, &mut files)?;
            for file in files {
                items.push(item(&file, file.strip_prefix(place).unwrap_or(&file)));
            }
        } else if place.is_file() {
            items.push(item(place, Path::new(place.file_name().unwrap_or_default())));
        } else {
            let text = place.to_string_lossy();
            let wrong = |e: glob::PatternError| Error::Usage(format!("{text}: not a pattern ({e})"));
            let fixed = fixed_part(place);
            for found in glob::glob(&text).map_err(wrong)? {
                let file = found.map_err(|e| Error::file(e.path().to_path_buf(), e.into()))?;
                if file.is_file() && !ours(&file) {
                    items.push(item(&file, file.strip_prefix(&fixed).unwrap_or(&file)));
                }
            }
        }
        if items.len() == before {
            return Err(Error::Usage(format!(
                "{}: no models there; name a folder, a pattern in quotation marks, a .jsonl manifest or .onnx files",
                place.display()
            )));
        }
    }
    items.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = items.windows(2).find(|w| w[0].name == w[1].name) {
        return Err(Error::Usage(format!(
            "two models are called '{}': {} and {}; give them names in a manifest",
            pair[0].name,
            pair[0].model.display(),
            pair[1].model.display()
        )));
    }
    Ok(items)
}

fn item(file: &Path, named: &Path) -> Item {
    let parts = named.with_extension("");
    let parts: Vec<String> = parts
        .components()
        .filter_map(|c| match c {
            Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    Item {
        name: parts.join("/"),
        model: file.to_path_buf(),
        flags: Flags::default(),
        token: None,
    }
}

/// The folders of a pattern before its first wild one.
fn fixed_part(pattern: &Path) -> PathBuf {
    let wild = |c: &Component| c.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let folder = pattern.parent().unwrap_or(Path::new(""));
    folder.components().take_while(|c| !wild(c)).collect()
}

/// Whether snapprune wrote a file of this name.
fn ours(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name.ends_with(".snap.onnx") || name.ends_with(".snap.dynamic.onnx")
}

/// The `.onnx` files of a folder and its folders; links are followed, each folder is seen once.
fn walk(folder: &Path, out: &Path, seen: &mut BTreeSet<PathBuf>, files: &mut Vec<PathBuf>) -> Result<()> {
    let fail = |e| Error::file(folder, e);
    let real = folder.canonicalize().map_err(fail)?;
    if out.canonicalize().is_ok_and(|o| o == real) || !seen.insert(real) {
        return Ok(());
    }
    let entries = std::fs::read_dir(folder).map_err(fail)?;
    let mut paths: Vec<PathBuf> = entries
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(fail)?
        .iter()
        .map(|e| e.path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, out, seen, files)?;
        } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx")) && !ours(&path) {
            files.push(path);
        }
    }
    Ok(())
}

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

/// Flags that hold for the whole zoo, or that it sets itself.
const NOT_IN_ROWS: [&str; 9] = [
    "cpu", "gpu", "db", "ort-lib", "output", "report", "json", "quiet", "verbose",
];

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
        if NOT_IN_ROWS.contains(&name.as_str()) {
            return Err(format!(
                "\"{key}\" holds for the whole zoo; give it on the command line"
            ));
        }
        if Flags::is_path(&name) {
            values.iter_mut().for_each(|v| *v = place(v));
        }
        flags.insert(name, values);
    }
    let mut found = item(
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
    use std::path::{Path, PathBuf};

    use super::{find, manifest};

    #[test]
    fn folders_patterns_and_files_give_models_with_names() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in [
            "a/x.onnx",
            "b/x.onnx",
            "b/x.snap.onnx",
            "b/notes.txt",
            "out/old.onnx",
            ".hidden.onnx",
            "v1.2.onnx",
        ] {
            std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            std::fs::write(root.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(root, root.join("b/loop")).unwrap();
        let names = |places: &[PathBuf]| -> Vec<String> {
            let found = find(places, &root.join("out")).unwrap();
            found.into_iter().map(|i| i.name).collect()
        };
        assert_eq!(names(&[root.to_path_buf()]), ["a/x", "b/x", "v1.2"]);
        assert_eq!(names(&[root.join("*/x*.onnx")]), ["a/x", "b/x"]);
        assert_eq!(names(&[root.join("a/x.onnx")]), ["x"]);
        let twice = find(&[root.join("a/x.onnx"), root.join("b/x.onnx")], root)
            .unwrap_err()
            .to_string();
        assert!(twice.contains("two models are called 'x'"), "{twice}");
        let none = find(&[root.join("*.tflite")], root).unwrap_err().to_string();
        assert!(none.contains("no models there"), "{none}");
    }

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
