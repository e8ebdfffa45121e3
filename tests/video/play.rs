//! A set of files made and played in memory.

use std::collections::HashMap;

use snapprune::channels::Shapes;
use snapprune::device::{DeviceTensor, Executor, InputSpec, NamedTensor, ShapeOptions, input_specs, observe};
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Graph, Tensor, encode};
use snapprune::playback::{Outputs, Stream};
use snapprune::video::{CutFor, Manifest, Numbers, Role, VideoModel, VideoPlan, planned};

use crate::common::{cpu, difference, runtime};

/// Files of one model.
pub struct Files {
    pub original: Vec<u8>,
    pub dense: Vec<u8>,
    pub tiles: Vec<u8>,
    pub manifest: Manifest,
    pub spec: InputSpec,
    /// Stages of several layers.
    pub runs: usize,
    outputs: usize,
}

/// A frame with every value drawn.
pub fn noise(spec: &InputSpec, random: &mut fastrand::Rng) -> Vec<f32> {
    (0..spec.dims.iter().product())
        .map(|_| random.f32() * 2.0 - 1.0)
        .collect()
}

/// Draws a rectangle of the frame anew.
pub fn touch(frame: &mut [f32], spec: &InputSpec, random: &mut fastrand::Rng, share: f64) {
    let (channels, height, width) = (spec.dims[1], spec.dims[2], spec.dims[3]);
    let side = |n: usize| ((n as f64 * share.sqrt()) as usize).clamp(1, n);
    let (rows, columns) = (side(height), side(width));
    let (top, left) = (random.usize(0..=height - rows), random.usize(0..=width - columns));
    for c in 0..channels {
        for r in top..top + rows {
            for x in left..left + columns {
                frame[(c * height + r) * width + x] = random.f32() * 2.0 - 1.0;
            }
        }
    }
}

/// Shapes of a model and the spec of its frame.
pub fn opened(model: &ModelProto) -> (Shapes, InputSpec) {
    let graph = Graph::new(model.graph.as_ref().unwrap()).unwrap();
    let mut specs = input_specs(&graph, &ShapeOptions::default()).unwrap();
    let shapes = observe(&runtime(), model, &specs).unwrap().shapes;
    (shapes, specs.remove(0))
}

impl Files {
    /// The files of a model whose frames change by about `share`.
    pub fn new(model: &ModelProto, weight: f64, share: f64) -> Self {
        Self::cut(model, weight, share, false)
    }

    /// The same; `runs`: with several layers a stage, all of whose places are computed.
    pub fn cut(model: &ModelProto, weight: f64, share: f64, runs: bool) -> Self {
        let (shapes, spec) = opened(model);
        let graph = Graph::new(model.graph.as_ref().unwrap()).unwrap();
        let plan = planned(
            &graph,
            &shapes,
            &spec.name,
            CutFor { share, weight, runs },
            &HashMap::new(),
        )
        .expect("no plan");
        Self::of(model, &graph, &plan, spec, share)
    }

    pub fn of(model: &ModelProto, graph: &Graph, plan: &VideoPlan, spec: InputSpec, share: f64) -> Self {
        let numbers = Numbers {
            frame_range: 2.0,
            ranges: plan.kept().iter().map(|k| (k.clone(), 1.0)).collect(),
            factor: 0.0,
        };
        let video = VideoModel {
            model,
            graph,
            plan,
            origin: "this model",
        };
        let dense = video.dense(&numbers, 0.5).unwrap();
        // Half of the tiles at most, so that some are left.
        let whole = Manifest::of(&dense).unwrap().unwrap().stages;
        let computed = plan.computed(share).into_iter().zip(&whole).enumerate();
        let computed = computed.map(|(at, (k, stage))| match plan.is_run(at) {
            true => stage.tiles,
            false => k.min(stage.tiles.div_ceil(2)),
        });
        let computed: Vec<usize> = computed.collect();
        let tiles = video.tiles(&numbers, &computed, 0.5).unwrap();
        let manifest = Manifest::of(&tiles).unwrap().unwrap();
        assert_eq!(Manifest::of(&dense).unwrap().unwrap().role, Role::Dense);
        Self {
            original: encode(model),
            dense: encode(&dense),
            tiles: encode(&tiles),
            manifest,
            spec,
            runs: (0..whole.len()).filter(|&s| plan.is_run(s)).count(),
            outputs: model.graph.as_ref().unwrap().output.len(),
        }
    }

    /// Plays frames and holds the outputs against the original's once nothing is left; the greatest difference over the range, and how many runs of
    /// the tiles' file that took.
    pub fn apart(&self, frames: usize, share: f64, seed: u64) -> (f64, usize) {
        let (mut worst, spec) = (0.0f64, &self.spec);
        let mut change = |frame: &mut [f32], random: &mut fastrand::Rng| touch(frame, spec, random, share);
        let runs = self.play(frames, seed, &mut change, &mut |expected, made| {
            worst = worst.max(difference(expected, made, expected).raw);
        });
        (worst, runs)
    }

    /// Plays six frames, each made of the one before, and compares the outputs once nothing is left: the greatest difference, infinite where only one
    /// of two is a number, and how many values were none.
    pub fn apart_with(&self, seed: u64, change: &mut dyn FnMut(&mut [f32], &mut fastrand::Rng)) -> (f32, usize) {
        let (mut worst, mut none) = (0.0f32, 0);
        self.play(6, seed, change, &mut |expected, made| {
            for ((_, want), (_, own)) in expected.iter().zip(made) {
                for (a, b) in want.to_f32().unwrap().iter().zip(own.to_f32().unwrap()) {
                    none += usize::from(a.is_nan());
                    worst = match (a.is_nan(), b.is_nan()) {
                        (true, true) => worst,
                        (false, false) => worst.max((a - b).abs()),
                        _ => f32::INFINITY,
                    };
                }
            }
        });
        (worst, none)
    }

    /// Plays frames, each made of the one before; what the original and the files make of each goes to `see`, once nothing is left. Runs of the tiles' file.
    fn play(
        &self,
        frames: usize,
        seed: u64,
        change: &mut dyn FnMut(&mut [f32], &mut fastrand::Rng),
        see: &mut dyn FnMut(&[NamedTensor], &[NamedTensor]),
    ) -> usize {
        let mut random = fastrand::Rng::with_seed(seed);
        let device = cpu();
        let load = |model| device.runner(model).unwrap();
        let (mut original, mut dense, mut tiles) = (load(&self.original), load(&self.dense), load(&self.tiles));
        let mut stream = Stream::new(self.manifest.clone()).unwrap();
        let mut frame = noise(&self.spec, &mut random);
        let mut runs = 0;
        for k in 0..=frames {
            if k > 0 {
                change(&mut frame, &mut random);
            }
            let given = Tensor::from_f32(self.spec.dims.clone(), &frame);
            let held = DeviceTensor::new(&self.spec.name, &given).unwrap();
            let inputs = [(self.spec.name.as_str(), &held)];
            let expected = original.run_tensors(&[(self.spec.name.clone(), given)]).unwrap();
            stream.compare(&inputs).unwrap();
            if k == 0 {
                let made = stream.whole(&mut dense, &inputs).unwrap();
                see(&expected, &tensors(made, self.outputs));
                continue;
            }
            for round in 0.. {
                assert!(round < 400, "tiles stay left");
                runs += 1;
                let (made, left) = stream.tiles(&mut tiles, &inputs).unwrap();
                assert_eq!(left.len(), self.manifest.stages.len());
                if left.iter().all(|&n| n == 0) {
                    see(&expected, &tensors(made, self.outputs));
                    break;
                }
            }
        }
        runs
    }
}

/// The first outputs as tensors of ours.
fn tensors(made: Outputs, count: usize) -> Vec<NamedTensor> {
    let mut all: Vec<NamedTensor> = made
        .into_iter()
        .map(|(n, value)| (n, value.tensor().unwrap()))
        .collect();
    all.truncate(count);
    all
}
