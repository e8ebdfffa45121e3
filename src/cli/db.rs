//! `snapprune db`.

use std::path::Path;

use super::stdout;
use crate::flags::{DbAction, DbArgs};
use crate::jobs::must_be_a_file;
use crate::onnx::save;
use crate::profile::{Database, Row, summarize};
use crate::{Error, Result};

/// `false` when `verify` finds a fault.
pub(super) fn run(args: &DbArgs) -> Result<bool> {
    let path = args.db.clone().or_else(Database::default_path);
    let path = path.ok_or_else(|| Error::Usage("no cache folder is known; name a database with --db".to_owned()))?;
    if !matches!(args.action, DbAction::Merge { .. } | DbAction::Import { .. }) && !path.is_file() {
        return Err(Error::Usage(format!(
            "{} is not there; it is made when a model is optimized or profiled",
            path.display()
        )));
    }
    let mut database = Database::open(&path)?;
    match &args.action {
        DbAction::Ls => list(&database.rows()?)?,
        DbAction::Show { device } => show(&database.rows()?, device)?,
        DbAction::Merge { files } => {
            for file in files {
                must_be_a_file(file)?;
                let changed = database.take_over(&Database::open(file)?.rows()?)?;
                stdout::line(&format!("{}: {changed} records taken over", file.display()))?;
            }
        }
        DbAction::Export { file } => export(&database.rows()?, file)?,
        DbAction::Import { file } => {
            let changed = database.take_over(&read_lines(file)?)?;
            stdout::line(&format!("{}: {changed} records taken over", file.display()))?;
        }
        DbAction::Gc { days } => stdout::line(&format!("{} records removed", database.remove_old(*days)?))?,
        DbAction::Verify => {
            let mut faults = database.faults()?;
            let rows = database.rows()?;
            faults.extend(
                rows.iter()
                    .filter(|r| !r.is_sound())
                    .map(|r| format!("{} on {}: times that cannot be", r.problem.key(), r.device)),
            );
            for fault in &faults {
                stdout::line(fault)?;
            }
            stdout::line(&format!("{} records, {} faults", rows.len(), faults.len()))?;
            return Ok(faults.is_empty());
        }
    }
    Ok(true)
}

fn list(rows: &[Row]) -> Result<()> {
    for part in rows.chunk_by(|a, b| (&a.device, &a.stack) == (&b.device, &b.stack)) {
        let Some(first) = part.first() else { continue };
        stdout::line(&format!(
            "{}  {:6} problems  {} · {}",
            first.device,
            part.len(),
            first.name,
            first.stack
        ))?;
        if let Some(why) = first.former() {
            stdout::line(&format!("{:16}  {why}", ""))?;
        }
    }
    Ok(())
}

fn show(rows: &[Row], device: &str) -> Result<()> {
    let found: Vec<&Row> = rows.iter().filter(|r| r.device.starts_with(device)).collect();
    if found.is_empty() {
        return Err(Error::Usage(format!(
            "no device '{device}' is recorded; see `snapprune db ls`"
        )));
    }
    for row in found {
        let (p, s) = (&row.problem, summarize(&row.samples));
        stdout::line(&format!(
            "{:9.4} ms ± {:.4} ({:3})  {} {:?} {} → {} groups {} at {:?} batch {} {} {:?} {}",
            s.median,
            s.mad,
            s.n,
            p.op,
            p.kernel,
            p.cin,
            p.cout,
            p.groups,
            p.space,
            p.batch,
            p.dtype,
            p.producer_layout,
            p.activation
        ))?;
    }
    Ok(())
}

fn export(rows: &[Row], file: &Path) -> Result<()> {
    let text = Row::lines(rows);
    if file == Path::new("-") {
        return stdout::text(&text);
    }
    save(file, text.as_bytes())?;
    stdout::line(&format!("{}: {} records", file.display(), rows.len()))
}

fn read_lines(file: &Path) -> Result<Vec<Row>> {
    let text = std::fs::read_to_string(file).map_err(|e| Error::file(file, e))?;
    Row::of_lines(&text, &file.display().to_string())
}
