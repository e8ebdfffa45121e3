//! Layouts of detectors, each written as its project does, recognized and decoded again.

use super::{Given, LayoutKind, Rect, recognize};
use crate::task::OutputValues;
use crate::task::draws::Draws;

const IMAGE: (usize, usize) = (64, 96);

fn output(name: &str, dims: &[usize], values: Vec<f32>) -> OutputValues {
    assert_eq!(values.len(), dims.iter().product::<usize>(), "{name}");
    OutputValues {
        name: name.to_owned(),
        dims: dims.to_vec(),
        values,
        float: true,
    }
}

/// Cells of strides 8, 16 and 32 over the image: column, row, stride.
fn cells() -> Vec<(f32, f32, f32)> {
    let of = |s: usize| {
        let (rows, columns) = (IMAGE.0 / s, IMAGE.1 / s);
        (0..rows).flat_map(move |y| (0..columns).map(move |x| (x as f32, y as f32, s as f32)))
    };
    [8, 16, 32].into_iter().flat_map(of).collect()
}

/// A box for every cell, small scores, and one place where something is.
fn made() -> (Vec<Rect>, Vec<[f32; 3]>, usize) {
    let mut draw = Draws(3);
    let mut share = || draw.below(1000) as f32 / 1000.0;
    let boxes: Vec<Rect> = cells()
        .iter()
        .map(|(x, y, s)| {
            Rect::centered(
                (x + share()) * s,
                (y + share()) * s,
                s * (1.0 + share()),
                s * (1.2 + share()),
            )
        })
        .collect();
    let mut scores: Vec<[f32; 3]> = boxes
        .iter()
        .map(|_| [0.004 * share(), 0.004 * share(), 0.004 * share()])
        .collect();
    scores[37] = [0.05, 0.9, 0.02];
    (boxes, scores, 37)
}

fn center(b: &Rect) -> [f32; 4] {
    [0.5 * (b.x1 + b.x2), 0.5 * (b.y1 + b.y2), b.width(), b.height()]
}

/// The outputs are recognized, and what is found in them is the one thing that is there.
fn found(outputs: &[OutputValues], kind: fn(&LayoutKind) -> bool) {
    let given = Given {
        outputs,
        samples: 1,
        image: IMAGE,
    };
    let layout = recognize(given).unwrap();
    assert!(kind(&layout.kind), "{layout:?}");
    let found = layout.found(outputs, 0, 1);
    let (boxes, _, at) = made();
    assert!(
        found[0].score > 0.8 && found[0].rect.iou(&boxes[at]) > 0.999,
        "{found:?}"
    );
    assert_eq!(found.iter().filter(|d| d.score > 0.3).count(), 1);
}

#[test]
fn yolo_layouts_are_recognized_and_decoded() {
    let (boxes, scores, _) = made();
    let n = boxes.len();
    let v5 = |scale: f32| -> Vec<f32> {
        let row = |(b, s): (&Rect, &[f32; 3])| {
            let [x, y, w, h] = center(b).map(|v| v * scale);
            [x, y, w, h, 0.95, s[0], s[1], s[2]]
        };
        boxes.iter().zip(&scores).flat_map(row).collect()
    };
    found(&[output("out", &[1, n, 8], v5(1.0))], |k| *k == LayoutKind::Objectness);
    let columns = |k: usize| {
        boxes
            .iter()
            .zip(&scores)
            .map(move |(b, s)| if k < 4 { center(b)[k] } else { s[k - 4] })
    };
    let v8: Vec<f32> = (0..7).flat_map(columns).collect();
    found(&[output("out", &[1, 7, n], v8)], |k| *k == LayoutKind::ClassScores);
    let x = |((b, s), (x, y, t)): ((&Rect, &[f32; 3]), &(f32, f32, f32))| {
        let [cx, cy, w, h] = center(b);
        [
            cx / t - x,
            cy / t - y,
            (w / t).ln(),
            (h / t).ln(),
            0.95,
            s[0],
            s[1],
            s[2],
        ]
    };
    let cells = cells();
    let undecoded: Vec<f32> = boxes.iter().zip(&scores).zip(&cells).flat_map(x).collect();
    found(&[output("out", &[1, n, 8], undecoded)], |k| {
        matches!(k, LayoutKind::Cells(_))
    });
}

#[test]
fn pairs_strides_and_selections_are_recognized_and_decoded() {
    let (boxes, scores, at) = made();
    let n = boxes.len();
    let size = [IMAGE.1 as f32, IMAGE.0 as f32];
    let ssd: Vec<f32> = boxes
        .iter()
        .flat_map(|b| [b.x1 / size[0], b.y1 / size[1], b.x2 / size[0], b.y2 / size[1]])
        .collect();
    let shares: Vec<f32> = scores
        .iter()
        .flat_map(|s| [1.0 - s.iter().sum::<f32>(), s[0], s[1], s[2]])
        .collect();
    let pair = [output("scores", &[1, n, 4], shares), output("boxes", &[1, n, 4], ssd)];
    let given = Given {
        outputs: &pair,
        samples: 1,
        image: IMAGE,
    };
    // Four classes and four numbers of a box: told apart by what they hold.
    let layout = recognize(given).unwrap();
    assert_eq!(layout.outputs, ["scores", "boxes"]);
    let seen = layout.found(&pair, 0, 1);
    assert!(seen[0].class == 1 && seen[0].rect.iou(&boxes[at]) > 0.999, "{seen:?}");

    let mut yunet = Vec::new();
    for stride in [8.0, 16.0, 32.0] {
        let own: Vec<usize> = (0..n).filter(|k| cells()[*k].2 == stride).collect();
        let of = |name: &str, columns: usize, value: &dyn Fn(usize) -> Vec<f32>| {
            let values = own.iter().flat_map(|k| value(*k)).collect();
            output(&format!("{name}_{stride}"), &[1, own.len(), columns], values)
        };
        yunet.push(of("cls", 1, &|k| vec![scores[k][1]]));
        yunet.push(of("obj", 1, &|k| vec![scores[k][1]]));
        yunet.push(of("bbox", 4, &|k| {
            let ((x, y, t), [cx, cy, w, h]) = (cells()[k], center(&boxes[k]));
            vec![cx / t - x, cy / t - y, (w / t).ln(), (h / t).ln()]
        }));
    }
    found(&yunet, |k| matches!(k, LayoutKind::Strides(_)));

    let mut selected = vec![0.0; 6 * 20];
    let b = boxes[at];
    selected[..6].copy_from_slice(&[b.x1, b.y1, b.x2, b.y2, 0.9, 1.0]);
    for row in selected.chunks_exact_mut(6).skip(1) {
        row[..4].copy_from_slice(&[0.0, 0.0, 5.0, 5.0]);
    }
    found(&[output("out", &[1, 20, 6], selected)], |k| {
        matches!(k, LayoutKind::Selected(_))
    });

    let ragged = [
        output("boxes", &[1, 4], vec![b.x1, b.y1, b.x2, b.y2]),
        output("labels", &[1], vec![1.0]),
        output("scores", &[1], vec![0.9]),
    ];
    found(&ragged, |k| matches!(k, LayoutKind::Ragged { .. }));
}

#[test]
fn what_has_no_layout_is_not_taken_for_one() {
    let mut draw = Draws(11);
    let mut noise = |n: usize| {
        (0..n)
            .map(|_| draw.below(1000) as f32 / 500.0 - 1.0)
            .collect::<Vec<f32>>()
    };
    let cases = [
        vec![output("fine", &[1, 24, 96], noise(24 * 96))],
        vec![output("y", &[1, 10], noise(10))],
        vec![output("map", &[1, 3, 64, 96], noise(3 * 64 * 96))],
        // Steps of a softmax: all its columns are shares.
        vec![output(
            "steps",
            &[1, 6, 126],
            noise(756).iter().map(|v| v.abs().powi(9)).collect(),
        )],
        // Offsets to priors that the graph does not hold.
        vec![
            output("scores", &[1, 126, 2], noise(252).iter().map(|v| v.abs()).collect()),
            output("boxes", &[1, 126, 4], noise(504)),
        ],
    ];
    for outputs in cases {
        let given = Given {
            outputs: &outputs,
            samples: 1,
            image: IMAGE,
        };
        assert_eq!(recognize(given), None, "{:?}", outputs[0].dims);
    }
}

/// Scores count as scores, boxes by how far they move; where nothing is, boxes count nothing.
#[test]
fn values_count_by_what_is_there() {
    let (boxes, scores, at) = made();
    let n = boxes.len();
    let near = |a: f32, b: f32| assert!((a - b).abs() < 0.02 * b, "{a} {b}");
    // A score and a corner of two outputs.
    let size = [IMAGE.1 as f32, IMAGE.0 as f32];
    let shares: Vec<f32> = scores
        .iter()
        .flat_map(|s| [1.0 - s.iter().sum::<f32>(), s[0], s[1], s[2]])
        .collect();
    let corners = |b: &Rect| [b.x1 / size[0], b.y1 / size[1], b.x2 / size[0], b.y2 / size[1]];
    let pair = [
        output("scores", &[1, n, 4], shares),
        output("boxes", &[1, n, 4], boxes.iter().flat_map(corners).collect()),
    ];
    let recognized = |outputs: &[OutputValues]| {
        let given = Given {
            outputs,
            samples: 1,
            image: IMAGE,
        };
        recognize(given).unwrap()
    };
    let counts = recognized(&pair).counts(&pair, 0, 1).unwrap();
    assert_eq!(counts[0].scores[4 * at..4 * at + 4], [0.0, 1.0, 1.0, 1.0]);
    assert!(counts[0].boxes.iter().chain(&counts[1].scores).all(|&c| c == 0.0));
    let b = boxes[at];
    near(counts[1].boxes[4 * at], 0.81 * (size[0] / b.width()).powi(2) / 4.0);
    near(counts[1].boxes[4 * at + 3], 0.81 * (size[1] / b.height()).powi(2) / 4.0);
    assert!((0..n).filter(|&p| p != at).all(|p| counts[1].boxes[4 * p] == 0.0));
    // Offsets and logarithms of sizes in cells; classes count by the objectness beside them.
    let cells = cells();
    let row = |((b, s), (x, y, t)): ((&Rect, &[f32; 3]), &(f32, f32, f32))| {
        let [cx, cy, w, h] = center(b);
        [
            cx / t - x,
            cy / t - y,
            (w / t).ln(),
            (h / t).ln(),
            if s[1] > 0.5 { 0.95 } else { 0.1 },
            s[0],
            s[1],
            s[2],
        ]
    };
    let undecoded = [output(
        "out",
        &[1, n, 8],
        boxes.iter().zip(&scores).zip(&cells).flat_map(row).collect(),
    )];
    let counts = recognized(&undecoded).counts(&undecoded, 0, 1).unwrap();
    let own = |p: usize| (&counts[0].scores[8 * p..8 * p + 8], &counts[0].boxes[8 * p..8 * p + 8]);
    let (here, elsewhere) = (own(at), own(at + 1));
    assert_eq!(here.0[..5], [0.0, 0.0, 0.0, 0.0, 1.0]);
    near(here.0[6], 0.95f32.powi(2));
    near(elsewhere.0[6], 0.01);
    let squared = (0.95f32 * 0.9).powi(2);
    near(here.1[0], squared * (cells[at].2 / b.width()).powi(2) / 2.0);
    near(here.1[2], squared / 8.0);
    assert!(elsewhere.1.iter().all(|&c| c == 0.0));
}

/// Outputs of other strides speak of places of their own, and the other samples of a batch of others.
#[test]
fn strides_and_samples_count_apart() {
    let (boxes, scores, at) = made();
    let n = boxes.len();
    let mut outputs = Vec::new();
    for stride in [8.0, 16.0, 32.0] {
        let own: Vec<usize> = (0..n).filter(|k| cells()[*k].2 == stride).collect();
        let of = |name: &str, columns: usize, value: &dyn Fn(usize, bool) -> Vec<f32>| {
            let both = [true, false]
                .iter()
                .flat_map(|&there| own.iter().flat_map(move |&k| value(k, there)));
            output(&format!("{name}_{stride}"), &[2, own.len(), columns], both.collect())
        };
        let score = |k: usize, there: bool| vec![if there { scores[k][1] } else { 0.001 }];
        outputs.push(of("cls", 1, &score));
        outputs.push(of("obj", 1, &score));
        outputs.push(of("bbox", 4, &|k, _| {
            let ((x, y, t), [cx, cy, w, h]) = (cells()[k], center(&boxes[k]));
            vec![cx / t - x, cy / t - y, (w / t).ln(), (h / t).ln()]
        }));
    }
    let given = Given {
        outputs: &outputs,
        samples: 2,
        image: IMAGE,
    };
    let layout = recognize(given).unwrap();
    let there = |k: usize| -> Vec<(usize, usize)> {
        let counts = layout.counts(&outputs, k, 2).unwrap();
        let all = counts.iter().enumerate();
        all.flat_map(|(i, c)| {
            c.boxes
                .iter()
                .enumerate()
                .filter(|(_, b)| **b > 0.0)
                .map(move |(v, _)| (i, v / 4))
        })
        .collect()
    };
    assert_eq!(there(0), [(2, at); 4]);
    assert!(there(1).is_empty());
    let counts = layout.counts(&outputs, 0, 2).unwrap();
    assert!(counts[1].scores.iter().all(|&c| c == 1.0) && (counts[0].scores[at] - 0.81).abs() < 1e-3);
}
