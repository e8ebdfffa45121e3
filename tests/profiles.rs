//! Profiles recorded on GPU machines: read back, and their stairs as they were measured.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use snapprune::profile::{CostModel, Multiprocessors, Profile, Record, plateaus, regret, tail_free, waves};

fn fixtures() -> Vec<(String, Profile)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/profiles");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| !p.file_name().unwrap().to_string_lossy().starts_with("cpu"))
        .map(|p| {
            (
                p.file_stem().unwrap().to_string_lossy().into_owned(),
                Profile::read(&p).unwrap(),
            )
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// (width, milliseconds) of the records that differ from `like` in output width only.
fn latency_steps(profile: &Profile, like: impl Fn(&Record) -> bool) -> Vec<(usize, f64)> {
    let mut stairs: Vec<_> = profile
        .records
        .iter()
        .filter(|r| like(r))
        .map(|r| (r.problem.cout, r.summary().median))
        .collect();
    stairs.sort_by_key(|s| s.0);
    stairs.dedup_by_key(|s| s.0);
    stairs
}

#[test]
fn every_recorded_profile_says_where_it_was_measured() {
    let all = fixtures();
    assert_eq!(all.len(), 20);
    for (name, profile) in &all {
        let device = if name.starts_with("h200") {
            "NVIDIA H200"
        } else {
            "NVIDIA H100 80GB HBM3"
        };
        assert_eq!(profile.device.name, device, "{name}");
        assert!(profile.device.stack.contains("onnxruntime 1.31.1 cuda"), "{name}");
        assert_eq!(profile.device.facts["multiprocessors"], "132", "{name}");
        assert!(profile.records.len() > 50, "{name}");
        for record in &profile.records {
            assert!(
                record.samples.len() >= 8 && record.samples.iter().all(|t| *t > 0.0),
                "{name}"
            );
            assert_eq!(
                record.problem.dtype,
                if name.contains("f16") { "f16" } else { "f32" },
                "{name}"
            );
        }
    }
}

#[test]
fn a_gpu_has_stairs_where_the_tiles_end() {
    let all = fixtures();
    let profile = &all.iter().find(|(n, _)| n == "h200_resnet18_b64").unwrap().1;
    // 3×3 from 128 channels at 28×28, stride 1: tiles of 128 channels end at 128.
    let stairs = latency_steps(profile, |r| {
        let p = &r.problem;
        (p.cin, p.space[0], &p.kernel[..], &p.activation[..]) == (128, 28, &[3, 3], "Relu")
            && p.lists.iter().any(|(n, v)| n == "strides" && v == &[1, 1])
    });
    let widths: Vec<usize> = stairs.iter().map(|s| s.0).collect();
    let times: Vec<f64> = stairs.iter().map(|s| s.1).collect();
    let edge = widths.iter().position(|&w| w == 128).unwrap();
    assert!(times[edge + 1] / times[edge] > 1.2, "{stairs:?}");
    assert!(times[edge] / times[edge - 1] < 1.1, "{stairs:?}");
    assert!(tail_free(&times, 0.02).contains(&edge), "{stairs:?}");
    let steps = plateaus(&times, 0.1);
    assert!(steps.iter().any(|&(_, last)| last == edge), "{stairs:?}");
}

#[test]
fn traced_kernels_fill_the_device_as_their_records_say() {
    let all = fixtures();
    let profile = &all.iter().find(|(n, _)| n.contains("traced")).unwrap().1;
    let device = Multiprocessors::of(&profile.device).unwrap();
    assert_eq!((device.count, device.threads), (132, 2048));
    let mut convolutions = 0;
    for record in &profile.records {
        let kernel = record.facts.main_kernel().unwrap();
        let w = waves(kernel, &device);
        assert!(w.resident >= 1 && w.occupancy <= 1.0, "{kernel:?}");
        assert!(
            w.tail_use > 0.0 && w.tail_use <= 1.0 && w.last_use() > 0.0,
            "{kernel:?}"
        );
        // The kernels of a run take no longer than the run between its events.
        let kernels_ms: f64 = record.facts.kernels.iter().map(|k| k.ns as f64 / 1e6).sum();
        assert!(kernels_ms < 1.5 * record.summary().median, "{:?}", record.problem);
        assert!(record.facts.conditions.unwrap().sm_mhz > 300);
        convolutions += usize::from(kernel.name.contains("xmma") || kernel.name.contains("cutlass"));
    }
    assert!(convolutions > profile.records.len() / 3, "{convolutions}");
    // A grid past the device's capacity takes a second wave: 1,025 output channels of a 1×1 convolution.
    let past = profile.records.iter().find(|r| r.problem.cout == 1025).unwrap();
    let kernel = past.facts.main_kernel().unwrap();
    assert_eq!(waves(kernel, &device).waves, 2, "{kernel:?}");
}

#[test]
fn the_built_in_prices_choose_widths_nearly_as_fast_as_the_measured_best() {
    let model = CostModel::recorded().unwrap();
    let all = fixtures();
    let records: Vec<&Record> = all
        .iter()
        .filter(|(n, _)| !n.contains("traced"))
        .flat_map(|(_, p)| &p.records)
        .collect();
    let judged = regret(&model, &records);
    assert!(judged.latency_steps > 100, "{}", judged.latency_steps);
    let mean = judged.each.iter().sum::<f64>() / judged.each.len() as f64;
    assert!(mean < 0.05, "mean regret {mean}");
}
