//! Embeddings: vectors whose directions count.

use faer::Mat;

/// Cosine of the angle between two vectors; 0 where one has no length.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// Vectors that are held against all at a time.
const BLOCK: usize = 256;
/// Cosines that differ by less are the same: products of matrices round alike vectors differently.
const SAME: f64 = 1e-12;

/// For each vector the other one with the greatest cosine; the first of equals. Empty for fewer than two.
pub fn nearest(vectors: &[Vec<f32>]) -> Vec<usize> {
    let (count, length) = (vectors.len(), vectors.iter().map(Vec::len).max().unwrap_or(0));
    if count < 2 {
        return Vec::new();
    }
    let scale: Vec<f64> = vectors
        .iter()
        .map(|v| Some(1.0 / dot(v, v).sqrt()).filter(|s| s.is_finite()).unwrap_or(0.0))
        .collect();
    // A vector in each column. One without a length has a cosine of 0 with all.
    let value = |i: usize, k: usize| vectors[k].get(i).map_or(0.0, |v| f64::from(*v)) * scale[k];
    let unit = Mat::from_fn(length, count, |i, k| if scale[k] > 0.0 { value(i, k) } else { 0.0 });
    let mut found = Vec::with_capacity(count);
    for from in (0..count).step_by(BLOCK) {
        let block = unit.subcols(from, BLOCK.min(count - from));
        let cosines = unit.transpose() * block;
        for k in 0..block.ncols() {
            let others = || (0..count).filter(|i| *i != from + k);
            let most = others().fold(f64::NEG_INFINITY, |most, i| most.max(cosines[(i, k)]));
            let first = others().find(|&i| cosines[(i, k)] >= most - SAME);
            found.push(first.unwrap_or(usize::from(from + k == 0)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, cosine, nearest};

    /// One by one.
    fn plain(vectors: &[Vec<f32>]) -> Vec<usize> {
        let of = |k: usize| {
            let others = (0..vectors.len()).filter(|i| *i != k);
            let first = (usize::from(k == 0), f64::NEG_INFINITY);
            others
                .map(|i| (i, cosine(&vectors[k], &vectors[i])))
                .fold(first, |best, one| if one.1 > best.1 + 1e-12 { one } else { best })
                .0
        };
        (0..vectors.len()).map(of).collect()
    }

    #[test]
    fn the_nearest_are_those_that_a_plain_search_finds() {
        let mut random = fastrand::Rng::with_seed(9);
        let mut all: Vec<Vec<f32>> = (0..BLOCK + 70)
            .map(|_| (0..33).map(|_| random.f32() - 0.5).collect())
            .collect();
        // Equal ones, longer ones, ones without a length, and one with a value that is no number.
        all[300] = all[2].clone();
        all[290] = all[2].iter().map(|v| 3.0 * v).collect();
        (all[7], all[280]) = (vec![0.0; 33], vec![0.0; 33]);
        assert_eq!(nearest(&all), plain(&all));
        assert_eq!((nearest(&all)[2], nearest(&all)[300], nearest(&all)[290]), (290, 2, 2));
        all[11][4] = f32::NAN;
        assert_eq!(nearest(&all).len(), all.len());
        assert!(nearest(&all[..1]).is_empty());
    }
}
