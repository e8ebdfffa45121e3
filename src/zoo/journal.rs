//! The output folder's journals: one file for each model, whole at every moment.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::digest::{Digests, digest};
use super::entry::{JournalEntry, State};
use super::failure::FailureKind;
use super::item::Item;
use crate::onnx::save;
use crate::{Error, Result};

/// The journals of an output folder.
#[derive(Debug)]
pub struct Journal {
    out: PathBuf,
    digests: Digests,
}

impl Journal {
    /// Opens or makes an output folder.
    ///
    /// # Errors
    /// When it cannot be made or written to.
    pub fn open(out: &Path) -> Result<Self> {
        let folder = out.join("journal");
        std::fs::create_dir_all(&folder).map_err(|e| Error::file(&folder, e))?;
        tempfile::tempfile_in(out).map_err(|e| Error::file(out, e))?;
        Ok(Self {
            out: out.to_path_buf(),
            digests: Digests::default(),
        })
    }

    /// The output folder.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// A file of the folder, its own folder made.
    pub(super) fn place(&self, kind: &str, name: &str, ending: &str) -> Result<PathBuf> {
        let path = self.out.join(kind).join(format!("{name}{ending}"));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
        }
        Ok(path)
    }

    /// What is known of a model; nothing where there is no journal, or one that is of no use.
    pub fn read(&self, item: &Item) -> JournalEntry {
        let path = self.out.join("journal").join(format!("{}.json", item.name));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let known = serde_json::from_str::<JournalEntry>(&text)
            .ok()
            .filter(|e| e.schema_version == 1);
        known.unwrap_or_else(|| JournalEntry {
            schema_version: 1,
            name: item.name.clone(),
            model: item.model.clone(),
            ..JournalEntry::default()
        })
    }

    /// Writes a model's journal.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, entry: &JournalEntry) -> Result<()> {
        let path = self.place("journal", &entry.name, ".json")?;
        let text = serde_json::to_string_pretty(entry).unwrap_or_default();
        save(&path, format!("{text}\n").as_bytes())
    }

    /// A model's log, which nobody else has while this and its copies live; `None` when another process has it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn lock(&self, item: &Item) -> Result<Option<File>> {
        let path = self.place("journal", &item.name, ".log")?;
        let fail = |e| Error::file(&path, e);
        let file = File::options()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).map_err(fail)?;
                Ok(Some(file))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            // A file system without locks: then nobody else can be told from us.
            Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => Ok(Some(file)),
            Err(TryLockError::Error(e)) => Err(fail(e)),
        }
    }

    /// What a model's files hold: the model itself and the data that its flags name, with their BLAKE3; what cannot be read
    /// is left out.
    pub(super) fn inputs(&self, item: &Item, data: &[PathBuf]) -> std::collections::BTreeMap<PathBuf, String> {
        let model = item.token.is_none().then_some(&item.model);
        let files = model.into_iter().chain(data.iter().filter(|p| !is_address(p)));
        files.filter_map(|p| Some((p.clone(), self.digests.of(p)?))).collect()
    }

    /// Whether a model is finished and nothing that it came from, or that was written, has changed since. `device` is the one
    /// at hand, where that matters. Failures are tried again when the machine was to blame.
    pub(super) fn is_fresh(&self, entry: &JournalEntry, item: &Item, settings: &str, device: Option<&str>) -> bool {
        let failed = entry.state == State::Failed;
        let other_device = device.is_some_and(|d| entry.device.as_deref().is_some_and(|e| e != d));
        entry.state.is_finished()
            && !(failed && entry.failure == Some(FailureKind::Machine))
            && entry.model == item.model
            && entry.token == item.token
            && entry.settings == settings
            && entry.tool == env!("CARGO_PKG_VERSION")
            && !other_device
            && entry
                .inputs
                .iter()
                .all(|(path, hash)| is_address(path) || self.digests.of(path).as_ref() == Some(hash))
            && (item.token.is_some() || entry.inputs.contains_key(&item.model) == item.model.is_file())
            && entry.files.iter().all(|(name, hash)| {
                let path = self.out.join(name);
                is_address(Path::new(name)) || digest(&path).is_ok_and(|h| h == *hash)
            })
    }
}

/// Whether a path is an address, whose content is somewhere else.
pub fn is_address(path: &Path) -> bool {
    path.to_string_lossy().contains("://")
}
