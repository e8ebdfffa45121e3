//! Every model of the shared zoo: random pruning and zero-padded growth of every free group.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use snapprune::channels::{Analysis, ClassChange, analyze};
use snapprune::onnx::{Graph, Tensor, encode, load};
use snapprune::rewrite::rewrite;
use snapprune::target::{
    CpuTarget, Runtime, ShapeOptions, Target, input_specs, observe, random_inputs,
    without_value_info,
};

fn grow_all(a: &Analysis) -> ClassChange {
    let mut change = ClassChange::default();
    for g in a.groups.iter().filter(|g| g.can_grow()) {
        change
            .added
            .insert(*g.classes.last().unwrap(), 1 + (g.classes.len() / 7) as u32);
    }
    change
}

fn diff(a: &[(String, Tensor)], b: &[(String, Tensor)]) -> f64 {
    let mut worst: f64 = 0.0;
    for ((_, x), (_, y)) in a.iter().zip(b) {
        let (Some(x), Some(y)) = (x.to_f32(), y.to_f32()) else {
            continue;
        };
        assert_eq!(x.len(), y.len());
        let lo = x.iter().copied().fold(f32::INFINITY, f32::min);
        let hi = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let d = x
            .iter()
            .zip(&y)
            .map(|(p, q)| (p - q).abs())
            .fold(0f32, f32::max);
        if y.iter().any(|v| v.is_nan()) {
            return f64::NAN;
        }
        worst = worst.max(f64::from(d / (hi - lo).max(1e-6)));
    }
    worst
}

#[test]
fn dev() {
    let rt = Runtime::load(None).unwrap();
    let mut files: Vec<_> = std::env::var("ZOO")
        .unwrap()
        .split(':')
        .map(std::path::PathBuf::from)
        .collect();
    files.sort();
    for f in files {
        let model = load(&f).unwrap();
        let graph = Graph::new(model.graph().unwrap()).unwrap();
        let specs = input_specs(&graph, &ShapeOptions::default()).unwrap();
        let seen = match observe(&rt, &model.proto, &specs) {
            Ok(s) => s,
            Err(e) => {
                println!("{f:?}: {e}");
                continue;
            }
        };
        let mut proto = model.proto.clone();
        if seen.stale_value_info {
            proto = without_value_info(&proto);
        }
        let graph = Graph::new(proto.graph.as_ref().unwrap()).unwrap();
        let a = analyze(&graph, model.opset(), &seen.shapes).unwrap();
        let free = a.groups.iter().filter(|g| g.lock.is_none()).count();
        print!(
            "{:40} groups {:3} free {:3} growable {:3} share {:.3} ",
            f.file_name().unwrap().to_string_lossy(),
            a.groups.len(),
            free,
            a.groups.iter().filter(|g| g.can_grow()).count(),
            a.free_share()
        );
        let cpu = CpuTarget::new(rt.clone(), 0);
        let inputs = random_inputs(&specs, 1, 1.0).unwrap();
        let base = cpu.outputs(&encode(&proto), &inputs).unwrap();
        match rewrite(&proto, &graph, &a, &grow_all(&a)) {
            Ok(p) => match cpu.outputs(&encode(&p), &inputs) {
                Ok(o) => println!("grow diff {:.2e}", diff(&base, &o)),
                Err(e) => println!("GROW FAILED {e}"),
            },
            Err(e) => println!("GROW REFUSED {e}"),
        }
        if std::env::var("V").is_ok() {
            for g in a.groups.iter() {
                let names: Vec<_> = g
                    .producers
                    .iter()
                    .map(|&n| format!("{}", proto.graph.as_ref().unwrap().node[n].op_type()))
                    .collect();
                let p: Vec<_> = g
                    .places
                    .iter()
                    .take(2)
                    .map(|(v, _)| a.coupling.value(*v).name.clone())
                    .collect();
                println!(
                    "   {} w{} unit{} prod{:?} cons{} {:?} lock={:?} ng={:?}",
                    g.id,
                    g.width(),
                    g.unit,
                    names,
                    g.consumers.len(),
                    p,
                    g.lock.as_ref().map(|l| (
                        &l.reason,
                        l.node
                            .map(|n| proto.graph.as_ref().unwrap().node[n].name().to_string())
                    )),
                    g.no_growth.as_ref().map(|l| &l.reason)
                );
            }
        }
    }
}
