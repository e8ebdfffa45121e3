//! Devices that are lost, run full, drift, or refuse to profile.

use super::{Simulated, loads};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::priced::Silent;
use crate::common::runtime;
use snapprune::Error;
use snapprune::device::CpuDevice;
use snapprune::device::DeviceKind;
use snapprune::error::{ErrorCode, SessionError, SessionErrorKind};
use snapprune::optimize::{Known, Options, Outcome, Workload, optimize};
use snapprune::profile::Database;
use snapprune::report::{Listed, outcome_json, outcome_text};

/// How many records a database has.
fn records(path: &Path) -> usize {
    Database::open(path).unwrap().rows().unwrap().len()
}

#[test]
fn a_device_that_is_lost_or_full_ends_the_run_and_keeps_what_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.db");
    let workloads = loads();
    let options = Options {
        latency_steps: Duration::ZERO,
        ..Options::default()
    };
    let known = || Known {
        database: Some(Database::open(&path).unwrap()),
        ..Known::default()
    };
    let mut before = 0;
    for (left, says) in [
        (1, "CUDA error 2: out of memory"),
        (5, "CUDA failure 999: unknown error ; GPU=0"),
        (9, "CUDNN failure 4000: CUDNN_STATUS_INTERNAL_ERROR"),
        (
            9,
            "cuDNN is unavailable or disabled for CUDA Execution Provider: dlopen failed for libcudnn.so",
        ),
    ] {
        let left = AtomicUsize::new(left);
        let loading = move || {
            let less = |n: usize| n.checked_sub(1);
            let here = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            here.map(|_| ())
                .map_err(|_| Error::Session(SessionError::new(ErrorCode::GenericFailure, says)))
        };
        let device = Simulated::new(loading, || 1.0);
        let error = optimize(&workloads, &device, known(), &options, &Silent)
            .map(|_| ())
            .unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        let cudnn = matches!(&error, Error::Session(e) if e.kind == SessionErrorKind::MissingCudnn);
        assert_eq!(cudnn, says.contains("unavailable"), "{error:?}");
        // Each try goes on from where the last one ended.
        let now = records(&path);
        assert!(now > 0 && now >= before, "{now} records after {before}");
        before = now;
    }
    let device = CpuDevice::new(runtime(), 1);
    let outcome = optimize(&workloads, &device, known(), &options, &Silent).unwrap();
    assert!(outcome.probes.reused >= before, "{:?} after {before}", outcome.probes);
}

/// The main job, on a device that gets slower: `speed` is told how much of anything was timed before, and gives the factor.
fn drifting(speed: fn(usize) -> f64) -> ([Workload; 1], Outcome) {
    let timed = AtomicUsize::new(0);
    let device = Simulated::new(|| Ok(()), move || speed(timed.fetch_add(1, Ordering::Relaxed)));
    let options = Options {
        latency_steps: Duration::ZERO,
        ..Options::default()
    };
    let workloads = loads();
    let outcome = optimize(&workloads, &device, Known::default(), &options, &Silent).unwrap();
    (workloads, outcome)
}

#[test]
fn a_machine_that_slows_down_is_noticed_and_its_ratios_still_hold() {
    // Half as fast after the first few sessions, and a quarter slower within the last race.
    let (workloads, outcome) = drifting(|n| 1.0 + (n as f64 / 4.0).min(1.0) + n as f64 / 2000.0);
    let noise = outcome.noise;
    assert!(noise.probing_drift.unwrap() > 0.3, "{noise:?}");
    assert!(noise.unsteady().is_some());
    let said = outcome_text(&outcome, Listed::Changed);
    assert!(
        said.contains("the machine's speed changed by") && said.contains("run again"),
        "{said}"
    );
    let json = outcome_json("m", &workloads, &outcome);
    assert_eq!(json["noise"]["probing_drift"], noise.probing_drift.unwrap());
    // Whatever the single times were: what is given was faster, turn by turn.
    if outcome.model.is_some() {
        let (ratio, half) = outcome.ratio.unwrap();
        assert!(ratio + half < 1.0, "{ratio} ± {half}");
    }
    assert!(outcome.agreement.is_none_or(|a| a.holds()));
}

#[test]
fn a_machine_that_stays_as_it_is_has_its_noise_told() {
    let (_, outcome) = drifting(|_| 1.0);
    let noise = outcome.noise;
    assert!(
        noise.widths > 4 && noise.typical >= 0.0 && noise.worst >= noise.typical,
        "{noise:?}"
    );
    assert!(noise.probing_drift.is_some(), "{noise:?}");
    assert!(
        outcome_text(&outcome, Listed::Changed).contains("noise     times of "),
        "{noise:?}"
    );
}

#[test]
fn a_profiler_that_refuses_costs_only_its_traces() {
    let mut device = Simulated::new(|| Ok(()), || 1.0);
    device.info.kind = DeviceKind::Cuda;
    let options = Options {
        latency_steps: Duration::ZERO,
        ..Options::default()
    };
    let workloads = loads();
    let outcome = optimize(&workloads, &device, Known::default(), &options, &Silent).unwrap();
    assert!(outcome.probes.made > 1);
    assert_eq!(device.times.traced.load(Ordering::Relaxed), 1);
    let said = outcome_text(&outcome, Listed::Changed);
    assert_eq!(
        said.matches("CUPTI_ERROR_INSUFFICIENT_PRIVILEGES; ask for them")
            .count(),
        1,
        "{said}"
    );
    let json = outcome_json("m", &workloads, &outcome);
    let notes = json["notes"].as_array().unwrap();
    assert!(
        notes
            .iter()
            .any(|n| n.as_str().unwrap().contains("their kernels are not shown")),
        "{notes:?}"
    );
}
