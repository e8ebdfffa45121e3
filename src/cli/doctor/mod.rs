//! `snapprune doctor`: what is here, what is missing, and the command for it.

mod check;
mod plugins;

use std::path::{Path, PathBuf};

use check::{Check, CheckState, check};

use super::{interrupt, stdout};
use crate::Result;
use crate::device::{
    CPU_PACKAGE, CpuFallback, CudaDevice, CudaOptions, CudnnAlgo, Device, GPU_PACKAGE, NEEDED, Runtime, Timer,
    gpu_count, provider_beside, tested, untested,
};
use crate::flags::{DoctorArgs, hint};
use crate::jobs::load_runtime;
use crate::profile::Database;

/// `false` when something is at fault.
pub(super) fn run(args: &DoctorArgs) -> Result<bool> {
    let mut checks = Vec::new();
    let runtime = runtime(args, &mut checks);
    processor(&mut checks);
    gpu(runtime.as_ref(), &mut checks);
    if runtime.is_some() {
        plugins::plugins(args, &mut checks);
    }
    places(args, &mut checks);
    let well = checks.iter().all(|c| c.state != CheckState::Fault);
    if args.json {
        let json = serde_json::json!({"schema_version": 1, "well": well, "checks": checks});
        stdout::line(&format!("{json:#}"))?;
        return Ok(well);
    }
    for c in &checks {
        let mark = match c.state {
            CheckState::Ok => "ok",
            CheckState::Note => "note",
            CheckState::Fault => "FAULT",
        };
        stdout::line(&format!("{mark:<6} {:<17} {}", c.name, c.found))?;
        for line in c.todo.iter().flat_map(|t| t.lines()) {
            stdout::line(&format!("{:24} → {line}", ""))?;
        }
    }
    stdout::line(match well {
        true => "\nsnapprune can work here: try `snapprune MODEL.onnx`",
        false => "\ndo what the arrows say, then run `snapprune doctor` again",
    })?;
    Ok(well)
}

/// The library, and whether a model runs in it.
fn runtime(args: &DoctorArgs, checks: &mut Vec<Check>) -> Option<Runtime> {
    let runtime = match load_runtime(args.ort_lib.as_deref(), interrupt::stop()) {
        Ok(runtime) => runtime,
        Err(error) => {
            let todo = hint(&error);
            checks.push(check(
                "ONNX Runtime",
                CheckState::Fault,
                error.to_string(),
                todo.as_deref(),
            ));
            return None;
        }
    };
    let found = format!("{} at {}", runtime.version, runtime.library.display());
    checks.push(match untested(&runtime.version) {
        None => check("ONNX Runtime", CheckState::Ok, found, None),
        Some(_) => {
            let found = format!("{found}; snapprune is tested with {}", tested());
            let todo = format!("if anything is odd: pip install '{CPU_PACKAGE}'");
            check("ONNX Runtime", CheckState::Note, found, Some(&todo))
        }
    });
    let device = crate::device::CpuDevice::new(runtime.clone(), 1);
    checks.push(match crate::profile::smoke(&device, CpuFallback::Allowed) {
        Ok(ms) => check(
            "runs on the CPU",
            CheckState::Ok,
            format!("a convolution in {ms:.3} ms"),
            None,
        ),
        Err(error) => {
            let todo = format!("reinstall it: pip install --force-reinstall '{CPU_PACKAGE}'");
            check("runs on the CPU", CheckState::Fault, error.to_string(), Some(&todo))
        }
    });
    let own = crate::device::CpuDevice::new(runtime.clone(), 0);
    let found = format!(
        "{} within a node, as a plain InferenceSession has here",
        runtime.own_threads
    );
    checks.push(match own.remark() {
        Some(remark) => check("threads", CheckState::Note, found, Some(&remark.to_string())),
        None => check("threads", CheckState::Ok, found, None),
    });
    Some(runtime)
}

/// What makes timings noisy.
fn processor(checks: &mut Vec<Check>) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").ok();
    let load = load.and_then(|t| t.split_whitespace().next()?.parse::<f64>().ok());
    checks.push(match load {
        Some(load) if load > 0.5 * cores as f64 => {
            let todo = "end other programs before timing, and use --threads 1: times are noisy on a busy machine";
            check(
                "processor",
                CheckState::Note,
                format!("{cores} cores, load {load:.1}"),
                Some(todo),
            )
        }
        Some(_) => check("processor", CheckState::Ok, format!("{cores} cores, idle enough"), None),
        None => check("processor", CheckState::Ok, format!("{cores} cores"), None),
    });
    let governor = std::fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    if governor.is_ok_and(|g| g.trim() == "powersave") {
        let todo = "sudo cpupower frequency-set -g performance";
        checks.push(check(
            "clock",
            CheckState::Note,
            "governor `powersave`: clocks drift".to_owned(),
            Some(todo),
        ));
    }
}

/// The GPU, NVIDIA's libraries and the CUDA provider.
fn gpu(runtime: Option<&Runtime>, checks: &mut Vec<Check>) {
    let count = gpu_count();
    if count == 0 {
        let driver = Path::new("/proc/driver/nvidia/version").is_file();
        checks.push(match driver {
            true => check(
                "GPU",
                CheckState::Fault,
                "the NVIDIA driver is loaded, but shows no GPU".to_owned(),
                Some("look at `nvidia-smi` and CUDA_VISIBLE_DEVICES; in a container, give it the GPU (--gpus all)"),
            ),
            false => check("GPU", CheckState::Ok, "none here; the CPU is used".to_owned(), None),
        });
        return;
    }
    checks.push(check("GPU", CheckState::Ok, format!("{count} by the driver"), None));
    let Some(runtime) = runtime else { return };
    let install = format!("pip install '{GPU_PACKAGE}'");
    if !provider_beside(runtime) {
        let found = "ONNX Runtime has no CUDA provider: this is the package for the CPU".to_owned();
        checks.push(check("CUDA provider", CheckState::Fault, found, Some(&install)));
        return;
    }
    runtime.preload();
    for needed in NEEDED {
        checks.push(match (needed.present(), needed.required) {
            (true, _) => check(needed.name, CheckState::Ok, "here".to_owned(), None),
            (false, required) => {
                let state = if required { CheckState::Fault } else { CheckState::Note };
                let todo = match needed.name {
                    "CUPTI" => "pip install nvidia-cuda-cupti",
                    "NVRTC" => "pip install nvidia-cuda-nvrtc",
                    _ => &install,
                };
                check(needed.name, state, format!("not found: {}", needed.without), Some(todo))
            }
        });
    }
    let options = CudaOptions {
        algo: CudnnAlgo::Heuristic,
        ..CudaOptions::default()
    };
    let ran = CudaDevice::new(runtime.clone(), 0, options).and_then(|t| {
        let ms = crate::profile::smoke(&t, CpuFallback::Allowed)?;
        Ok((format!("{} · {}", t.info().name, t.info().stack), t.conditions(), ms))
    });
    checks.push(match ran {
        Ok((name, conditions, ms)) => {
            let clocks = conditions.map(|c| format!(", {} MHz, {} °C", c.sm_mhz, c.celsius));
            let found = format!("{name}: a convolution in {ms:.3} ms{}", clocks.unwrap_or_default());
            check("runs on GPU 0", CheckState::Ok, found, None)
        }
        Err(error) => {
            let todo = hint(&error);
            check("runs on GPU 0", CheckState::Fault, error.to_string(), todo.as_deref())
        }
    });
}

/// Places that are written to.
fn places(args: &DoctorArgs, checks: &mut Vec<Check>) {
    let path = args.db.clone().or_else(Database::default_path);
    checks.push(match path {
        None => check(
            "database",
            CheckState::Note,
            "no cache folder is known: times are not kept".to_owned(),
            Some("set HOME or XDG_CACHE_HOME, or name a file with --db"),
        ),
        Some(path) => match Database::open(&path).and_then(|d| d.rows()) {
            Ok(rows) => check(
                "database",
                CheckState::Ok,
                format!("{} problems in {}", rows.len(), path.display()),
                None,
            ),
            Err(error) => check(
                "database",
                CheckState::Fault,
                error.to_string(),
                Some("make its folder writable, or name another file with --db; `snapprune db verify` checks one"),
            ),
        },
    });
    for (name, folder, todo) in [
        (
            "temporary files",
            std::env::temp_dir(),
            "set TMPDIR to a folder that can be written to",
        ),
        (
            "this folder",
            PathBuf::from("."),
            "work in a folder of yours, or name another place with -o",
        ),
    ] {
        let folder = std::fs::canonicalize(&folder).unwrap_or(folder);
        checks.push(match tempfile::tempfile_in(&folder) {
            Ok(_) => check(
                name,
                CheckState::Ok,
                format!("{} can be written to", folder.display()),
                None,
            ),
            Err(error) => {
                let state = if name == "this folder" {
                    CheckState::Note
                } else {
                    CheckState::Fault
                };
                check(name, state, format!("{}: {error}", folder.display()), Some(todo))
            }
        });
    }
}
