//! Texts: a line for each sample, or a file name, a tab and a text.

use std::collections::HashMap;

use super::named::{NamedPlace, some_of};

/// The texts of `count` samples. Where each line has a tab, what stands before it is an image's name; otherwise lines are in the order
/// of the samples.
///
/// # Errors
/// When lines are missing or too many.
pub(super) fn parsed(text: &[u8], places: Option<&[NamedPlace]>, count: usize) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(text).map_err(|_| {
        "it is no text in UTF-8; labels are a COCO file (.json), a folder of masks, an .npz file with `labels`, or a text file"
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<&str> = text.lines().collect();
    let filled = || lines.iter().filter(|line| !line.is_empty());
    let (tabs, all) = (filled().filter(|l| l.contains('\t')).count(), filled().count());
    let names = places.filter(|_| tabs == all && all > 0);
    if tabs > 0 && tabs < all {
        return Err(format!(
            "{tabs} of its {all} lines have a tab; write a name, a tab and the text on every line, or texts alone"
        ));
    }
    let Some(places) = names else {
        return match lines.len() == count {
            true => Ok(lines.into_iter().map(str::to_owned).collect()),
            false => Err(format!("it has {} lines for {count} samples", lines.len())),
        };
    };
    let mut by_name: HashMap<&str, &str> = HashMap::new();
    for (name, text) in filled().filter_map(|line| line.split_once('\t')) {
        if by_name.insert(name, text).is_some() {
            return Err(format!("it names {name} twice"));
        }
    }
    let of = |place: &NamedPlace| {
        let names = [place.name.as_str(), place.file_name(), place.stem()];
        names
            .iter()
            .find_map(|name| by_name.get(name))
            .map(|text| (*text).to_owned())
    };
    let missing: Vec<&str> = places
        .iter()
        .filter(|p| of(p).is_none())
        .map(|p| p.name.as_str())
        .collect();
    match missing.is_empty() {
        true => Ok(places.iter().filter_map(of).collect()),
        false => Err(format!("it has no text for {}", some_of(&missing))),
    }
}
