//! The files of a video.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The files of one video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoFiles {
    /// The whole model with states.
    pub dense: PathBuf,
    /// Those that compute some of the tiles, the smallest share first.
    pub tiles: Vec<PathBuf>,
    /// The model that they were made of.
    pub plain: Option<PathBuf>,
}

/// What stands in a file's name in front of its part.
const VIDEO: &str = "video-";
const DENSE: &str = "dense";

impl VideoFiles {
    /// Finds the files that belong together: `path` is the folder that holds them, one of them, or the model beside them.
    /// `plain` is the model that they were made of; without it, that is taken which lies beside them under its name.
    ///
    /// # Errors
    /// When a folder cannot be read, or it holds no such files, or those of several models.
    pub fn find(path: &Path, plain: Option<&Path>) -> Result<Self> {
        let (folder, model) = match path.is_dir() {
            true => (path, None),
            false => (path.parent().unwrap_or(Path::new("")), path.file_name()),
        };
        let model = model.map(|n| n.to_string_lossy().into_owned());
        let listed = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let entries = std::fs::read_dir(listed).map_err(|e| Error::file(listed, e))?;
        let mut names = Vec::new();
        for entry in entries {
            names.push(
                entry
                    .map_err(|e| Error::file(listed, e))?
                    .file_name()
                    .to_string_lossy()
                    .into_owned(),
            );
        }
        names.sort_unstable();
        let prefix = match model.as_deref().map(|name| (name, part(name))) {
            Some((_, Some((prefix, _)))) => prefix.to_owned(),
            Some((name, None)) => format!("{}.snap.", name.strip_suffix(".onnx").unwrap_or(name)),
            None => only_prefix(&names, folder)?,
        };
        let parts = names.iter().filter_map(|name| Some((name, part(name)?)));
        let own: Vec<(&String, &str)> = parts
            .filter(|(_, p)| p.0 == prefix)
            .map(|(name, p)| (name, p.1))
            .collect();
        let dense = own.iter().find(|(_, part)| *part == DENSE);
        let (dense, _) = dense.ok_or_else(|| {
            Error::Usage(format!(
                "there is no {}: name a folder with the files of a video, or one of them",
                folder.join(format!("{prefix}{VIDEO}{DENSE}.onnx")).display()
            ))
        })?;
        let mut tiles: Vec<(f64, &String)> = own
            .iter()
            .filter_map(|(n, part)| Some((part.parse().ok()?, *n)))
            .collect();
        tiles.sort_by(|a, b| a.0.total_cmp(&b.0));
        let name = prefix.strip_suffix('.').unwrap_or(&prefix);
        let original = format!("{}.onnx", name.strip_suffix(".snap").unwrap_or(name));
        let beside = Some(folder.join(original)).filter(|p| p.is_file());
        Ok(Self {
            dense: folder.join(dense),
            tiles: tiles.into_iter().map(|(_, name)| folder.join(name)).collect(),
            plain: plain.map(Path::to_path_buf).or(beside),
        })
    }
}

/// The prefix and the part of a video file's name: `face.snap.` and `dense` of `face.snap.video-dense.onnx`.
fn part(name: &str) -> Option<(&str, &str)> {
    name.strip_suffix(".onnx")?.rsplit_once(VIDEO)
}

/// The prefix of a folder's only video.
fn only_prefix(names: &[String], folder: &Path) -> Result<String> {
    let all = names.iter().filter_map(|n| part(n)).filter(|(_, part)| *part == DENSE);
    let mut all = all.map(|(prefix, _)| prefix);
    let told = |what: &str| Error::Usage(format!("{} holds {what}", folder.display()));
    match (all.next(), all.next()) {
        (Some(prefix), None) => Ok(prefix.to_owned()),
        (Some(_), Some(_)) => Err(told("the files of several videos: name one of them")),
        (None, _) => Err(told("no files of a video")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::VideoFiles;

    #[test]
    fn files_of_a_narrower_model_are_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let names = ["a.onnx", "a.snap.onnx", "a.snap.snap.video-dense.onnx"];
        names.iter().for_each(|n| std::fs::write(at(n), "").unwrap());
        for path in [folder.path().to_path_buf(), at("a.snap.onnx")] {
            let found = VideoFiles::find(&path, None).unwrap();
            assert_eq!(found.plain, Some(at("a.snap.onnx")), "{path:?}");
        }
    }

    #[test]
    fn files_are_found_by_folder_by_one_of_them_and_by_the_model() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let names = [
            "a.onnx",
            "a.snap.video-12.onnx",
            "a.snap.video-6.onnx",
            "a.snap.video-dense.onnx",
            "a.snap.video.data",
            "a.snap.onnx",
        ];
        names.iter().for_each(|n| std::fs::write(at(n), "").unwrap());
        let want = VideoFiles {
            dense: at("a.snap.video-dense.onnx"),
            tiles: vec![at("a.snap.video-6.onnx"), at("a.snap.video-12.onnx")],
            plain: Some(at("a.onnx")),
        };
        for path in [folder.path().to_path_buf(), at("a.onnx"), at("a.snap.video-12.onnx")] {
            assert_eq!(VideoFiles::find(&path, None).unwrap(), want, "{path:?}");
        }
        let other = Path::new("other.onnx");
        assert_eq!(
            VideoFiles::find(folder.path(), Some(other)).unwrap().plain.as_deref(),
            Some(other)
        );
        let said = |path: &Path| VideoFiles::find(path, None).unwrap_err().to_string();
        assert!(
            said(&at("b.onnx")).contains("b.snap.video-dense.onnx"),
            "{}",
            said(&at("b.onnx"))
        );
        std::fs::write(at("b.snap.video-dense.onnx"), "").unwrap();
        assert!(said(folder.path()).contains("several"));
        assert!(VideoFiles::find(&at("b.onnx"), None).unwrap().tiles.is_empty());
        assert!(said(&at("none").join("x.onnx")).contains("none"));
        let empty = tempfile::tempdir().unwrap();
        assert!(said(empty.path()).contains("no files of a video"));
    }
}
