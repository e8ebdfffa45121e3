//! The kernels on CUDA: compiled by NVRTC for the layout and the GPU when they first run, launched on ONNX Runtime's stream.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::{Mutex, OnceLock};

use cudarc::driver::{result, sys};
use cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};

use super::layout::Layout;

/// Device addresses of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub x: *const c_void,
    pub weights: *const c_void,
    pub bias: *const c_void,
    pub chosen: *const c_void,
    /// The other addend and the fill, where the tiles are added to a map.
    pub added: Option<(*const c_void, *const c_void)>,
    pub y: *mut c_void,
}

/// Compiled kernels of a layout on a device.
#[derive(Clone, Copy)]
struct Loaded {
    conv: sys::CUfunction,
    fill: sys::CUfunction,
}

// SAFETY: function handles may be used from any thread once their context is current, which ONNX Runtime sees to.
unsafe impl Send for Loaded {}

type Key = (Layout, bool, usize);

/// Runs a layout's kernels on a stream: `samples` samples of which `keep` tiles each are computed.
///
/// # Errors
/// What the compiler or the driver says.
pub(super) fn run(
    layout: &Layout,
    at: Addresses,
    samples: usize,
    keep: usize,
    stream: *mut c_void,
) -> Result<(), String> {
    let loaded = loaded(layout, at.added.is_some())?;
    let stream: sys::CUstream = stream.cast();
    let (mut tiles, mut keeping) = ((samples * keep) as i32, keep as i32);
    let failed = |e: result::DriverError| format!("CUDA driver: {e}");
    let mut at = at;
    let (mut other, mut fill) = at.added.unwrap_or((std::ptr::null(), std::ptr::null()));
    let rows = samples as i64 * keep as i64 * layout.places();
    let blocks = |count: i64, size: i64| u32::try_from((count + size - 1) / size).unwrap_or(u32::MAX);
    if at.added.is_some() {
        let mut count = samples as i64 * layout.channels[1] * layout.map[0] * layout.map[1];
        let grid = blocks(count, 256).min(65_535);
        let mut given: [*mut c_void; 4] = [
            (&raw mut other).cast(),
            (&raw mut fill).cast(),
            (&raw mut at.y).cast(),
            (&raw mut count).cast(),
        ];
        // SAFETY: the kernel takes these four values; the addresses are ONNX Runtime's own tensors of these extents.
        unsafe { result::launch_kernel(loaded.fill, (grid, 1, 1), (256, 1, 1), 0, stream, &mut given) }
            .map_err(failed)?;
    }
    let mut given: [*mut c_void; 8] = [
        (&raw mut at.x).cast(),
        (&raw mut at.weights).cast(),
        (&raw mut at.bias).cast(),
        (&raw mut at.chosen).cast(),
        (&raw mut other).cast(),
        (&raw mut at.y).cast(),
        (&raw mut tiles).cast(),
        (&raw mut keeping).cast(),
    ];
    let grid = (blocks(rows, 64), blocks(layout.channels[1], 64), 1);
    // SAFETY: the kernel takes these eight values; extents are checked against the layout by the caller.
    unsafe { result::launch_kernel(loaded.conv, grid, (128, 1, 1), 0, stream, &mut given) }.map_err(failed)
}

fn loaded(layout: &Layout, adds: bool) -> Result<Loaded, String> {
    static ALL: OnceLock<Mutex<HashMap<Key, Loaded>>> = OnceLock::new();
    let driver = |e: result::DriverError| format!("CUDA driver: {e}");
    let context = result::ctx::get_current().map_err(driver)?;
    let context = context.ok_or("no CUDA context is current")?;
    let key = (*layout, adds, context as usize);
    let all = ALL.get_or_init(Mutex::default);
    let mut all = all.lock().map_err(|_| "another kernel failed to compile")?;
    if let Some(found) = all.get(&key) {
        return Ok(*found);
    }
    let mut options = definitions(layout, adds);
    options.push(format!("--gpu-architecture=compute_{}", capability()?));
    let options = CompileOptions {
        options,
        ..Default::default()
    };
    // A missing library makes the loader panic; that must not pass through ONNX Runtime.
    let compiled = std::panic::catch_unwind(|| compile_ptx_with_opts(include_str!("kernel.cu"), options));
    let compiled = compiled.map_err(|_| "NVRTC does not load; install nvidia-cuda-nvrtc with pip".to_owned())?;
    let ptx = compiled.map_err(|e| format!("NVRTC: {e:?}"))?;
    let image = ptx.as_bytes().ok_or("NVRTC made no image")?;
    // SAFETY: the image is a whole PTX text that ends in zero; the module stays loaded for the life of the process.
    let module = unsafe { result::module::load_data(image.as_ptr().cast()) }.map_err(driver)?;
    let function = |name: &str| -> Result<sys::CUfunction, String> {
        let name = CString::new(name).map_err(|e| e.to_string())?;
        // SAFETY: the module was just loaded.
        unsafe { result::module::get_function(module, name) }.map_err(driver)
    };
    let found = Loaded {
        conv: function("tile_conv")?,
        fill: function("fill_map")?,
    };
    all.insert(key, found);
    Ok(found)
}

/// The current device's compute capability, such as 90.
fn capability() -> Result<i32, String> {
    use sys::CUdevice_attribute as Attribute;
    let driver = |e: result::DriverError| format!("CUDA driver: {e}");
    let mut device = 0;
    // SAFETY: writes one integer; a context is current.
    unsafe { sys::cuCtxGetDevice(&raw mut device) }
        .result()
        .map_err(driver)?;
    // SAFETY: the device is the current one.
    let get = |a| unsafe { result::device::get_attribute(device, a) }.map_err(driver);
    let major = get(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    Ok(major * 10 + get(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?)
}

/// The layout as macros.
fn definitions(l: &Layout, adds: bool) -> Vec<String> {
    let pairs = [
        ("SOURCE", l.source),
        ("TILE", l.tile),
        ("KERNEL", l.kernel),
        ("STRIDE", l.strides),
        ("DILATION", l.dilations),
        ("BEFORE", l.before),
        ("STEP", l.step),
        ("MAP", l.map),
        ("MAP_STEP", l.map_step),
        ("MAP_BEFORE", l.map_before),
    ];
    let singles = [
        ("INPUTS", l.channels[0]),
        ("OUTPUTS", l.channels[1]),
        ("PLACES", l.places()),
        ("ACROSS", l.across),
        ("FROM_TILES", i64::from(l.from_tiles)),
        ("RELU", i64::from(l.relu)),
        ("MASKED", i64::from(l.masked)),
        ("ADDS", i64::from(adds)),
    ];
    let both = pairs
        .iter()
        .flat_map(|(name, [h, w])| [format!("-D{name}_H={h}"), format!("-D{name}_W={w}")]);
    both.chain(singles.iter().map(|(name, v)| format!("-D{name}={v}")))
        .collect()
}
