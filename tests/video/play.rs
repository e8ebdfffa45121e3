//! A set of files made and played in memory.

use std::collections::HashMap;

use snapprune::channels::Shapes;
use snapprune::device::{Executor, InputSpec, NamedTensor, ShapeOptions, input_specs, observe};
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Graph, Tensor, encode};
use snapprune::video::{CHANGED, CutFor, Manifest, Numbers, Role, VideoModel, VideoPlan, planned};

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

    /// Plays frames, a share of each of which is new, and holds the outputs against the original's once nothing is left; the greatest difference over
    /// the range, and how many runs of the tiles' file that took.
    pub fn apart(&self, frames: usize, share: f64, seed: u64) -> (f64, usize) {
        let mut worst = 0.0_f64;
        let runs = self.played(
            (frames, seed),
            &mut |frame, random| touch(frame, &self.spec, random, share),
            &mut |expected, made| worst = worst.max(difference(expected, made, expected).raw),
        );
        (worst, runs)
    }

    /// Plays six frames, each made of the one before, and compares the outputs once nothing is left: the greatest difference, infinite where only one
    /// of two is a number, and how many values were none.
    pub fn apart_with(&self, seed: u64, change: &mut dyn FnMut(&mut [f32], &mut fastrand::Rng)) -> (f32, usize) {
        let (mut worst, mut none) = (0.0f32, 0);
        self.played((6, seed), change, &mut |expected, made| {
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

    /// Plays so many frames after a first one and shows the original's outputs and those of the files once nothing is left; how many runs of the tiles'
    /// file that took.
    fn played(
        &self,
        (frames, seed): (usize, u64),
        change: &mut dyn FnMut(&mut [f32], &mut fastrand::Rng),
        see: &mut dyn FnMut(&[NamedTensor], &[NamedTensor]),
    ) -> usize {
        let mut random = fastrand::Rng::with_seed(seed);
        let device = cpu();
        let mut frame = noise(&self.spec, &mut random);
        let given = |frame: &[f32]| (self.spec.name.clone(), Tensor::from_f32(self.spec.dims.clone(), frame));
        let mut original = device.runner(&self.original).unwrap();
        let mut tiles = device.runner(&self.tiles).unwrap();
        let first = device.outputs(&self.dense, &[given(&frame)]).unwrap();
        see(&original.run_tensors(&[given(&frame)]).unwrap(), &first[..self.outputs]);
        let mut states = self.states(&first);
        let mut runs = 0;
        for _ in 0..frames {
            change(&mut frame, &mut random);
            let expected = original.run_tensors(&[given(&frame)]).unwrap();
            for round in 0.. {
                assert!(round < 400, "tiles stay left");
                runs += 1;
                let mut inputs: Vec<NamedTensor> = vec![given(&frame)];
                inputs.extend(states.clone());
                let made = tiles.run_tensors(&inputs).unwrap();
                states = self.states(&made);
                let left = made.iter().find(|(n, _)| n == CHANGED).unwrap().1.to_i64().unwrap();
                assert_eq!(left.len(), self.manifest.stages.len());
                if left.iter().all(|&n| n == 0) {
                    see(&expected, &made[..self.outputs]);
                    break;
                }
            }
        }
        runs
    }

    /// What a run hands to the next.
    fn states(&self, made: &[NamedTensor]) -> Vec<NamedTensor> {
        let by_name: HashMap<&str, &Tensor> = made.iter().map(|(n, t)| (n.as_str(), t)).collect();
        let states = self.manifest.states.iter();
        states
            .map(|s| {
                let tensor = by_name[s.output.as_str()];
                assert_eq!(tensor.dims, s.shape, "{}", s.output);
                (s.input.clone(), tensor.clone())
            })
            .collect()
    }
}
