//! Images by the names of their files.

use crate::data::geometry::Geometry;

/// An image with the name of its file.
#[derive(Clone, Debug)]
pub(super) struct NamedPlace {
    pub(super) name: String,
    pub(super) geometry: Geometry,
}

impl NamedPlace {
    /// The last part of its path.
    pub(super) fn file_name(&self) -> &str {
        file_name(&self.name)
    }

    /// That without its ending.
    pub(super) fn stem(&self) -> &str {
        stem(self.file_name())
    }
}

/// The last part of a path, whose parts are divided as on any system.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

pub(super) fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The first few of some names, and how many more there are.
pub(super) fn some_of(names: &[&str]) -> String {
    const SHOWN: usize = 3;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
