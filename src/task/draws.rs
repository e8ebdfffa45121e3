//! The inputs of tests whose results are computed elsewhere: see `tests/python/task_numbers.py`.

use super::detect::{Detection, Rect, TrueBox};

/// A linear congruential generator.
pub(crate) struct Draws(pub u64);

impl Draws {
    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = (self.0 * 1_103_515_245 + 12_345) % (1 << 31);
        (self.0 >> 8) % n
    }

    fn pixels(&mut self, n: u64) -> f32 {
        self.below(n) as f32
    }
}

/// What is there in images, and what was found.
pub(crate) fn scene(seed: u64, images: usize) -> (Vec<Vec<TrueBox>>, Vec<Vec<Detection>>) {
    let mut draw = Draws(seed);
    let (mut there, mut found) = (vec![Vec::new(); images], vec![Vec::new(); images]);
    for image in 0..images {
        for _ in 0..draw.below(5) {
            let class = draw.below(3) as usize;
            let (x, y) = (draw.pixels(300), draw.pixels(300));
            let (w, h) = (10.0 + draw.pixels(120), 10.0 + draw.pixels(120));
            let crowd = draw.below(12) == 0;
            let rect = Rect::corners(x, y, x + w, y + h);
            there[image].push(TrueBox { class, rect, crowd });
            for _ in 0..draw.below(3) {
                let [dx, dy, dw, dh] = std::array::from_fn(|_| draw.pixels(17) - 8.0);
                let class = if draw.below(6) == 0 {
                    draw.below(3) as usize
                } else {
                    class
                };
                let score = (1 + draw.below(999)) as f32 / 1000.0;
                let (x, y) = (x + dx, y + dy);
                let rect = Rect::corners(x, y, x + (w + dw).max(4.0), y + (h + dh).max(4.0));
                found[image].push(Detection { class, score, rect });
            }
        }
        for _ in 0..draw.below(3) {
            let class = draw.below(3) as usize;
            let (x, y) = (draw.pixels(300), draw.pixels(300));
            let (w, h) = (10.0 + draw.pixels(90), 10.0 + draw.pixels(90));
            let score = (1 + draw.below(600)) as f32 / 1000.0;
            let rect = Rect::corners(x, y, x + w, y + h);
            found[image].push(Detection { class, score, rect });
        }
    }
    (there, found)
}

/// Two tables of 8 × 5 numbers that are alike.
pub(crate) fn tables() -> (Vec<f32>, Vec<f32>) {
    let mut draw = Draws(9);
    let x: Vec<f64> = (0..40).map(|_| draw.below(1000) as f64 / 500.0 - 1.0).collect();
    let y: Vec<f64> = x.iter().map(|x| x + draw.below(1000) as f64 / 1000.0 - 0.5).collect();
    let single = |v: &[f64]| v.iter().map(|&v| v as f32).collect();
    (single(&x), single(&y))
}
