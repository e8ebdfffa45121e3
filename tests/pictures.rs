//! Samples on the report's page, with what both models give.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;
use crate::page::{self_contained, well_laid_out};

use common::command::model;
use common::priced::{job_at_price, optimized_at_price};
use snapprune::data::{Mask, Picture, Scaling};
use snapprune::optimize::{Amount, Goals, Options, Outcome, Pictures, SamplePicture, SampleSource, Workload};
use snapprune::plan::Metric;
use snapprune::report::{About, outcome_html};
use snapprune::task::{Answer, Detection, Rect, TaskKind};
use snapprune::verify::Shown;

fn page(workloads: &[Workload], outcome: &Outcome) -> String {
    let about = About {
        name: "off.onnx",
        written: "out.onnx",
        command: "snapprune off.onnx",
    };
    outcome_html(about, workloads, outcome).unwrap()
}

/// A picture of noise, with grey on its left side.
fn noise(width: usize, height: usize) -> Picture {
    let mut random = fastrand::Rng::with_seed(3);
    Picture {
        width,
        height,
        pixels: (0..width * height * 3).map(|_| random.u8(..)).collect(),
        name: Some("street <1> & \"2\".jpg".to_owned()),
        within: [width / 4, 0, width - width / 4, height],
    }
}

fn shown(original: Answer, rewritten: Answer) -> Shown {
    Shown {
        sample: 7,
        apart: original.apart(&rewritten),
        original,
        rewritten,
    }
}

fn pictures(kind: TaskKind, drawn: Vec<SamplePicture>) -> Pictures {
    Pictures {
        kind,
        of: 200,
        shown: Vec::new(),
        drawn,
        names: vec![
            "cat".to_owned(),
            "a very long name of a class that leaves no room <for> a score".to_owned(),
        ],
    }
}

fn detected() -> SamplePicture {
    let found = |class, score, x: f32, y: f32| Detection {
        class,
        score,
        rect: Rect::corners(x, y, x + 180.0, y + 200.0),
    };
    // One that both find, one that sticks out of the picture, one in its lower right corner, and one beside it.
    let own = vec![found(0, 0.91, 200.0, 100.0), found(1, 0.77, 600.0, -50.0)];
    let other = vec![
        found(0, 0.83, 210.0, 105.0),
        found(5, 0.5, 560.0, 460.0),
        found(0, 0.4, -300.0, 0.0),
    ];
    SamplePicture {
        picture: noise(640, 480),
        shown: shown(Answer::Boxes(own), Answer::Boxes(other)),
        label: None,
    }
}

fn mapped() -> SamplePicture {
    let map = |to: usize| Mask {
        width: 640,
        height: 480,
        classes: (0..640 * 480)
            .map(|at| u16::from(at % 640 < to) * (1 + u16::from(at > 640 * 100)))
            .collect(),
    };
    SamplePicture {
        picture: noise(640, 480),
        shown: shown(Answer::Map(map(320)), Answer::Map(map(400))),
        label: None,
    }
}

#[test]
fn boxes_and_masks_of_both_models_lie_on_the_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let (workloads, mut outcome) = optimized_at_price(&folder.path().join("l.db"), &Options::default());
    assert!(
        !page(&workloads, &outcome).contains("id=\"pictures\""),
        "no samples, no pictures"
    );

    outcome.pictures = pictures(TaskKind::Detect, vec![detected(); 6]);
    let html = page(&workloads, &outcome);
    self_contained(&html);
    assert!(html.contains("6 of 200 samples"), "which samples are shown");
    assert!(
        !html.contains("street <1>") && !html.contains("<for>"),
        "text stays text"
    );
    let alt = "aria-label=\"written model finds 3: class 5 0.50, cat 0.40, cat 0.83\"";
    assert_eq!(html.matches(alt).count(), 6, "each picture says what is on it");
    // An image stands in the page once, and what lies beside it is not drawn.
    assert_eq!(html.matches("href=\"data:image/jpeg").count(), 6);
    assert_eq!(html.matches("<g class=\"both\">").count(), 2 * 6);
    assert_eq!(html.matches("<g class=\"alone\">").count(), 2 * 6);
    let part = html.split("<section id=\"pictures\">").nth(1).unwrap();
    let part = part.split("</section>").next().unwrap();
    assert!(part.len() < 450_000, "{} bytes of noise", part.len());
    well_laid_out(&html, 0, &["pictures"]);

    outcome.pictures = pictures(TaskKind::Segment, vec![mapped(); 4]);
    let html = page(&workloads, &outcome);
    self_contained(&html);
    // Both masks and what differs, each over the same image.
    assert_eq!(html.matches("href=\"data:image/png").count(), 3 * 4);
    assert_eq!(html.matches("<use href=\"#picture-").count(), 2 * 4);
    assert!(html.contains("aria-label=\"12.5 % of the places differ\""));
    well_laid_out(&html, 0, &["pictures"]);

    outcome.pictures = pictures(TaskKind::Detect, Vec::new());
    let html = page(&workloads, &outcome);
    assert!(
        html.contains("The samples are not shown: they are no images")
            && !html.contains("<figure><div class=\"sides\">")
    );
}

/// The main job on one of this project's classifiers, compared on real images.
fn compared() -> Outcome {
    let scaling = Scaling {
        mean: vec![0.5],
        std: vec![0.5],
    };
    let samples = || SampleSource::new(model("shapes96_eval.npz"), &scaling);
    let options = Options {
        goals: Goals::default().at_most(Metric::Macs, Amount::Times(0.35)),
        min_width: 1,
        calib: Some(samples().at_most(60)),
        eval: Some(samples()),
        ..Options::default()
    };
    job_at_price("shapes96.onnx", &options)
}

#[test]
fn a_narrower_model_is_shown_on_samples() {
    let outcome = compared();
    let (task, shown) = (outcome.task.as_ref().unwrap(), &outcome.pictures);
    assert_eq!(
        (shown.kind, shown.of, shown.drawn.len()),
        (TaskKind::Classify, task.samples, 6)
    );
    let labelled = |one: &SamplePicture| one.label.is_some() && one.picture.pixels.iter().any(|p| *p > 0);
    assert!(shown.drawn.iter().all(labelled));
}
