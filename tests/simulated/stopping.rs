//! Jobs that are stopped or run out of time.

use super::{Simulated, loads, narrow_in_no_time, scaling, watched};
use crate::common::priced::{Priced, Silent};
use crate::common::small::small;
use snapprune::Error;
use snapprune::device::Stop;
use snapprune::optimize::{Dynamics, Goals, Known, Options, ProgressReporter, SampleSource, Step, optimize};
use snapprune::report::outcome_json;

/// Asks to stop when a step begins.
struct StopsAt(Step, Stop);

impl ProgressReporter for StopsAt {
    fn step(&self, step: Step) {
        if step == self.0 {
            self.1.request();
        }
    }
    fn progress(&self, _: usize, _: usize) {}
}

#[test]
fn a_wish_to_stop_ends_what_runs_no_model_too() {
    for step in [Step::RankChannels, Step::SearchPlans, Step::MeasureModels] {
        let stop = Stop::default();
        let device = Simulated {
            stop: stop.clone(),
            ..Simulated::new(|| Ok(()), || 1.0)
        };
        let reporter = StopsAt(step, stop);
        let ended = optimize(&loads(), &device, Known::default(), &narrow_in_no_time(), &reporter);
        assert!(matches!(ended, Err(Error::Stopped)), "{step}");
    }
}

#[test]
fn without_time_a_goal_is_planned_from_what_is_known_and_the_report_says_so() {
    let workloads = loads();
    let outcome = optimize(
        &workloads,
        &Priced::new(),
        Known::default(),
        &narrow_in_no_time(),
        &Silent,
    )
    .unwrap();
    assert_eq!(outcome.probes.made, 0);
    assert!(
        outcome.unverified.iter().any(|u| u.contains("the time budget was up")),
        "{:?}",
        outcome.unverified
    );
    // The plan was measured, and has a prediction from the same times as any other.
    let json = outcome_json("m", &workloads, &outcome);
    assert!(
        json["latency_ms"]["static"].is_number() || json["latency_ms"]["static"].is_object(),
        "{json:#}"
    );
    assert!(json["predicted_latency_ms"]["static"].as_f64() > Some(0.0), "{json:#}");
    assert_eq!(json["chosen"]["latency"], json["predicted_ratio_static"]);
}

#[test]
fn without_time_nothing_is_fitted_and_no_gates_are_begun() {
    let folder = tempfile::tempdir().unwrap();
    let (net, samples) = small(folder.path());
    let options = Options {
        calib: Some(SampleSource::new(samples, scaling()).at_most(64)),
        dynamics: Some(Dynamics::default()),
        ..narrow_in_no_time()
    };
    let (outcome, steps) = watched(&net, &options);
    let told = outcome.notes.iter().chain(&outcome.unverified);
    let told: Vec<&String> = told
        .filter(|n| n.contains("fitting was cut short by the time budget"))
        .collect();
    assert_eq!(told.len(), 1, "{:?} {:?}", outcome.notes, outcome.declined);
    assert_eq!(steps.count("gates"), 0, "{:?}", steps.0);
    let why = outcome.dynamic.unwrap().declined.unwrap().to_string();
    assert!(why.contains("the time ") || outcome.model.is_none(), "{why}");
}

#[test]
fn without_time_no_plan_is_tried_for_its_drop_and_the_reason_is_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let (net, samples) = small(folder.path());
    let options = Options {
        goals: Goals {
            max_drop: Some(0.01),
            ..Goals::default()
        },
        calib: Some(SampleSource::new(samples.clone(), scaling()).at_most(64)),
        eval: Some(SampleSource::new(samples, scaling())),
        ..narrow_in_no_time()
    };
    let (outcome, steps) = watched(&net, &options);
    assert_eq!(steps.count("fitting weights"), 0, "{:?}", steps.0);
    let why = outcome.declined.unwrap().to_string();
    assert!(why.contains("the time budget was up"), "{why}");
}
