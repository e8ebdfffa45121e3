//! What tables for people have in common.

use super::visible::one_line;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// An empty table; the columns in `numbers` are aligned to the right.
pub(crate) fn table(header: &[&str], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    for &column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The end of a text that has more than `most` characters.
pub(super) fn shorten(text: &str, most: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= most {
        return text.into_owned();
    }
    let tail: Vec<char> = text.chars().rev().take(most - 1).collect();
    format!("…{}", tail.into_iter().rev().collect::<String>())
}

/// The first of some names, and how many more there are.
pub(super) fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => shorten(one, 36),
        [first, rest @ ..] => format!("{} +{}", shorten(first, 30), rest.len()),
    }
}
