//! The jobs of the program: settings in, an outcome out. Nothing here knows of flags, of a terminal or of Python; the command
//! line, the worker processes of a zoo and the Python module all build these settings and show these outcomes.

mod apply;
mod bench;
mod context;
mod device;
mod files;
mod helper;
mod helper_message;
mod helper_worker;
mod inspect;
mod main_job;
mod pareto;
mod play;
mod probe_helpers;
mod profile;
mod program;
mod provider_settings;
mod session_helpers;
mod source;
mod store;
mod tensor_file;
mod turn;
mod verify;
mod video;
mod widths;
mod workloads;

pub use apply::{Applied, ApplySettings, PlanFor, apply};
pub use bench::{Accuracy, BenchOutcome, BenchSettings, bench};
pub use context::DeviceContext;
pub use device::{DeviceChoice, DeviceSettings, SettingsSearch, load_runtime};
pub use files::{must_be_a_file, same_file};
pub use helper_worker::serve_job;
pub use inspect::inspect;
pub use main_job::{MainOutcome, MainSettings, Naming, PlannedModel, optimize_model, plan_model};
pub use pareto::{ParetoOutcome, ParetoSettings, trade_off};
pub use play::{PlayOutcome, PlaySettings, play_video};
pub use profile::{ProfileSettings, ProfiledLayer, ProfiledModel, profile_model};
pub use program::{Program, lines_of};
pub use source::{ModelSource, is_stream};
pub use store::StoreSettings;
pub use turn::take_turn;
pub use verify::{VerifySettings, verify};
pub use video::{VideoMade, make_video};
pub use widths::{PredictedLayer, PredictedWidths, WidthsSettings, predict_widths};
pub use workloads::{WorkloadShape, open_workloads};
