//! A model of a zoo.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::flags::Flags;

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

impl Item {
    /// The model in a file; its name is that of `named`, without the ending.
    pub(super) fn new(file: &Path, named: &Path) -> Self {
        let parts = named.with_extension("");
        let parts: Vec<String> = parts
            .components()
            .filter_map(|c| match c {
                Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
                _ => None,
            })
            .collect();
        Self {
            name: parts.join("/"),
            model: file.to_path_buf(),
            flags: Flags::default(),
            token: None,
        }
    }
}
