//! The entry by which a process that is not ours loads the operators: `register_custom_ops_library` in Python.

use ort::AsPointer;

/// Adds the operators to a session's options. Called by ONNX Runtime.
///
/// # Safety
/// `options` and `base` are what ONNX Runtime hands to a library of operators.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn RegisterCustomOps(
    options: *mut ort::sys::OrtSessionOptions,
    base: *const ort::sys::OrtApiBase,
) -> ort::sys::OrtStatusPtr {
    // SAFETY: the base is ONNX Runtime's own; it gives null for versions that it does not have.
    let api = unsafe { base.as_ref().map(|b| (b.GetApi)(ort::sys::ORT_API_VERSION)) };
    // SAFETY: as above.
    let Some(api) = api.and_then(|api| unsafe { api.as_ref() }) else {
        return ort::sys::OrtStatusPtr(std::ptr::null_mut());
    };
    ort::set_api(api.clone());
    let Ok(domain) = super::domain() else {
        let what = c"snapprune's operators cannot be made with this version of ONNX Runtime";
        // SAFETY: the text lives as long as the process.
        return unsafe { (api.CreateStatus)(ort::sys::OrtErrorCode::ORT_FAIL, what.as_ptr()) };
    };
    // Sessions keep a pointer to the operators for as long as they live.
    let domain = Box::leak(Box::new(domain));
    // SAFETY: both pointers are live.
    unsafe { (api.AddCustomOpDomain)(options, domain.ptr().cast_mut()) }
}
