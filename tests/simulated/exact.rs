//! Devices without noise: predictions hold exactly, and shared weights are found.

use super::{narrow_in_no_time, scaling, watched};
use crate::common::small::small;
use std::path::{Path, PathBuf};

use crate::common::priced::{Priced, Silent};
use crate::common::runtime;
use snapprune::data::Scaling;
use snapprune::device::ShapeOptions;
use snapprune::onnx::proto::NodeProto;
use snapprune::onnx::{encode, parse};
use snapprune::optimize::{Amount, Goals, Options, Outcome, SampleSource, WhenSlower, Workload, open, pareto};
use snapprune::plan::Metric;
use snapprune::verify::compare;

#[test]
fn a_curve_foretells_what_a_device_without_noise_takes() {
    let folder = tempfile::tempdir().unwrap();
    let (net, samples) = small(folder.path());
    let opened = open(&net, &runtime(), &ShapeOptions::default()).unwrap();
    let workloads = [Workload { opened, weight: 1.0 }];
    let scaling = Scaling {
        mean: vec![0.0],
        std: vec![1.0],
    };
    let options = Options {
        goals: Goals::default().at_most(Metric::Latency, Amount::Times(1.0)),
        calib: Some(SampleSource::new(samples, scaling).at_most(64)),
        ..Options::default()
    };
    let rows = pareto(&workloads, &Priced::new(), None, &options, 3, &Silent).unwrap();
    let measured: Vec<(f64, f64)> = rows
        .iter()
        .filter_map(|row| Some((row.shares[Metric::Latency], row.measured.as_ref()?.latency)))
        .collect();
    assert!(measured.len() >= 2, "{measured:?}");
    for (predicted, measured) in measured {
        assert!(
            (measured / predicted - 1.0).abs() < 0.05,
            "{predicted} predicted, {measured} measured"
        );
    }
}

/// The network with each constant of a layer behind two nodes that only pass it on.
fn behind_identity(net: &Path) -> PathBuf {
    let mut model = parse(std::fs::read(net).unwrap()).unwrap().proto;
    let graph = model.graph.as_mut().unwrap();
    let mut passing = Vec::new();
    for tensor in &graph.initializer {
        let names = [0, 1, 2].map(|k| match k {
            0 => tensor.name().to_owned(),
            k => format!("{}.same{k}", tensor.name()),
        });
        for node in &mut graph.node {
            for input in node.input.iter_mut().filter(|i| **i == names[0]) {
                input.clone_from(&names[2]);
            }
        }
        passing.extend([0, 1].map(|k| NodeProto {
            op_type: Some("Identity".to_owned()),
            name: Some(names[k + 1].clone()),
            input: vec![names[k].clone()],
            output: vec![names[k + 1].clone()],
            ..Default::default()
        }));
    }
    passing.append(&mut graph.node);
    graph.node = passing;
    let path = net.with_file_name("behind.onnx");
    std::fs::write(&path, encode(&model)).unwrap();
    path
}

#[test]
fn weights_behind_identity_nodes_are_narrowed_and_fitted_like_others() {
    let folder = tempfile::tempdir().unwrap();
    let (net, samples) = small(folder.path());
    let other = behind_identity(&net);
    for calib in [None, Some(SampleSource::new(samples, scaling()).at_most(64))] {
        let options = Options {
            calib,
            time_budget: None,
            when_slower: WhenSlower::Write,
            ..narrow_in_no_time()
        };
        let made = [&net, &other].map(|net| watched(net, &options).0);
        // Groups are numbered as the graph has them.
        let numbered = |o: &Outcome| o.plan.iter().flat_map(|p| p.groups.clone()).collect::<Vec<_>>();
        let [one, two] = made.each_ref().map(|o| {
            let mut groups = numbered(o);
            groups.iter_mut().for_each(|g| g.group = 0);
            groups
        });
        assert!(!one.is_empty());
        // The places that are looked at are drawn by the number of the node, which may turn over two channels that are hardly worth less.
        for (a, b) in one.iter().zip(&two) {
            assert_eq!((&a.layers, a.width_after), (&b.layers, b.width_after));
            let other = a.kept.iter().filter(|k| !b.kept.contains(k)).count();
            assert!(other <= usize::from(options.calib.is_some()), "{a:?} {b:?}");
        }
        assert_eq!(one.len(), two.len());
        let [Some(a), Some(b)] = made.each_ref().map(|o| o.model.as_ref()) else {
            panic!("{:?} {:?}", made[0].declined, made[1].declined);
        };
        let opened = open(&net, &runtime(), &ShapeOptions::default()).unwrap();
        let found = compare(&Priced::new(), a, b, &opened.specs, 7, 3).unwrap();
        let same = match options.calib {
            None => found.holds(),
            Some(_) => found.cosine > 0.99,
        };
        assert!(same, "{found:?}");
    }
}
