//! Segmenters: the class of every place, and how far two maps agree.

use crate::data::Mask;

impl Mask {
    /// The map at another size: the class of the nearest place.
    #[must_use]
    pub fn resized(&self, height: usize, width: usize) -> Self {
        if (self.height, self.width) == (height, width) {
            return self.clone();
        }
        let near =
            |k: usize, to: usize, from: usize| ((2 * k + 1) * from / (2 * to).max(1)).min(from.saturating_sub(1));
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let class = |(y, x)| {
            let at = near(y, height, self.height) * self.width + near(x, width, self.width);
            self.classes.get(at).copied().unwrap_or(Self::IGNORED)
        };
        Self {
            height,
            width,
            classes: places.map(class).collect(),
        }
    }

    /// The places whose right or lower neighbour has another class.
    fn edges(&self) -> Vec<bool> {
        let mut edges = vec![false; self.classes.len()];
        for y in 0..self.height {
            for x in 0..self.width {
                let at = y * self.width + x;
                let differ = |a: u16, b: u16| a != b && a != Self::IGNORED && b != Self::IGNORED;
                let right = x + 1 < self.width && differ(self.classes[at], self.classes[at + 1]);
                let below = y + 1 < self.height && differ(self.classes[at], self.classes[at + self.width]);
                edges[at] = right || below;
            }
        }
        edges
    }
}

/// How two maps of one image compare, as counts that add up over images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MapCounts {
    /// For each class the places where both have it, and where either has it.
    pub classes: std::collections::BTreeMap<u16, (u64, u64)>,
    /// Edges of either map with no edge of the other near them, and edges of either.
    pub edges: (u64, u64),
}

/// So many places away an edge still counts as the same.
const NEAR: usize = 2;

impl MapCounts {
    /// Counts one image; `found` is brought to the size of `there`.
    pub fn new(there: &Mask, found: &Mask) -> Self {
        let found = found.resized(there.height, there.width);
        let mut counts = Self::default();
        for (&a, &b) in there.classes.iter().zip(&found.classes) {
            if a == Mask::IGNORED {
                continue;
            }
            if a == b {
                let both = counts.classes.entry(a).or_default();
                both.0 += 1;
                both.1 += 1;
            } else {
                counts.classes.entry(a).or_default().1 += 1;
                counts.classes.entry(b).or_default().1 += 1;
            }
        }
        let (a, b) = (there.edges(), found.edges());
        let shape = (there.height, there.width);
        let (near_a, near_b) = (widened(&a, shape), widened(&b, shape));
        let missed = |edges: &[bool], near: &[bool]| edges.iter().zip(near).filter(|(e, n)| **e && !**n).count() as u64;
        let all = |edges: &[bool]| edges.iter().filter(|e| **e).count() as u64;
        counts.edges = (missed(&a, &near_b) + missed(&b, &near_a), all(&a) + all(&b));
        counts
    }

    /// Adds another image's, counted `times` over.
    pub fn add(&mut self, other: &Self, times: u64) {
        for (&class, &(both, either)) in &other.classes {
            let into = self.classes.entry(class).or_default();
            into.0 += times * both;
            into.1 += times * either;
        }
        self.edges.0 += times * other.edges.0;
        self.edges.1 += times * other.edges.1;
    }

    /// Mean over the classes that appear of intersection over union, 0 to 1; `None` where nothing was counted.
    pub fn mean_iou(&self) -> Option<f64> {
        let seen = self.classes.values().filter(|c| c.1 > 0);
        let (mut sum, mut count) = (0.0, 0.0);
        for (both, either) in seen {
            sum += *both as f64 / *either as f64;
            count += 1.0;
        }
        (count > 0.0).then(|| sum / count)
    }

    /// The share of edges with no edge of the other map within two places, 0 to 1.
    pub fn boundary_error(&self) -> f64 {
        self.edges.0 as f64 / (self.edges.1 as f64).max(1.0)
    }
}

/// Places within [`NEAR`] rows and columns of one that is set.
fn widened(set: &[bool], (height, width): (usize, usize)) -> Vec<bool> {
    let mut rows = vec![false; set.len()];
    for y in 0..height {
        for x in 0..width {
            let (from, to) = (x.saturating_sub(NEAR), (x + NEAR + 1).min(width));
            rows[y * width + x] = set[y * width + from..y * width + to].iter().any(|v| *v);
        }
    }
    let mut all = vec![false; set.len()];
    for y in 0..height {
        for x in 0..width {
            let near = y.saturating_sub(NEAR)..(y + NEAR + 1).min(height);
            all[y * width + x] = near.into_iter().any(|y| rows[y * width + x]);
        }
    }
    all
}
