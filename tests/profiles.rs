//! Profiles recorded on a GPU machine: read back, and their stairs as they were measured.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use snapprune::profile::{Profile, Record, plateaus, tail_free};

fn fixtures() -> Vec<(String, Profile)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/profiles");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
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
fn staircase(profile: &Profile, like: impl Fn(&Record) -> bool) -> Vec<(usize, f64)> {
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
    assert_eq!(all.len(), 18);
    for (name, profile) in &all {
        assert_eq!(profile.device.name, "NVIDIA H200", "{name}");
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
    let stairs = staircase(profile, |r| {
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
