//! `snapprune completions SHELL` and `snapprune man FOLDER`.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use super::stdout;
use crate::flags::CommandLine;
use crate::onnx::save;
use crate::{Error, Result};

/// Prints a completion script.
pub(super) fn completions(shell: Shell) -> Result<bool> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "snapprune", &mut script);
    stdout::bytes(&script)?;
    Ok(true)
}

/// Writes `snapprune.1`, and a page for every other command, into a folder.
pub(super) fn man(folder: &Path) -> Result<bool> {
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
    let mut command = CommandLine::command().disable_help_subcommand(true);
    command.build();
    let mut pages = vec![("snapprune".to_owned(), command.clone())];
    for sub in command.get_subcommands() {
        let name = format!("snapprune-{}", sub.get_name());
        pages.push((name.clone(), sub.clone().name(name.clone()).bin_name(name)));
    }
    let count = pages.len();
    for (name, page) in pages {
        let mut text = Vec::new();
        let file = folder.join(format!("{name}.1"));
        clap_mangen::Man::new(page)
            .render(&mut text)
            .map_err(|e| Error::file(&file, e))?;
        save(&file, &text)?;
    }
    stdout::line(&format!(
        "written   {count} pages to {}; read one with `man -l {}`",
        folder.display(),
        folder.join("snapprune.1").display()
    ))?;
    Ok(true)
}
