//! What the layer that reads gated channels can make of those that are there.
//!
//! With x the channels at a place and z what a gate lets through, x ≈ A z + b by least squares: `A = cov(x, z) (cov(z) + λ I)⁻¹`. A reader
//! with weights W at each tap then reads z through W A. What it misses is `(x − A z − b)ᵀ M (x − A z − b)`, where M is the sum of Wᵀ W over its
//! taps, each as often as it lies in the map, so that neighbouring places count as independent.

use std::ops::Range;

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};
use rayon::prelude::*;

use super::block::Block;
use super::damping::{DAMPING, damped, doubled, mean_of_diagonal, means};
use super::excite::Excite;
use super::made_up::{MadeUp, by_tap, taps_inside};
use super::statistics::{Table, Values, pair_values};
use crate::Result;
use crate::onnx::Graph;
use crate::score::{LayerConsumer, Moments, RIDGE, StagedExecutor, add_products, rank};

/// Places of every sample that are looked at, at most.
const PLACES: usize = 8;
/// The channels in front of a reader, at some places of every sample.
#[derive(Clone, Debug)]
pub struct ReaderView {
    channels: usize,
    /// Rows of one sample.
    places: usize,
    /// (samples · places) × channels.
    rows: Vec<f32>,
    /// M: channels × channels.
    weight: Mat<f64>,
    /// See [`MadeUp`].
    inside: Vec<f64>,
}

impl ReaderView {
    /// The view of the layer that reads what a step makes; `None` where its weights cannot be read. The executor has been advanced to the block's
    /// addition ([`super::advance`]).
    ///
    /// # Errors
    /// When a value cannot be seen.
    pub fn of(executor: &StagedExecutor, graph: &Graph, block: &Block, producer: usize) -> Result<Option<Self>> {
        let reader = block.steps.get(block.consumer(producer)).and_then(|s| s.layer());
        let weights = reader.and_then(|l| Some((&l.spec, l.weights(graph)?)));
        let (Some((spec, weights)), Some((_, hidden))) = (weights, pair_values(graph, block, producer)) else {
            return Ok(None);
        };
        let taps = spec.taps();
        let hidden = Values::of(executor, &hidden)?;
        let [channels, height, width] = hidden.dims;
        let all = height * width;
        let places = all.min(PLACES);
        let one = |(seed, sample): (usize, &Vec<f32>)| {
            let picked: Vec<usize> = fastrand::Rng::with_seed(seed as u64).choose_multiple(0..all, places);
            let row = |&p: &usize| sample.iter().skip(p).step_by(all.max(1)).copied();
            picked.iter().flat_map(row).collect::<Vec<f32>>()
        };
        let mut products = [Mat::zeros(channels, channels)];
        let inside = taps_inside(spec, [height, width]);
        let mut by_tap = by_tap(&weights, channels, taps);
        let rows = by_tap.chunks_mut(channels.max(1)).zip(inside.iter().cycle());
        rows.for_each(|(row, share)| row.iter_mut().for_each(|w| *w *= share.sqrt() as f32));
        add_products(&mut products, &by_tap, &by_tap, None)?;
        let [weight] = products;
        Ok(Some(Self {
            inside,
            channels,
            places,
            rows: hidden
                .samples
                .par_iter()
                .enumerate()
                .map(|(n, s)| one((n, s)))
                .flatten_iter()
                .collect(),
            weight,
        }))
    }

    /// The view of the convolution of a squeeze-and-excite module that reads the means of a map's channels. The executor has been advanced as above.
    ///
    /// # Errors
    /// As in [`Self::of`].
    pub fn of_means(executor: &StagedExecutor, graph: &Graph, module: &Excite) -> Result<Option<Self>> {
        let map = graph.proto.node.get(module.pool).and_then(|n| n.input.first());
        let (Some(map), Some(weights)) = (map, module.squeeze.weights(graph)) else {
            return Ok(None);
        };
        let means = Values::of(executor, map)?.tile_means([1, 1], |v| v);
        let mut products = [Mat::zeros(means.width, means.width)];
        add_products(&mut products, &weights, &weights, None)?;
        let [weight] = products;
        Ok(Some(Self {
            channels: means.width,
            places: 1,
            rows: means.values,
            weight,
            inside: vec![1.0],
        }))
    }

    /// How long each channel stays where those go first whose loss the others make up for best, on some samples: places in that order, by channel.
    ///
    /// # Errors
    /// None on a host; those of the device that multiplies.
    pub fn importance(&self, samples: Range<usize>) -> Result<Vec<f32>> {
        let seen = self.moments(samples)?;
        let columns = (0..self.channels).map(|c| vec![c]).collect();
        let consumer = LayerConsumer::new(self.root(), seen.covariance(0), RIDGE, columns);
        let ranking = rank(vec![consumer], self.channels, &[], 1, &[]);
        let mut found = vec![self.channels as f32; self.channels];
        for (at, &channel) in ranking.order.iter().enumerate() {
            if let Some(place) = found.get_mut(channel) {
                *place = at as f32;
            }
        }
        Ok(found)
    }

    /// Least squares of all channels by those that are let through: of sample s the channels `chosen[s]`, `fill` in the place of the others. Fitted on the first
    /// `fitted` samples; with the share of what the reader makes that is kept on the others (on the same ones where there are none). `None` where
    /// there is nothing to solve.
    ///
    /// # Errors
    /// As in [`Self::importance`].
    pub fn made_up(&self, chosen: &[&[usize]], fill: &[f32], fitted: usize) -> Result<Option<(MadeUp, f64)>> {
        let c = self.channels;
        let through = self.let_through(chosen, fill);
        let cut = fitted * self.places * c;
        let (Some(x), Some(z)) = (self.rows.get(..cut), through.get(..cut)) else {
            return Ok(None);
        };
        let mut seen = Moments::new(1, c);
        seen.add(z, None)?;
        let count = seen.count().max(1.0);
        let mut products = [Mat::<f64>::zeros(c, c)];
        add_products(&mut products, z, x, None)?;
        let [cross] = products;
        let (mean_z, mean_x) = (seen.means(0), means(x, c));
        let centred = Mat::from_fn(c, c, |i, j| cross[(i, j)] / count - mean_z[i] * mean_x[j]);
        let from = if cut < self.rows.len() { cut } else { 0 };
        let of = |values: &[f32]| doubled(values.get(from..).unwrap_or_default(), c);
        let (x, z) = (of(&self.rows), of(&through));
        let apart = Mat::from_fn(x.nrows(), c, |r, j| x[(r, j)] - mean_x[j]);
        let all = self.weighed(&apart);
        let spread = seen.covariance(0);
        let mut best: Option<(Mat<f64>, Vec<f64>, f64)> = None;
        for damping in DAMPING {
            let Ok(factor) = damped(spread.cloned(), damping).llt(Side::Lower) else {
                continue;
            };
            let mix = factor.solve(&centred);
            let offset: Vec<f64> = (0..c)
                .map(|j| mean_x[j] - (0..c).map(|i| mean_z[i] * mix[(i, j)]).sum::<f64>())
                .collect();
            let made = &z * &mix;
            let missed = Mat::from_fn(x.nrows(), c, |r, j| x[(r, j)] - made[(r, j)] - offset[j]);
            let missed = self.weighed(&missed);
            if best.as_ref().is_some_and(|(_, _, least)| missed >= *least) {
                break;
            }
            best = Some((mix, offset, missed));
            // Nothing that is held out could choose.
            if from == 0 {
                break;
            }
        }
        Ok(best.map(|(mix, offset, missed)| {
            let kept = if all == 0.0 { 1.0 } else { (1.0 - missed / all).max(0.0) };
            let made_up = MadeUp {
                mix: Mat::from_fn(c, c, |i, j| mix[(i, j)] as f32),
                offset,
                inside: self.inside.clone(),
            };
            (made_up, kept)
        }))
    }

    /// What each channel adds beyond what `base` tells of it, as the reader weighs it, over the first samples: samples × channels, mean squares.
    ///
    /// # Errors
    /// As in [`Self::importance`].
    pub fn beyond(&self, base: &[usize], samples: usize) -> Result<Option<Table>> {
        let c = self.channels;
        let seen = self.moments(0..samples)?;
        let (spread, means) = (seen.covariance(0), seen.means(0));
        let n = base.len();
        let own = damped(Mat::from_fn(n, n, |i, j| spread[(base[i], base[j])]), DAMPING[0]);
        let Ok(factor) = own.llt(Side::Lower) else {
            return Ok(None);
        };
        let mix = factor.solve(&Mat::from_fn(n, c, |i, j| spread[(base[i], j)]));
        let rows = doubled(self.rows.get(..samples * self.places * c).unwrap_or_default(), c);
        let told = Mat::from_fn(rows.nrows(), n, |r, i| rows[(r, base[i])] - means[base[i]]);
        let told = &told * &mix;
        let places = self.places.max(1);
        let one = |(s, j): (usize, usize)| {
            let rest = |r: usize| (rows[(r, j)] - means[j] - told[(r, j)]).powi(2);
            let sum: f64 = (s * places..(s + 1) * places).map(rest).sum();
            (sum / places as f64 * self.weight[(j, j)]) as f32
        };
        Ok(Some(Table {
            width: c,
            values: (0..samples)
                .flat_map(|s| (0..c).map(move |j| (s, j)))
                .map(one)
                .collect(),
        }))
    }

    fn moments(&self, samples: Range<usize>) -> Result<Moments> {
        let each = self.places * self.channels;
        let mut seen = Moments::new(1, self.channels);
        seen.add(
            self.rows
                .get(samples.start * each..samples.end * each)
                .unwrap_or_default(),
            None,
        )?;
        Ok(seen)
    }

    fn let_through(&self, chosen: &[&[usize]], fill: &[f32]) -> Vec<f32> {
        let each = (self.places * self.channels).max(1);
        let mut all: Vec<f32> = fill.iter().copied().cycle().take(self.rows.len()).collect();
        let samples = all.par_chunks_mut(each).zip(self.rows.par_chunks(each)).zip(chosen);
        samples.for_each(|((into, from), chosen)| {
            let width = self.channels.max(1);
            for (into, from) in into.chunks_mut(width).zip(from.chunks(width)) {
                for &k in *chosen {
                    if let (Some(v), Some(x)) = (into.get_mut(k), from.get(k)) {
                        *v = *x;
                    }
                }
            }
        });
        all
    }

    /// A root R of M, Rᵀ R = M.
    fn root(&self) -> Mat<f64> {
        let c = self.channels;
        let least = 1e-9 * mean_of_diagonal(&self.weight).max(f64::MIN_POSITIVE);
        let raised = Mat::from_fn(c, c, |i, j| self.weight[(i, j)] + if i == j { least } else { 0.0 });
        match raised.llt(Side::Lower) {
            Ok(factor) => Mat::from_fn(c, c, |i, j| if j >= i { factor.L()[(j, i)] } else { 0.0 }),
            // Without one, channels count as read each on its own.
            Err(_) => Mat::from_fn(c, c, |i, j| if i == j { self.weight[(i, i)].sqrt() } else { 0.0 }),
        }
    }

    /// Σ eᵀ M e over rows.
    fn weighed(&self, rows: &Mat<f64>) -> f64 {
        let products = rows * &self.weight;
        let column = |j: usize| {
            products
                .col(j)
                .iter()
                .zip(rows.col(j).iter())
                .map(|(a, b)| a * b)
                .sum::<f64>()
        };
        (0..self.channels).map(column).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Mat, ReaderView, add_products, by_tap};

    /// Six channels on 60 samples of two places: the fifth is the sum of the first two, the sixth is there in every other sample only. One reader of
    /// three outputs with two taps.
    fn view() -> crate::Result<(ReaderView, Vec<f32>)> {
        let mut random = fastrand::Rng::with_seed(2);
        let mut rows = Vec::new();
        for sample in 0..60 {
            for _ in 0..2 {
                let own: Vec<f32> = (0..4).map(|_| random.f32()).collect();
                let last = if sample % 2 == 0 { 3.0 * random.f32() } else { 0.0 };
                rows.extend(own.iter().copied().chain([own[0] + own[1], last]));
            }
        }
        let weights: Vec<f32> = (0..3 * 6 * 2).map(|_| random.f32() - 0.5).collect();
        let stacked = by_tap(&weights, 6, 2);
        let mut products = [Mat::zeros(6, 6)];
        add_products(&mut products, &stacked, &stacked, None)?;
        let [weight] = products;
        let view = ReaderView {
            channels: 6,
            places: 2,
            rows,
            weight,
            inside: vec![1.0; 2],
        };
        Ok((view, weights))
    }

    #[test]
    fn what_others_tell_goes_first_and_is_made_up_for() -> crate::Result<()> {
        let (view, weights) = view()?;
        let importance = view.importance(0..45)?;
        assert!(
            [0, 1, 4].contains(&importance.iter().position(|&p| p == 0.0).unwrap_or(9)),
            "{importance:?}"
        );
        let all: Vec<usize> = vec![0, 1, 2, 3, 5];
        let chosen = vec![all.as_slice(); 60];
        let Some((made, kept)) = view.made_up(&chosen, &[0.0; 6], 45)? else {
            return Err(crate::Error::Plan("nothing was solved".to_owned()));
        };
        assert!(kept > 0.999, "{kept}");
        // The reader makes of five channels what it made of six.
        let (through, gained) = made.read_through(&weights, 2);
        for row in view.rows.chunks_exact(6) {
            for (o, gained) in gained.iter().enumerate() {
                let read = |w: &[f32], without: usize| -> f32 {
                    let one = |c: usize| row[c] * (w[o * 12 + 2 * c] + w[o * 12 + 2 * c + 1]);
                    (0..6).filter(|&c| c != without).map(one).sum()
                };
                let (before, after) = (read(&weights, 9), read(&through, 4) + *gained as f32);
                assert!((before - after).abs() < 0.02, "{before} {after}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_choice_by_sample_keeps_more_and_is_seen_beyond_the_base() -> crate::Result<()> {
        let (view, _) = view()?;
        let (even, odd) = (vec![0, 1, 2, 5], vec![0, 1, 2, 3]);
        let by_sample: Vec<&[usize]> = (0..60).map(|s| if s % 2 == 0 { &even[..] } else { &odd[..] }).collect();
        let kept =
            |chosen: &[&[usize]]| Ok::<f64, crate::Error>(view.made_up(chosen, &[0.0; 6], 45)?.map_or(0.0, |m| m.1));
        let fixed = kept(&vec![&even[..]; 60])?.max(kept(&vec![&odd[..]; 60])?);
        assert!(kept(&by_sample)? > fixed, "{fixed}");
        let Some(beyond) = view.beyond(&[0, 1, 2], 45)? else {
            return Err(crate::Error::Plan("nothing was solved".to_owned()));
        };
        // About the mean of all samples, 0.75: 1.31 where it is there, 0.56 where not. The fifth is told by the base.
        let mean = |channel: usize, odd: usize| (odd..44).step_by(2).map(|s| beyond.at(s, channel)).sum::<f32>() / 22.0;
        assert!(mean(5, 0) > 1.6 * mean(5, 1), "{} {}", mean(5, 0), mean(5, 1));
        assert!(mean(4, 0) < 0.01 * mean(5, 1), "{}", mean(4, 0));
        Ok(())
    }
}
