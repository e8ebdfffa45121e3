//! How a layer reads through a gate: channels that are not there are made up of those that are.

use faer::{Mat, MatRef};

use crate::ops::ConvSpec;

/// How channels are made of those that a gate lets through.
#[derive(Clone, Debug)]
pub struct MadeUp {
    /// Aᵀ: channels let through × channels.
    pub(super) mix: Mat<f32>,
    /// b, by channel.
    pub(super) offset: Vec<f64>,
    /// The share of the reader's places at which each of its taps reads the map; elsewhere it reads the zeros around it, which nothing makes up for.
    pub(super) inside: Vec<f64>,
}

/// The share of output places at which each tap of a convolution reads its input's map of `size` rows and columns, and not the zeros around it.
pub(super) fn taps_inside(spec: &ConvSpec, size: [usize; 2]) -> Vec<f64> {
    let along = |axis: usize| -> Vec<f64> {
        let (made, [before, _]) = (
            spec.output_size(axis, size[axis]).unwrap_or(0),
            spec.pads(axis, size[axis]),
        );
        let read = |tap: usize, place: usize| place * spec.strides[axis] + tap * spec.dilations[axis];
        let lies = |at: usize| (before..before + size[axis]).contains(&at);
        let share = |tap: usize| (0..made).filter(|&place| lies(read(tap, place))).count() as f64 / made.max(1) as f64;
        (0..spec.kernel[axis]).map(share).collect()
    };
    let columns = along(1);
    along(0)
        .iter()
        .flat_map(|row| columns.iter().map(move |column| row * column))
        .collect()
}

impl MadeUp {
    /// A reader's weights (outputs × channels × taps) for what is let through, and what its biases gain: the mean over its places.
    pub fn read_through(&self, weights: &[f32], taps: usize) -> (Vec<f32>, Vec<f64>) {
        let c = self.offset.len();
        let rows = by_tap(weights, c, taps);
        let given = MatRef::from_row_major_slice(&rows, rows.len() / c.max(1), c);
        let made = given * self.mix.transpose();
        let each = (c * taps).max(1);
        let one = |at: usize| made[(at / each * taps + at % taps, at % each / taps)];
        let gained = |output: &[f32]| {
            let channels = output.chunks_exact(taps.max(1)).zip(&self.offset);
            channels
                .map(|(w, b)| b * w.iter().zip(&self.inside).map(|(&w, i)| f64::from(w) * i).sum::<f64>())
                .sum()
        };
        (
            (0..weights.len()).map(one).collect(),
            weights.chunks_exact(each).map(gained).collect(),
        )
    }
}

/// Weights (outputs × channels × taps) as (outputs · taps) × channels.
pub(super) fn by_tap(weights: &[f32], channels: usize, taps: usize) -> Vec<f32> {
    let each = (channels * taps).max(1);
    let row = |output: &'_ [f32], t: usize| {
        output
            .iter()
            .skip(t)
            .step_by(taps.max(1))
            .copied()
            .collect::<Vec<f32>>()
    };
    let outputs = weights.chunks_exact(each);
    outputs.flat_map(|o| (0..taps).flat_map(move |t| row(o, t))).collect()
}

#[cfg(test)]
mod tests {
    use super::{ConvSpec, MadeUp, Mat, taps_inside};
    use crate::ops::Direction;

    fn conv(kernel: [usize; 2], pads: [i64; 4], strides: [i64; 2]) -> Result<ConvSpec, String> {
        let list = |name: &str| match name {
            "pads" => Some(pads.to_vec()),
            "strides" => Some(strides.to_vec()),
            _ => None,
        };
        ConvSpec::from_lists(&kernel, &list, "NOTSET", 1, Direction::Forward).ok_or_else(|| "no convolution".to_owned())
    }

    #[test]
    fn taps_read_zeros_at_the_edges() -> Result<(), String> {
        let small = taps_inside(&conv([3, 3], [1; 4], [1; 2])?, [2, 2]);
        assert_eq!(small, [0.25, 0.5, 0.25, 0.5, 1.0, 0.5, 0.25, 0.5, 0.25]);
        assert_eq!(taps_inside(&conv([3, 1], [0; 4], [1; 2])?, [5, 2]), [1.0; 3]);
        // Two places along the rows: the window begins in front of the first and behind it.
        assert_eq!(
            taps_inside(&conv([3, 1], [1, 0, 1, 0], [2, 1])?, [4, 1]),
            [0.5, 1.0, 1.0]
        );
        Ok(())
    }

    /// What a bias gains is the mean over the map of what the constant part adds there, the edges' zeros included.
    #[test]
    fn biases_make_up_for_what_lies_in_the_map() -> Result<(), String> {
        let spec = conv([3, 3], [1; 4], [1; 2])?;
        let made = MadeUp {
            mix: Mat::zeros(1, 1),
            offset: vec![2.0],
            inside: taps_inside(&spec, [2, 2]),
        };
        let (weights, gained) = made.read_through(&[1.0; 9], 9);
        assert_eq!(weights, [0.0; 9]);
        // Each of four places reads all four.
        assert_eq!(gained, [8.0]);
        Ok(())
    }
}
