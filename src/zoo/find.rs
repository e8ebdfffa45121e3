//! The models of a zoo: from folders, patterns, files, and manifests.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::item::Item;
use super::manifest::manifest;
use crate::{Error, Result};

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
                items.push(Item::new(&file, file.strip_prefix(place).unwrap_or(&file)));
            }
        } else if place.is_file() {
            items.push(Item::new(place, Path::new(place.file_name().unwrap_or_default())));
        } else {
            let text = place.to_string_lossy();
            let wrong = |e: glob::PatternError| Error::Usage(format!("{text}: not a pattern ({e})"));
            let fixed = fixed_part(place);
            for found in glob::glob(&text).map_err(wrong)? {
                let file = found.map_err(|e| Error::file(e.path().to_path_buf(), e.into()))?;
                if file.is_file() && !ours(&file) {
                    items.push(Item::new(&file, file.strip_prefix(&fixed).unwrap_or(&file)));
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::find;

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
}
