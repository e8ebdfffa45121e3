//! Where plug-ins are: in Python's packages `onnxruntime_ep_*`, or in a file that is named.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::openvino;
use super::slot::PluginSlot;
use crate::device::environments::package_folders;
use crate::error::DeviceError;
use crate::{Error, Result};

/// What the caller asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginChoice {
    /// The short name of an installed plug-in, such as `openvino`, or the name of the provider in `library`.
    pub name: String,
    /// The plug-in's library; `None`: the one that is installed.
    pub library: Option<PathBuf>,
    /// The device that it is to use.
    pub slot: PluginSlot,
    /// Options of the provider, by name.
    pub options: Vec<(String, String)>,
    /// How long it may take to load and to tell its devices; `None`: [`PLUGIN_PATIENCE`](crate::device::PLUGIN_PATIENCE).
    pub patience: Option<Duration>,
}

/// A plug-in's library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// Its short name: `openvino` of the package `onnxruntime_ep_openvino`.
    pub name: String,
    /// The library's file.
    pub library: PathBuf,
}

/// The plug-ins among Python's packages, by name; the first of a name counts, as for ONNX Runtime itself.
pub fn installed_plugins() -> Vec<Plugin> {
    let mut found: Vec<Plugin> = Vec::new();
    for site in package_folders() {
        let entries = std::fs::read_dir(&site).into_iter().flatten().flatten();
        let mut plugins: Vec<Plugin> = entries.filter_map(|e| plugin_in(&e.path())).collect();
        plugins.sort_by(|a, b| a.name.cmp(&b.name));
        for plugin in plugins {
            if found.iter().all(|f| f.name != plugin.name) {
                found.push(plugin);
            }
        }
    }
    found
}

/// The plug-in of a package's folder, if it is one.
fn plugin_in(folder: &Path) -> Option<Plugin> {
    let name = folder.file_name()?.to_str()?.strip_prefix(PACKAGE)?.replace('_', "-");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).ok()?.flatten().map(|e| e.path()).collect();
    files.sort();
    let library = files.into_iter().find(|p| is_plugin(p) && p.is_file())?;
    Some(Plugin { name, library })
}

/// How the folders of packages begin that bring a plug-in.
const PACKAGE: &str = "onnxruntime_ep_";

fn is_plugin(file: &Path) -> bool {
    let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let library = [".so", ".dll", ".dylib"].iter().any(|end| name.ends_with(end));
    library && name.trim_start_matches("lib").starts_with("onnxruntime_providers_")
}

impl PluginChoice {
    /// The plug-in's library.
    ///
    /// # Errors
    /// [`DeviceError::NoPlugin`] where none of the name is installed; a file that is named must be there.
    pub(super) fn library(&self) -> Result<PathBuf> {
        if let Some(file) = &self.library {
            let file = file.canonicalize().map_err(|e| Error::file(file, e))?;
            return Ok(file);
        }
        let found = installed_plugins().into_iter().find(|p| p.name == self.name);
        let missing = || DeviceError::NoPlugin {
            name: self.name.clone(),
        };
        found.map(|p| p.library).ok_or_else(|| Error::Device(missing()))
    }

    /// The options for so many threads (0: the provider's choice), in the order of their names.
    pub(super) fn options_for(&self, provider: &str, target: &str, threads: usize) -> Vec<(String, String)> {
        let mut options = match provider {
            openvino::PROVIDER => openvino::options(&self.options, target, threads),
            _ => self.options.clone(),
        };
        options.sort();
        options
    }
}

#[cfg(test)]
mod tests {
    use super::plugin_in;

    #[test]
    fn a_package_with_a_provider_is_a_plugin() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("onnxruntime_ep_nv_thing");
        std::fs::create_dir(&package).unwrap();
        assert_eq!(plugin_in(&package), None);
        for name in ["libopenvino.so.26", "libonnxruntime_providers_thing.so", "cache.json"] {
            std::fs::write(package.join(name), b"").unwrap();
        }
        let found = plugin_in(&package).unwrap();
        assert_eq!(found.name, "nv-thing");
        assert!(found.library.ends_with("libonnxruntime_providers_thing.so"));
        assert_eq!(plugin_in(folder.path()), None);
    }
}
