//! Embeddings: vectors whose directions count.

/// Cosine of the angle between two vectors; 0 where one has no length.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum() };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

/// For each vector the other one with the greatest cosine; the first of equals. Empty for fewer than two.
pub fn nearest(vectors: &[Vec<f32>]) -> Vec<usize> {
    if vectors.len() < 2 {
        return Vec::new();
    }
    let of = |k: usize| {
        let mut best = (usize::from(k == 0), f64::NEG_INFINITY);
        for (i, other) in vectors.iter().enumerate().filter(|(i, _)| *i != k) {
            let near = cosine(&vectors[k], other);
            if near > best.1 {
                best = (i, near);
            }
        }
        best.0
    };
    (0..vectors.len()).map(of).collect()
}
