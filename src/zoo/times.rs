//! Times on their way between machines: each share writes what it has as JSON lines, which any file system carries, and reads
//! what the others wrote.

use std::path::{Path, PathBuf};

use super::flags::Flags;
use super::setup::Setup;
use super::shard::Shard;
use crate::onnx::save;
use crate::profile::{Database, Row};
use crate::{Error, Result};

fn file(out: &Path, shard: Shard) -> PathBuf {
    out.join("times")
        .join(format!("{}-of-{}.jsonl", shard.index, shard.count))
}

/// Takes over what other machines timed.
///
/// # Errors
/// When a file cannot be read or the database not be written.
pub(super) fn gather(out: &Path, db: &Path, flags: &Flags) -> Result<()> {
    let Ok(files) = std::fs::read_dir(out.join("times")) else {
        return Ok(());
    };
    let mut files: Vec<PathBuf> = files.flatten().map(|f| f.path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "jsonl"));
    files.sort();
    let mut database = flags.database(db)?;
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|e| Error::file(&file, e))?;
        database.take_over(&Row::of_lines(&text, &file.display().to_string())?)?;
    }
    Ok(())
}

/// Writes what this machine timed, if others do their share.
///
/// # Errors
/// When the database cannot be read or the file not be written.
pub(super) fn publish(setup: &Setup) -> Result<()> {
    if setup.shard.count < 2 || !setup.db.is_file() {
        return Ok(());
    }
    let file = file(&setup.out, setup.shard);
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
    }
    save(&file, Row::lines(&Database::open(&setup.db)?.rows()?).as_bytes())
}
