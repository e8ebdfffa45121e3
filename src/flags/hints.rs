//! What to do about an error, or where a job writes no model: which flag of the command, or which command, helps.

use std::io::ErrorKind;

use super::sample_hints::samples;
use crate::Error;
use crate::device::{CPU_PACKAGE, GPU_PACKAGE};
use crate::error::{AssumedDim, AssumedInput, DeviceError, LibraryError, SessionErrorKind, ShapeError, SymbolicShapes};
use crate::optimize::{Declined, NoGates, Outcome};

/// What helps, where anything is known to.
pub fn hint(error: &Error) -> Option<String> {
    let text = match error {
        Error::File { source, .. } => return Some(file(source.kind()).to_owned()),
        Error::LinkedWeights(_) => {
            "copy the folder with files in place of the links (cp -rL FOLDER COPY), or name it with --external-data-dir FOLDER: you then \
             vouch for what lies there, and its links are followed"
        }
        Error::UnplacedWeights(_) => {
            "name the folder with --external-data-dir DIR (from Python: external_data_dir=), or give the model as a file"
        }
        Error::Model(_) | Error::Tensor { .. } => {
            "export the model again, and check it with `check-model` of the onnx package; was it downloaded in full?"
        }
        Error::Session(e) if e.kind == SessionErrorKind::MissingCudnn => {
            return Some(format!(
                "install cuDNN 9, for example with `pip install '{GPU_PACKAGE}'`, or use --cpu; `snapprune doctor` shows what is missing"
            ));
        }
        Error::Session(_) => {
            "`snapprune doctor` checks the installation; if ONNX Runtime alone cannot run the model either, export it again"
        }
        Error::Device(error) => return Some(device(error)),
        Error::Database { .. } => {
            "`snapprune db verify` checks it; --db names another file, or delete it to start anew"
        }
        Error::DatabaseTooNew { .. } => "update snapprune, or name another file with --db",
        Error::ForeignProfile { .. } => {
            "record one here with `snapprune profile`, or accept its times with --allow-mismatch"
        }
        Error::Plan(_) => {
            "make the plan for this very file with `snapprune plan`; if it is the same network with other weights, say --other-weights"
        }
        Error::Library(error) => return Some(library(error)),
        Error::Metric(_) => {
            "a metric is a function of a model's outputs that returns a finite number; SNAPPRUNE_PYTHON names the interpreter, which needs NumPy"
        }
        Error::Usage(_) => "`snapprune --help`, or `snapprune COMMAND --help`, shows how it is used",
        Error::Shape(error) => return Some(shape(error)),
        Error::Samples(error) => return Some(samples(&error.fault)),
        Error::SymbolicShapes(shapes) => return Some(symbolic(shapes)),
        Error::Busy { .. } => "--no-wait was given: start this again when that is done, or leave it out to wait",
        Error::Stopped => return None,
    };
    Some(text.to_owned())
}

/// The error for a journal, in one line, with what helps where something is missing on the machine or in the request.
pub fn reason(error: &Error) -> String {
    match error {
        Error::SymbolicShapes(shapes) => format!("{error}. {}", symbolic(shapes)),
        Error::Busy { .. }
        | Error::Library(_)
        | Error::Device(_)
        | Error::Shape(_)
        | Error::Samples(_)
        | Error::LinkedWeights(_)
        | Error::UnplacedWeights(_)
        | Error::DatabaseTooNew { .. }
        | Error::ForeignProfile { .. } => match hint(error) {
            Some(hint) => format!("{error}; {}", hint.split_whitespace().collect::<Vec<_>>().join(" ")),
            None => error.to_string(),
        },
        _ => error.to_string(),
    }
}

/// What helps where a job writes no static model.
pub fn declined_hint(why: &Declined) -> Option<String> {
    let text = match why {
        Declined::ProfileKnowsNothing => "record one of this model with `snapprune profile`",
        Declined::NoTimeToSearch => {
            "run again to go on (what was timed is kept), or allow more time with --time-budget"
        }
        Declined::GoalNotFaster { sized: true, .. } => "ask for less, or write it all the same with --allow-slower",
        Declined::GoalNotFaster { sized: false, .. } => "ask for less latency with --target-latency",
        Declined::NoNumbers => "ask for less, or give samples with --calib that are like the real ones",
        Declined::LatencyMissed { ratio, .. } => {
            return Some(format!(
                "run again, or ask for less with --target-latency {:.2}x",
                ratio * 1.01
            ));
        }
        Declined::DropTooGreat { .. } => "allow more with --max-drop, or ask for less speed",
        Declined::LatencyNotReached { ratio, .. } => {
            return Some(format!("ask for that with --target-latency {ratio:.3}x"));
        }
        // What is held by other things than widths cannot be asked for.
        Declined::OutOfReach { least: Some(least), .. } if *least >= 0.9995 => return None,
        Declined::OutOfReach { least: Some(least), .. } => {
            // Rounded up, so that it can be reached.
            return Some(format!("ask for {:.3}x", (least * 1000.0).ceil() / 1000.0));
        }
        Declined::LimitsTogether => "relax one of them",
        Declined::NoTimeForGoals => "allow more time with --time-budget",
        Declined::DropNeedsSamples => "give labelled samples with --eval, which --max-drop is measured on",
        Declined::DropNeedsAnswers => "give other samples with --eval, or name the task with --task",
        Declined::DropOnOthers { .. } => "give more samples with --eval, or allow more with --max-drop",
        Declined::NoTimeForDrop { .. } => "allow more time with --time-budget, or give fewer samples with --eval",
        Declined::NoPlanWithinDrop { .. } => "allow more with --max-drop",
        Declined::CutShort(why) => {
            let time = "allow more time with --time-budget, or run again to go on";
            return Some(match declined_hint(why) {
                Some(hint) if !hint.contains("--time-budget") => format!("{time}; else {hint}"),
                _ => time.to_owned(),
            });
        }
        Declined::NothingToChange(_)
        | Declined::NoPredictedGain
        | Declined::OutputsDiffer
        | Declined::AllWidthsFastest
        | Declined::NoFasterPlan
        | Declined::NotFasterAgain
        | Declined::OutOfReach { least: None, .. }
        | Declined::NothingMeasured => return None,
    };
    Some(text.to_owned())
}

/// What helps where a job writes no dynamic variant.
pub fn gates_hint(why: &NoGates) -> Option<&'static str> {
    match why {
        NoGates::NotBegun | NoGates::NotJudged => Some("allow more time with --time-budget"),
        NoGates::NeedsSamples => Some("give some with --calib"),
        NoGates::FusedNeedsGpu => Some("use --gpu, or --dynamic tiles"),
        NoGates::AllLoseTooMuch => Some("allow more with --dynamic-drop"),
        NoGates::NoFasterGate { try_fused: true } => Some("on a GPU try --dynamic fused and a larger --batch"),
        NoGates::DropTooGreat { .. } => {
            Some("give samples with --calib that are more like those of --eval, or allow more with --dynamic-drop")
        }
        NoGates::NothingToMakeItFrom
        | NoGates::NothingToLeaveOut
        | NoGates::NoStaticModel
        | NoGates::DeviceElsewhere
        | NoGates::Opset(_)
        | NoGates::NoBlock
        | NoGates::NoFasterGate { try_fused: false }
        | NoGates::OutputsDiffer
        | NoGates::NotFaster { .. } => None,
    }
}

/// Why there is no static model, with what helps, in one line.
pub fn declined_reason(why: &Declined) -> String {
    match declined_hint(why) {
        Some(hint) => format!("{why}; {hint}"),
        None => why.to_string(),
    }
}

/// Adds to the main job's JSON what helps, as `hint` beside each `declined`.
pub fn add_hints(report: &mut serde_json::Value, outcome: &Outcome) {
    report["hint"] = outcome.declined.as_ref().and_then(declined_hint).into();
    if let Some(dynamic) = &outcome.dynamic {
        report["dynamic"]["hint"] = dynamic.declined.as_ref().and_then(gates_hint).into();
    }
}

fn file(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "check the path; relative ones start in the present folder",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "make it readable (and its folder writable), or name another path"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space, or name a path on another disk",
        _ => "look at the disk and the file, then run it again",
    }
}

fn library(error: &LibraryError) -> String {
    match error {
        LibraryError::NotFound { inactive: Some(name) } => format!(
            "if it is yours, activate it with\n    \
             . {name}/bin/activate\n\
             (if ONNX Runtime is not in it: pip install '{CPU_PACKAGE}'), or name the library with --ort-lib"
        ),
        LibraryError::NotFound { inactive: None } => format!(
            "install it with\n    \
             python3 -m venv .venv && . .venv/bin/activate && pip install '{CPU_PACKAGE}'\n\
             (on a GPU machine: '{GPU_PACKAGE}'), or name the library with --ort-lib"
        ),
        LibraryError::NoFile { variable: None, .. } => "name ONNX Runtime's library itself with --ort-lib".to_owned(),
        LibraryError::NoFile { variable: Some(v), .. } => {
            format!("set {v} to ONNX Runtime's library, or leave it unset")
        }
        LibraryError::Unusable { .. } => {
            format!("install ONNX Runtime with `pip install '{CPU_PACKAGE}'`, or name another library with --ort-lib")
        }
        LibraryError::Planted { .. } | LibraryError::Loaded { .. } => {
            "`snapprune doctor` checks the installation".to_owned()
        }
    }
}

fn device(error: &DeviceError) -> String {
    match error {
        DeviceError::NoGpu { .. } => "install the NVIDIA driver, or use --cpu".to_owned(),
        DeviceError::NoSuchGpu { .. } => "name one of them with --gpu, or use --cpu".to_owned(),
        DeviceError::NoCudaProvider { .. } => {
            format!("install it with\n    pip install '{GPU_PACKAGE}'\nor use --cpu")
        }
        DeviceError::CudaNotLoaded { .. } => format!(
            "install CUDA 13 and cuDNN 9, for example with\n    pip install '{GPU_PACKAGE}'\nor use --cpu; `snapprune doctor` shows which \
             library is missing"
        ),
        DeviceError::NoPlugin { name } => {
            format!("pip install onnxruntime-ep-{name}\nor --ep-library FILE --ep-name NAME")
        }
        DeviceError::PluginNotLoaded { .. } => format!("pip install --upgrade '{CPU_PACKAGE}'"),
        DeviceError::NoAnswer { library: Some(_), .. } => {
            "is its driver or its device stuck, or in use elsewhere? `snapprune doctor` tries every plug-in by itself; one that only takes \
             long may do so with --ep-timeout 5m"
                .to_owned()
        }
        DeviceError::NoAnswer { library: None, .. } => {
            "what was timed is kept; allow more time with --time-budget, or leave it out if the device only takes long".to_owned()
        }
        DeviceError::LeftBehind => "try again when it has answered, or do what is left to do in a new process".to_owned(),
        DeviceError::NoPluginDevice { .. } => {
            "--ep-device names one that it offers (the second GPU: GPU:1); OpenVINO's plug-in offers Intel's processors alone".to_owned()
        }
        DeviceError::OutOfMemory(_) => "end other programs on the device, or use a smaller --batch".to_owned(),
        DeviceError::Recorded { .. } => "leave --profile out where the device is here".to_owned(),
        DeviceError::Other(_) => "`snapprune doctor` checks drivers and libraries".to_owned(),
    }
}

fn shape(error: &ShapeError) -> String {
    match error {
        ShapeError::UnknownInput { .. } => "--shape NAME:1,3,224,224 takes the name of an input".to_owned(),
        ShapeError::Missing { input } | ShapeError::Rank { input, .. } => {
            format!("give it with --shape {input}:1,3,224,224")
        }
        ShapeError::FixedAxis { .. } => {
            "--shape changes only what the model leaves open; export it for the other shape".to_owned()
        }
        ShapeError::UnknownSymbol { .. } => "--dim NAME=N takes the name of a symbolic dimension".to_owned(),
        ShapeError::FixedBatch { .. } => "leave --batch out".to_owned(),
        ShapeError::TooLarge { .. } => {
            "give a smaller shape with --shape or --dim where the model leaves it open".to_owned()
        }
    }
}

/// The flags that give the shapes, as in `--shape x:1,3,H,W (or --dim height=H)`.
fn symbolic(shapes: &SymbolicShapes) -> String {
    let flags: Vec<String> = shapes.inputs.iter().map(flags).collect();
    format!(
        "Give the real shape with {}; where the model comes from, or its preprocessing, tells it",
        flags.join(" ")
    )
}

fn flags(input: &AssumedInput) -> String {
    let letter = |axis: usize| match (axis, input.dims.len()) {
        (0, _) => "N".to_owned(),
        (1, 3..) => "C".to_owned(),
        (2, 4) => "H".to_owned(),
        (3, 4) => "W".to_owned(),
        (axis, _) => format!("D{axis}"),
    };
    let open = |axis: usize| input.assumed.iter().any(|dim| dim.axis == axis);
    let size = |(axis, n): (usize, &usize)| if open(axis) { letter(axis) } else { n.to_string() };
    let shape: Vec<String> = input.dims.iter().enumerate().map(size).collect();
    let dim = |dim: &AssumedDim| format!("--dim {}={}", dim.symbol, letter(dim.axis));
    let named = input.assumed.iter().filter(|dim| !dim.symbol.is_empty());
    let dims: Vec<String> = named.map(dim).collect();
    let shape = format!("--shape {}:{}", input.name, shape.join(","));
    match dims.is_empty() {
        true => shape,
        false => format!("{shape} (or {})", dims.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{declined_hint, declined_reason, gates_hint, hint};
    use crate::Error;
    use crate::error::{DeviceError, ErrorCode, LibraryError, SessionError};
    use crate::optimize::{Declined, GateDrop, NoGates};

    #[test]
    fn a_declined_job_comes_with_the_flag_that_helps() {
        let hint = |why: &Declined| declined_hint(why).unwrap();
        let slower = |sized| Declined::GoalNotFaster {
            ratio: 1.1,
            noise: 0.01,
            sized,
        };
        assert!(hint(&slower(true)).contains("--allow-slower") && !hint(&slower(false)).contains("--allow-slower"));
        let late = Declined::CutShort(Box::new(Declined::NoTimeForDrop { allowed: 0.01 }));
        assert_eq!(hint(&late).matches("--time-budget").count(), 1);
        let both = hint(&Declined::CutShort(Box::new(Declined::DropNeedsSamples)));
        assert!(both.contains("--time-budget") && both.contains("--eval"), "{both}");
        assert!(declined_reason(&late).starts_with(&late.to_string()));
        assert_eq!(
            declined_reason(&Declined::NoFasterPlan),
            Declined::NoFasterPlan.to_string()
        );

        let lost = gates_hint(&NoGates::DropTooGreat {
            drop: GateDrop {
                value: 0.2,
                interval: None,
                samples: 20,
                searched_on: None,
            },
            allowed: 0.1,
            held_out: 0.05,
            own_metric: false,
        });
        assert!(lost.is_some_and(|hint| hint.contains("--eval") && hint.contains("--dynamic-drop")));
        assert!(gates_hint(&NoGates::NotBegun).is_some_and(|hint| hint.contains("--time-budget")));
        assert_eq!(gates_hint(&NoGates::NoBlock), None);
    }

    #[test]
    fn what_is_missing_comes_with_what_to_do() {
        let hint = |error: Error| hint(&error).unwrap();
        let library = |inactive: Option<&str>| {
            hint(Error::Library(LibraryError::NotFound {
                inactive: inactive.map(str::to_owned),
            }))
        };
        assert!(library(Some(".venv")).contains(". .venv/bin/activate"));
        assert!(library(None).contains(&format!("pip install '{}'", crate::device::CPU_PACKAGE)));
        let cuda = hint(Error::Device(DeviceError::CudaNotLoaded {
            index: 0,
            why: "libcudnn.so.9 is missing".to_owned(),
        }));
        assert!(cuda.contains("pip install") && cuda.contains("--cpu"), "{cuda}");
        let session = |what| hint(Error::Session(SessionError::new(ErrorCode::GenericFailure, what)));
        assert!(session("cuDNN is unavailable or disabled").contains("pip install"));
        assert!(!session("CUDNN failure 4000").contains("pip install"));
    }
}
