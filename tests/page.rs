//! The report's page, in a browser.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::Path;

use common::browser::look;
use common::command::{model, snapprune};
use common::priced::Silent;
use common::priced::optimized_at_price;
use common::recorded::profile as recorded;
use common::{cpu, runtime, zoo_model};
use snapprune::device::ShapeOptions;
use snapprune::optimize::{
    ChosenPoint, Dynamic, GateRow, Known, Options, Outcome, ParetoRow, Workload, open, optimize,
};
use snapprune::plan::{Metric, PerMetric};
use snapprune::report::{About, outcome_html, outcome_json};

/// A phone's width, and a desktop's.
const WIDTHS: [usize; 2] = [390, 1280];

/// No console messages, nothing that sticks out, and this many plots at least, each with something in it.
pub fn well_laid_out(html: &str, plots: usize, sections: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    for width in WIDTHS {
        let Some(seen) = look(html, width, folder.path()) else {
            return;
        };
        assert!(seen.console.is_empty(), "at {width}: {:?}", seen.console);
        assert!(seen.overflow.is_empty(), "at {width}: {:?}", seen.overflow);
        assert!(seen.broken.is_empty(), "{:?}", seen.broken);
        assert!(seen.plots.len() >= plots, "{} plots", seen.plots.len());
        assert!(seen.plots.iter().all(|&marks| marks >= 3), "{:?}", seen.plots);
        for section in sections {
            assert!(
                seen.sections.iter().any(|s| s == section),
                "no {section} in {:?}",
                seen.sections
            );
        }
    }
}

/// Everything in the page itself: no other file is named, and nothing runs.
pub fn self_contained(html: &str) {
    for part in ["<script", "src=", "@import", "url(", "http://", "https://"] {
        // The name of SVG's vocabulary is no address that is fetched.
        let text = html.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains(part), "{part}");
    }
}

#[test]
fn the_browser_sees_what_is_wrong_with_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let page = "<!doctype html><body><section id=a></section><div style='width:900px'>wide</div>\
                <table><tr><th style='width:3em;overflow-wrap:anywhere;display:block'>latency</th></tr></table>\
                <svg width=50 height=20><text x=40 y=10>sticks out</text></svg><script>console.error('no')</script>";
    let Some(seen) = look(page, 390, folder.path()) else {
        return;
    };
    assert!(seen.overflow.iter().any(|o| o.contains("wide")), "{seen:?}");
    assert!(seen.overflow.iter().any(|o| o.contains("sticks out")), "{seen:?}");
    assert!(seen.broken.iter().any(|b| b == "latency at 390"), "{seen:?}");
    assert_eq!(
        (seen.console.len(), seen.plots.as_slice(), seen.sections.as_slice()),
        (1, &[0][..], &["a".to_owned()][..])
    );
}

#[test]
fn a_written_model_has_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        latency_steps: std::time::Duration::from_secs(1),
        ..Options::default()
    };
    let (workloads, outcome) = optimized_at_price(&folder.path().join("l.db"), &options);
    let about = About {
        name: "off.onnx",
        written: "out.onnx",
        command: "snapprune off.onnx",
    };
    let html = outcome_html(about, &workloads, &outcome).unwrap();
    let report = outcome_json("off.onnx", &workloads, &outcome);
    assert_eq!(report["written"], true, "{report:#}");
    self_contained(&html);
    let latency_steps = report["latency_steps"].as_array().unwrap();
    assert!(latency_steps.len() > 5);
    for s in latency_steps {
        for curve in s["curves"].as_array().unwrap() {
            let widths: Vec<u64> = curve["steps"]
                .as_array()
                .unwrap()
                .iter()
                .map(|p| p["cout"].as_u64().unwrap())
                .collect();
            assert!(widths.is_sorted() && widths.len() > 1, "{widths:?}");
        }
    }
    let moved = report["groups"]
        .as_array()
        .unwrap()
        .iter()
        .find(|g| g["action"] == "grow")
        .unwrap();
    let name = moved["layers"][0].as_str().unwrap();
    assert!(
        html.contains(&name.replace('/', "&#47;")) || html.contains(name),
        "{name} is not in the page"
    );
    let ratio = format!("{:.3}", report["ratio_static"].as_f64().unwrap());
    assert!(html.contains(&ratio), "{ratio} is not in the page");
    well_laid_out(
        &html,
        latency_steps.len(),
        &["widths", "latency-steps", "constraints", "verification", "measured"],
    );
}

#[test]
fn a_page_is_made_when_asked_for_though_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let done = snapprune()
        .arg(model("shapes96_misaligned.onnx"))
        .args(["--grow", "none", "--quiet", "-o"])
        .arg(folder.path().join("out.onnx"))
        .arg("--profile")
        .arg(recorded(folder.path()))
        .arg("--report")
        .arg(&page)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(!folder.path().join("out.onnx").exists());
    assert!(done.stdout.is_empty(), "quiet means quiet");
    self_contained(&std::fs::read_to_string(&page).unwrap());
}

#[test]
fn mobilenet_has_a_page_of_less_than_a_megabyte() {
    let Some(net) = zoo_model("mobilenet_v2") else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    // Whether a faster model comes out hangs on the machine; there is a page of it either way.
    snapprune()
        .arg(net)
        .args(["--cpu", "--threads", "1", "--staircases", "3s", "--quiet", "-o"])
        .arg(folder.path().join("out.onnx"))
        .arg("--report")
        .arg(&page)
        .arg("--db")
        .arg(folder.path().join("l.db"))
        .output()
        .unwrap();
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.len() < 1_000_000, "{} bytes", html.len());
    self_contained(&html);
    well_laid_out(
        &html,
        10,
        &["widths", "latency-steps", "constraints", "verification", "measured"],
    );
}

/// An outcome with a curve and gates in it too, and names as long as they come.
fn everything(path: &Path) -> (Outcome, Vec<Workload>) {
    let opened = open(path, &runtime(), &ShapeOptions::default()).unwrap();
    let workloads = vec![Workload { opened, weight: 1.0 }];
    let options = Options {
        latency_steps: std::time::Duration::from_secs(1),
        ..Options::default()
    };
    let mut outcome = optimize(&workloads, &cpu(), Known::default(), &options, &Silent).unwrap();
    let row = |k: usize| ParetoRow {
        shares: PerMetric::from_fn(|m| match m {
            Metric::Latency => 1.0 - 0.02 * k as f64,
            Metric::Macs => 1.0 - 0.03 * k as f64,
            _ => 1.0,
        }),
        loss: 0.001 * (k * k) as f64,
        groups: k,
        measured: None,
    };
    outcome.curve = (0..20).map(row).collect();
    outcome.chosen = Some(ChosenPoint {
        latency: 0.8,
        loss: 0.1,
        measured: Some(0.81),
        held_out_loss: Some(0.12),
    });
    let gate = |used| GateRow {
        block: "StatefulPartitionedCall/a_model_with_a_long_name/stage_four_block_two_branch/residual_addition/Add_1"
            .to_owned(),
        kind: "tiles",
        used,
        keep: Some(0.25),
        tile: Some((14, 14)),
        break_even: Some(0.71),
        ms_dense: Some(1.25),
        ms_gated: Some(0.75),
        loss: Some(0.003),
        reason: "measured faster, within the loss <allowed> & \"quoted\"".to_owned(),
        ..GateRow::default()
    };
    outcome.dynamic = Some(Dynamic {
        gates: vec![gate(true), gate(false)],
        ..Dynamic::default()
    });
    // Long values leave little room for their labels.
    let many = "one feature of many, ".repeat(40);
    outcome.device.facts.insert("features".to_owned(), many);
    outcome
        .unverified
        .push("accuracy: <script>alert(1)</script> is only text".to_owned());
    (outcome, workloads)
}

#[test]
fn curves_and_gates_and_long_names_fit_too_and_text_stays_text() {
    let (outcome, workloads) = everything(&model("shapes96.onnx"));
    let about = About {
        name: "a<b>&c.onnx",
        written: "a.snap.onnx",
        command: "snapprune 'a<b>&c.onnx'",
    };
    let html = outcome_html(about, &workloads, &outcome).unwrap();
    self_contained(&html);
    assert!(!html.contains("a<b>") && !html.contains("<allowed>"));
    well_laid_out(
        &html,
        5,
        &[
            "widths",
            "latency-steps",
            "curve",
            "gates",
            "constraints",
            "verification",
            "measured",
        ],
    );
}

#[test]
fn a_profile_has_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("steps.html");
    let done = snapprune()
        .arg("profile")
        .arg(model("shapes96.onnx"))
        .args(["--cpu", "--threads", "1", "--step", "48", "--reach", "1.5", "--db"])
        .arg(folder.path().join("l.db"))
        .arg("--report")
        .arg(&page)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let html = std::fs::read_to_string(&page).unwrap();
    self_contained(&html);
    well_laid_out(&html, 5, &["nodes", "latency-steps"]);
}
