//! Boxes, and what of them overlaps.

/// An axis-aligned rectangle, from (x1, y1) to (x2, y2).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    /// Left.
    pub x1: f32,
    /// Top.
    pub y1: f32,
    /// Right.
    pub x2: f32,
    /// Bottom.
    pub y2: f32,
}

impl Rect {
    /// From its corners.
    pub fn corners(x1: f32, y1: f32, x2: f32, y2: f32) -> Self {
        Self { x1, y1, x2, y2 }
    }

    /// From its centre and size.
    pub fn centered(x: f32, y: f32, width: f32, height: f32) -> Self {
        Self::corners(x - 0.5 * width, y - 0.5 * height, x + 0.5 * width, y + 0.5 * height)
    }

    /// The same with x and y multiplied.
    #[must_use]
    pub fn scaled(&self, (x, y): (f32, f32)) -> Self {
        Self::corners(x * self.x1, y * self.y1, x * self.x2, y * self.y2)
    }

    /// Width; 0 where the corners are in the wrong order.
    pub fn width(&self) -> f32 {
        (self.x2 - self.x1).max(0.0)
    }

    /// Height; 0 where the corners are in the wrong order.
    pub fn height(&self) -> f32 {
        (self.y2 - self.y1).max(0.0)
    }

    /// Width times height.
    pub fn area(&self) -> f64 {
        f64::from(self.width()) * f64::from(self.height())
    }

    /// The area that two rectangles share.
    pub fn intersection(&self, other: &Self) -> f64 {
        let width = self.x2.min(other.x2) - self.x1.max(other.x1);
        let height = self.y2.min(other.y2) - self.y1.max(other.y1);
        f64::from(width.max(0.0)) * f64::from(height.max(0.0))
    }

    /// Intersection over union, 0 to 1; 0 where one is empty.
    pub fn iou(&self, other: &Self) -> f64 {
        let shared = self.intersection(other);
        if shared > 0.0 {
            shared / (self.area() + other.area() - shared)
        } else {
            0.0
        }
    }

    /// Whether all its numbers are finite.
    pub fn is_finite(&self) -> bool {
        [self.x1, self.y1, self.x2, self.y2].iter().all(|v| v.is_finite())
    }
}

/// Something that a detector found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Detection {
    /// Its class.
    pub class: usize,
    /// How sure the detector is, 0 to 1.
    pub score: f32,
    /// Where it is.
    pub rect: Rect,
}

/// Something that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrueBox {
    /// Its class.
    pub class: usize,
    /// Where it is.
    pub rect: Rect,
    /// Whether it stands for many of them (COCO's `iscrowd`): what is found there counts neither as right nor as wrong.
    pub crowd: bool,
}

impl From<&Detection> for TrueBox {
    fn from(found: &Detection) -> Self {
        Self {
            class: found.class,
            rect: found.rect,
            crowd: false,
        }
    }
}
