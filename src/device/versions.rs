//! Which ONNX Runtime serves. The range that is tested stands in `pyproject.toml` alone; `build.rs` passes it on.

use std::path::Path;

use libloading::Library;

/// What pip is asked for on machines without a GPU, such as `onnxruntime>=1.23,<1.32`.
pub const CPU_PACKAGE: &str = env!("SNAPPRUNE_ONNXRUNTIME");

/// The same for NVIDIA GPUs.
pub const GPU_PACKAGE: &str = env!("SNAPPRUNE_ONNXRUNTIME_GPU");

/// The oldest version that has all functions that are called: the `api-` feature of `ort` in `Cargo.toml`.
const OLDEST_API: u32 = 22;

/// A release series of ONNX Runtime, such as `1.31`.
type Series = (u32, u32);

/// The series of a version, as far as it is one.
fn series(version: &str) -> Option<Series> {
    let mut parts = version.trim().split('.');
    let mut part = || {
        let digits: String = parts.next()?.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    Some((part()?, part()?))
}

/// The bounds of a requirement such as `onnxruntime>=1.23,<1.32`: the first series in it, and the first beyond it.
fn bounds(requirement: &str) -> Option<(Series, Series)> {
    let after = |sign: &str| requirement.split_once(sign).and_then(|(_, rest)| series(rest));
    after(">=").zip(after("<"))
}

/// The series that snapprune is tested with, in words: `1.23 to 1.31`.
pub fn tested() -> String {
    bounds(CPU_PACKAGE).map_or_else(
        || CPU_PACKAGE.to_owned(),
        |(first, beyond)| format!("{}.{} to {}.{}", first.0, first.1, beyond.0, beyond.1.saturating_sub(1)),
    )
}

/// A note on a version that snapprune is not tested with.
pub fn untested(version: &str) -> Option<String> {
    let (first, beyond) = bounds(CPU_PACKAGE)?;
    let how = match series(version) {
        Some(found) if found < first => "older than those",
        Some(found) if found >= beyond => "newer than those",
        Some(_) => return None,
        None => "not one of those",
    };
    Some(format!(
        "ONNX Runtime {version} is {how} that snapprune is tested with ({})",
        tested()
    ))
}

/// Why a version cannot be used at all.
pub(super) fn too_old(version: &str) -> Option<String> {
    let found = series(version)?;
    (found < (1, OLDEST_API)).then(|| {
        format!(
            "it is ONNX Runtime {version}; snapprune needs 1.{OLDEST_API} or newer, and is tested with {}",
            tested()
        )
    })
}

/// The version that a library itself tells; nothing where it is no ONNX Runtime, or does not load.
pub(super) fn told_by(library: &Path) -> Option<String> {
    // SAFETY: the library is about to be used as ONNX Runtime; loading only sets it up.
    let loaded = unsafe { Library::new(library) }.ok()?;
    // SAFETY: the signature is that of ONNX Runtime's C interface, in every version.
    let base =
        unsafe { loaded.get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase\0") }.ok()?;
    // SAFETY: the function takes nothing; a base lives as long as the library.
    let base = unsafe { base().as_ref() }?;
    // SAFETY: the text is a constant of the library.
    let text = unsafe { std::ffi::CStr::from_ptr((base.GetVersionString)()) };
    text.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{CPU_PACKAGE, GPU_PACKAGE, OLDEST_API, bounds, series, told_by, too_old, untested};

    #[test]
    fn versions_are_read_as_far_as_they_are_some() {
        assert_eq!(series("1.31.1"), Some((1, 31)));
        assert_eq!(series("1.32.0rc1"), Some((1, 32)));
        assert_eq!(series("1.33rc1"), Some((1, 33)));
        for none in ["", "HEAD", "1", "main.2", ".1"] {
            assert_eq!(series(none), None, "{none}");
        }
    }

    #[test]
    fn both_packages_are_asked_for_in_ranges_that_end_alike() {
        let cpu = bounds(CPU_PACKAGE).unwrap();
        let gpu = bounds(GPU_PACKAGE).unwrap();
        assert!(CPU_PACKAGE.starts_with("onnxruntime>="));
        assert!(GPU_PACKAGE.starts_with("onnxruntime-gpu[cuda,cudnn]>="));
        assert!(cpu.0 <= gpu.0 && cpu.1 == gpu.1 && cpu.0 < cpu.1);
    }

    #[test]
    fn versions_out_of_the_range_are_told() {
        let ((_, first), (_, beyond)) = bounds(CPU_PACKAGE).unwrap();
        assert_eq!(untested(&format!("1.{first}.0")), None);
        assert_eq!(untested(&format!("1.{}.7", beyond - 1)), None);
        let range = format!("(1.{first} to 1.{})", beyond - 1);
        for (version, how) in [
            (format!("1.{}.1", first - 1), "older than those"),
            (format!("1.{beyond}.0"), "newer than those"),
            ("2.0.0".to_owned(), "newer than those"),
            ("HEAD".to_owned(), "not one of those"),
        ] {
            let note = untested(&version).unwrap();
            assert!(
                note.contains(how) && note.contains(&version) && note.contains(&range),
                "{note}"
            );
        }
    }

    #[test]
    fn only_what_cannot_work_is_refused() {
        assert_eq!(too_old(&format!("1.{OLDEST_API}.0")), None);
        assert_eq!(too_old("9.9"), None);
        assert_eq!(too_old("HEAD"), None);
        let refused = too_old(&format!("1.{}.2", OLDEST_API - 1)).unwrap();
        assert!(refused.contains(&format!("1.{OLDEST_API} or newer")), "{refused}");
    }

    #[test]
    fn the_oldest_that_serves_is_what_ort_is_built_for() {
        assert_eq!(OLDEST_API, ort::MINOR_VERSION);
    }

    #[test]
    fn what_is_no_library_tells_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libonnxruntime.so");
        std::fs::write(&path, b"no library").unwrap();
        assert_eq!(told_by(&path), None);
        let found = crate::device::find_library(None).unwrap();
        assert!(series(&told_by(&found).unwrap()).is_some());
    }
}
