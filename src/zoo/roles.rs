//! What each flag of the main job is for, said once: zoos, journals and the Python package follow this table.

/// What a flag is for. One without a role decides what comes out for one model, and may stand in a manifest's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagRole {
    /// It says where the work is done, not what comes out: a journal stays fresh when it changes.
    Place,
    /// Times depend on it.
    Device,
    /// Its values are files or folders with data that choosing needs and opening a model does not.
    Data,
    /// Its values are folders that opening a model needs.
    Weights,
    /// Its values are databases that are only read.
    Times,
    /// It holds for a whole zoo, or the zoo sets it: it does not stand in a manifest's row.
    WholeZoo,
    /// `snapprune.optimize` in Python has an argument of this name.
    Python,
}

use FlagRole::{Data, Device, Place, Python, Times, Weights, WholeZoo};

/// All flags of the main job, by their long names.
#[rustfmt::skip]
pub const ROLES: &[(&str, &[FlagRole])] = &[
    // The command alone.
    ("output", &[WholeZoo]),
    ("report", &[WholeZoo]),
    ("json", &[WholeZoo]),
    ("quiet", &[WholeZoo]),
    ("verbose", &[WholeZoo]),
    ("video", &[WholeZoo]),
    // The device and the library.
    ("gpu", &[Place, Device, WholeZoo, Python]),
    ("cpu", &[Device, WholeZoo, Python]),
    ("threads", &[Device, Python]),
    ("cudnn-algo", &[Device]),
    ("nhwc", &[Device, Python]),
    ("tf32", &[Device]),
    ("cuda-graph", &[Device, Python]),
    ("settings", &[Device, Python]),
    ("ep", &[Device, WholeZoo, Python]),
    ("ep-device", &[Device, WholeZoo, Python]),
    ("ep-option", &[Device, WholeZoo, Python]),
    ("ep-library", &[Device, WholeZoo, Python]),
    ("ep-name", &[Device, WholeZoo, Python]),
    ("ep-timeout", &[Place, Device, WholeZoo, Python]),
    ("ort-lib", &[Place, Device, WholeZoo, Python]),
    ("no-wait", &[Place, Python]),
    // Where times are kept.
    ("db", &[Place, WholeZoo, Python]),
    ("shared-db", &[Place, Times, Python]),
    ("allow-mismatch", &[Python]),
    ("remeasure", &[Place, Python]),
    // How the model is opened.
    ("shape", &[Python]),
    ("dim", &[Python]),
    ("batch", &[Python]),
    ("external-data-dir", &[Weights, Python]),
    ("fix-weights", &[Python]),
    // Real inputs.
    ("eval", &[Data, Python]),
    ("metric", &[Data, Python]),
    ("calib", &[Data, Python]),
    ("calib-samples", &[Python]),
    ("requantize", &[Python]),
    ("distill", &[Python]),
    ("labels", &[Data, Python]),
    ("resize", &[Python]),
    ("pad-value", &[Python]),
    ("layout", &[Python]),
    ("channels", &[Python]),
    ("pixel-range", &[Python]),
    ("mean", &[Python]),
    ("std", &[Python]),
    ("task", &[Python]),
    ("loss", &[Python]),
    ("alphabet", &[Data, Python]),
    // What is planned.
    ("profile", &[Data, Python]),
    ("time-budget", &[Python]),
    ("keep", &[Python]),
    ("grow", &[Python]),
    ("deploy-dtype", &[Python]),
    ("grow-init", &[Python]),
    ("exact", &[]),
    ("target-latency", &[Python]),
    ("target-macs", &[Python]),
    ("max-params", &[Python]),
    ("max-memory", &[Python]),
    ("max-drop", &[Python]),
    ("allow", &[Python]),
    ("allow-slower", &[Python]),
    ("min-width", &[Python]),
    // The dynamic variant.
    ("dynamic", &[Python]),
    ("dynamic-drop", &[Python]),
    ("dynamic-keep", &[Python]),
    ("dynamic-all", &[]),
    ("no-dynamic", &[]),
    // What is written.
    ("save-as-external-data", &[]),
    ("external-data-threshold", &[]),
    ("staircases", &[Python]),
    ("seed", &[Python]),
];

/// Whether a flag has a role.
pub fn has_role(name: &str, role: FlagRole) -> bool {
    ROLES.iter().any(|(n, roles)| *n == name && roles.contains(&role))
}
