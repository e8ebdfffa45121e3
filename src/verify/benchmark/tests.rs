use std::sync::Mutex;

use super::{CLEAR, Effort, Entry, Loaded, SESSIONS, benchmark, benchmark_beside};
use crate::Result;
use crate::device::{CpuFallback, Device, DeviceInfo, Executor, NamedTensor, Runner, TimedSession, Timer};
use crate::verify::Verdict;

/// A device on which a launch takes time that runs behind it hide, and whose sessions choose for themselves how many they time
/// together. A model is its time in milliseconds, and the runs that its next sessions choose.
struct Launching(Mutex<Vec<usize>>, DeviceInfo);

struct Session {
    ms: f64,
    repeats: usize,
}

const LAUNCH: f64 = 0.5;

impl TimedSession for Session {
    fn run(&mut self) -> Result<f64> {
        Ok(self.ms + LAUNCH / self.repeats as f64)
    }

    fn repeats(&self) -> usize {
        self.repeats
    }

    fn set_repeats(&mut self, repeats: usize) {
        self.repeats = repeats;
    }
}

impl Device for Launching {
    fn info(&self) -> &DeviceInfo {
        &self.1
    }

    fn timer(&self) -> Option<&dyn Timer> {
        Some(self)
    }
}

impl Executor for Launching {
    fn outputs(&self, _: &[u8], _: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        unreachable!()
    }

    fn outputs_plain(&self, _: &[u8], _: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        unreachable!()
    }

    fn runner(&self, _: &[u8]) -> Result<Runner> {
        unreachable!()
    }
}

impl Timer for Launching {
    fn prepare(&self, model: &[u8], _: &[NamedTensor], _: CpuFallback) -> Result<Box<dyn TimedSession>> {
        let repeats = self.0.lock().unwrap().pop().unwrap();
        let ms = f64::from(model[0]);
        Ok(Box::new(Session { ms, repeats }))
    }
}

#[test]
fn models_of_a_race_are_timed_in_runs_of_the_same_number() {
    // Sessions of one model, near the length at which two runs are timed in place of one.
    let chosen = vec![1, 1, 2, 1, 1, 2];
    assert_eq!(chosen.len(), 2 * SESSIONS);
    let device = Launching(Mutex::new(chosen), DeviceInfo::default());
    let entries = benchmark(&device, &[&[2], &[2]], &[], 0.0).unwrap();
    assert!(entries[1].ratios.iter().all(|&r| r == 1.0), "{:?}", entries[1].ratios);
    assert_eq!(entries[0].drift(), Some(0.0), "{:?}", entries[0].block_ms);
    assert!(entries[0].samples.iter().all(|&s| s == 2.0 + LAUNCH / 2.0));
}

fn entry(ratios: &[f64], blocks: &[f64]) -> Entry {
    Entry {
        samples: vec![],
        ratios: ratios.to_vec(),
        block_ratios: blocks.to_vec(),
        block_ms: vec![],
    }
}

#[test]
fn a_difference_within_the_noise_is_no_difference() {
    assert_eq!(
        entry(&[0.999, 1.0, 0.998], &[0.999, 1.0, 0.998]).verdict(),
        Verdict::Same
    );
    assert_eq!(entry(&[0.9, 0.91, 0.89], &[0.9, 0.91, 0.89]).verdict(), Verdict::Faster);
    assert_eq!(entry(&[1.1, 1.11, 1.09], &[1.1, 1.11, 1.09]).verdict(), Verdict::Slower);
}

#[test]
fn loads_count_by_their_weight_and_time() {
    let load = |ms: [f64; 2]| -> Vec<Entry> {
        let entry = |t: f64| Entry {
            samples: vec![t; 4],
            ratios: vec![t / ms[0]; 4],
            block_ratios: vec![t / ms[0]; 3],
            block_ms: vec![t; 3],
        };
        ms.map(entry).to_vec()
    };
    let benchmarked = [(load([1.0, 0.5]), 0.5), (load([3.0, 3.0]), 0.5)];
    let both = super::weighted(&benchmarked, 1);
    assert_eq!(both.samples, [1.75; 4]);
    assert_eq!(both.ratio(), 1.75 / 2.0);
    assert_eq!(both.block_ratios, [1.75 / 2.0; 3]);
    assert_eq!((both.block_ms.clone(), both.drift()), (vec![1.75; 3], Some(0.0)));
    assert_eq!(both.verdict(), Verdict::Faster);
}

#[test]
fn one_block_against_it_takes_the_claim_away() {
    assert_eq!(entry(&[0.9, 0.9, 0.9, 1.01], &[0.9, 1.01]).verdict(), Verdict::Same);
}

#[test]
fn a_second_set_is_loaded_where_a_ratio_is_near_one() {
    let sets = |models: [u8; 2]| {
        let device = Launching(Mutex::new(vec![1; 4]), DeviceInfo::default());
        let effort = Effort {
            seconds: 0.0,
            sessions: 2,
            clear: Some(CLEAR),
        };
        let models = models.map(|ms| [ms]);
        let [one, other] = &models;
        let loaded = &mut Loaded::default();
        let entries = benchmark_beside(loaded, &device, &[one, other], &[], effort, &|_| {}).unwrap();
        assert_eq!(entries[1].block_ratios.len(), 2);
        (4 - device.0.lock().unwrap().len()) / 2
    };
    assert_eq!((sets([100, 98]), sets([100, 90]), sets([100, 110])), (2, 1, 1));
}
