//! NVIDIA's libraries: those that Python's packages bring are loaded first, so that the CUDA provider finds them.

use std::path::{Path, PathBuf};

use libloading::Library;

use super::environments::package_folders;

/// A library that the CUDA provider or a part of ours needs.
#[derive(Clone, Copy, Debug)]
pub struct Needed {
    /// Its name, for people.
    pub name: &'static str,
    /// File names that it goes by.
    pub files: &'static [&'static str],
    /// What is not possible without it.
    pub without: &'static str,
    /// Whether nothing runs on the GPU without it.
    pub required: bool,
}

/// In the order in which they need each other.
pub const NEEDED: [Needed; 7] = [
    needed(
        "CUDA runtime",
        &["libcudart.so.13"],
        "the CUDA provider does not load",
        true,
    ),
    needed("NVRTC", &["libnvrtc.so.13"], "fused gates cannot be compiled", false),
    needed(
        "cuBLAS",
        &["libcublasLt.so.13", "libcublas.so.13"],
        "the CUDA provider does not load",
        true,
    ),
    needed("cuFFT", &["libcufft.so.12"], "the CUDA provider does not load", true),
    needed("cuRAND", &["libcurand.so.10"], "the CUDA provider does not load", true),
    needed("cuDNN", &["libcudnn.so.9"], "the CUDA provider does not load", true),
    needed(
        "CUPTI",
        &["libcupti.so.13"],
        "kernels and their waves are not shown",
        false,
    ),
];

const fn needed(name: &'static str, files: &'static [&'static str], without: &'static str, required: bool) -> Needed {
    Needed {
        name,
        files,
        without,
        required,
    }
}

impl Needed {
    /// Whether the system's loader finds it, or has it.
    pub fn present(&self) -> bool {
        // SAFETY: these libraries only set themselves up when they are loaded.
        self.files.iter().all(|f| unsafe { Library::new(*f) }.is_ok())
    }
}

/// Loads what the loader does not find itself from the `nvidia` packages beside ONNX Runtime, or in the Python
/// environments; it then stays loaded. What is in no package stays missing, and the provider says so.
pub(super) fn preload(library: &Path) {
    let beside = packages_of(library);
    let mut folders: Vec<PathBuf> = Vec::new();
    for needed in NEEDED.iter().filter(|n| !n.present()) {
        if folders.is_empty() {
            folders = beside
                .map(Path::to_path_buf)
                .into_iter()
                .chain(package_folders())
                .flat_map(|f| libraries(&f))
                .collect();
        }
        for file in needed.files {
            let found = folders.iter().map(|f| f.join(file)).find(|p| p.is_file());
            if let Some(path) = found {
                load(&path);
            }
        }
        if needed.name == "cuDNN" {
            // It opens its parts by name, later.
            let parts = folders
                .iter()
                .filter_map(|f| std::fs::read_dir(f).ok())
                .flatten()
                .flatten()
                .map(|e| e.path());
            let is_part = |p: &PathBuf| {
                p.file_name()
                    .is_some_and(|n| n.to_string_lossy().starts_with("libcudnn_"))
            };
            let mut parts: Vec<PathBuf> = parts.filter(is_part).collect();
            // The graph part needs none of the others.
            parts.sort_by_key(|p| (!p.to_string_lossy().contains("_graph"), p.clone()));
            parts.iter().for_each(|p| load(p));
        }
    }
}

/// The folder of packages that ONNX Runtime's library is part of; `None` where it lies elsewhere.
fn packages_of(library: &Path) -> Option<&Path> {
    let packages = library.parent()?.parent()?.parent()?;
    let own = packages.is_absolute() && library.parent()?.ends_with("onnxruntime/capi");
    own.then_some(packages)
}

/// `nvidia/*/lib` of a folder of packages.
fn libraries(packages: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(packages.join("nvidia"))
        .into_iter()
        .flatten()
        .flatten();
    entries.map(|e| e.path().join("lib")).filter(|p| p.is_dir()).collect()
}

#[cfg(unix)]
fn load(path: &Path) {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: as in `present`.
    if let Ok(library) = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) } {
        std::mem::forget(library);
    }
}

#[cfg(not(unix))]
fn load(_: &Path) {}

#[cfg(test)]
mod tests {
    use super::packages_of;

    #[test]
    fn only_a_package_has_packages_beside_it() {
        let of = |path: &'static str| packages_of(path.as_ref()).and_then(|p| p.to_str());
        assert_eq!(
            of("/env/site-packages/onnxruntime/capi/libonnxruntime.so"),
            Some("/env/site-packages")
        );
        assert_eq!(of("/usr/local/lib/libonnxruntime.so"), None);
        assert_eq!(of("onnxruntime/capi/libonnxruntime.so"), None);
    }
}
