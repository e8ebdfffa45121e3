//! Versions of NVIDIA's libraries that the CUDA provider runs with: times depend on them.

use std::ffi::c_int;

use cudarc::driver::sys;
use libloading::Library;

/// What the provider runs with, as it stands among the options of the stack: `cuda_driver=13.0 cuda_runtime=13.1 cudnn=9.28.1`. What
/// cannot be asked is `unknown`. Asked after the provider was loaded, it is what the provider uses.
pub(super) fn versions() -> String {
    stack(driver(), runtime(), cudnn())
}

fn stack(driver: Option<u64>, runtime: Option<u64>, cudnn: Option<u64>) -> String {
    let known = |version: Option<String>| version.unwrap_or_else(|| "unknown".to_owned());
    format!(
        "cuda_driver={} cuda_runtime={} cudnn={}",
        known(driver.and_then(cuda)),
        known(runtime.and_then(cuda)),
        known(cudnn.and_then(of_cudnn))
    )
}

/// `CUDA_VERSION`: 1000 · major + 10 · minor (CUDA Driver API, Version Management).
fn cuda(number: u64) -> Option<String> {
    (number >= 1000).then(|| format!("{}.{}", number / 1000, number % 1000 / 10))
}

/// `CUDNN_VERSION`: 10000 · major + 100 · minor + patch since 9, before that 1000 · major + 100 · minor + patch.
fn of_cudnn(number: u64) -> Option<String> {
    let unit = if number >= 90_000 { 10_000 } else { 1000 };
    (number >= 1000).then(|| format!("{}.{}.{}", number / unit, number % unit / 100, number % 100))
}

/// The newest CUDA that the driver serves.
fn driver() -> Option<u64> {
    // SAFETY: only tries to open the driver's library.
    if !unsafe { sys::is_culib_present() } {
        return None;
    }
    let mut version: c_int = 0;
    // SAFETY: the function writes one integer, and may be called before anything else.
    let done = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    (done == sys::CUresult::CUDA_SUCCESS).then(|| u64::try_from(version).ok())?
}

fn runtime() -> Option<u64> {
    let library = opened(&["libcudart.so.13", "libcudart.so.12", "libcudart.so"])?;
    // SAFETY: the signature is that of CUDA's runtime, in every version.
    let get = unsafe { library.get::<unsafe extern "C" fn(*mut c_int) -> c_int>(b"cudaRuntimeGetVersion\0") }.ok()?;
    let mut version: c_int = 0;
    // SAFETY: the function writes one integer.
    (unsafe { get(&raw mut version) } == 0).then(|| u64::try_from(version).ok())?
}

fn cudnn() -> Option<u64> {
    let library = opened(&["libcudnn.so.9", "libcudnn.so.8", "libcudnn.so"])?;
    // SAFETY: the signature is that of cuDNN, in every version.
    let get = unsafe { library.get::<unsafe extern "C" fn() -> usize>(b"cudnnGetVersion\0") }.ok()?;
    // SAFETY: the function takes nothing and gives a number.
    u64::try_from(unsafe { get() }).ok()
}

/// The first of some libraries that this process has loaded; else the first that the system's loader finds.
fn opened(names: &[&str]) -> Option<Library> {
    #[cfg(target_os = "linux")]
    {
        use libloading::os::unix;
        /// Of `dlfcn.h`: only what is loaded already.
        const RTLD_NOLOAD: std::ffi::c_int = 4;
        // SAFETY: nothing is loaded that was not.
        let here = |name: &&str| unsafe { unix::Library::open(Some(*name), unix::RTLD_LAZY | RTLD_NOLOAD) }.ok();
        if let Some(library) = names.iter().find_map(here) {
            return Some(library.into());
        }
    }
    // SAFETY: these libraries only set themselves up when they are loaded.
    names.iter().find_map(|name| unsafe { Library::new(*name) }.ok())
}

#[cfg(test)]
mod tests {
    use super::{cuda, of_cudnn, opened, stack, versions};

    #[test]
    fn numbers_become_versions() {
        let cudas = [12000, 12090, 13000, 13050].map(|n| cuda(n).unwrap());
        assert_eq!(cudas, ["12.0", "12.9", "13.0", "13.5"]);
        let cudnns = [7605, 8902, 90_000, 91_002, 92_801].map(|n| of_cudnn(n).unwrap());
        assert_eq!(cudnns, ["7.6.5", "8.9.2", "9.0.0", "9.10.2", "9.28.1"]);
        assert_eq!((cuda(0), of_cudnn(0)), (None, None));
    }

    #[test]
    fn what_is_not_known_says_so() {
        assert_eq!(
            stack(Some(13000), Some(13050), Some(92_801)),
            "cuda_driver=13.0 cuda_runtime=13.5 cudnn=9.28.1"
        );
        assert_eq!(
            stack(None, Some(0), None),
            "cuda_driver=unknown cuda_runtime=unknown cudnn=unknown"
        );
    }

    #[test]
    fn a_machine_without_the_libraries_is_asked_in_vain() {
        assert!(opened(&["libcudnn-of-nobody.so.0"]).is_none());
        let found = versions();
        assert!(
            found.starts_with("cuda_driver=") && found.contains(" cudnn="),
            "{found}"
        );
    }
}
