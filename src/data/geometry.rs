//! Where an image lies in a model's input.

use serde::Serialize;

use super::preprocessing::Resize;

/// Where an image lies in a model's input, in pixels: `input = image · scale + offset`, along x and along y. Coordinates are those of
/// the pixels' edges, so that an image reaches from 0 to its width.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Geometry {
    /// Width and height of the image as it is seen: after the orientation that a camera noted.
    pub image: [u32; 2],
    /// Width and height of the input.
    pub input: [u32; 2],
    /// Width and height of the whole image after it is resized.
    pub resized: [u32; 2],
    /// Where its left and its top edge come to lie: beyond 0 where it is padded, below where it is cropped.
    pub offset: [i64; 2],
}

/// An image among samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImagePlace {
    /// The path of its file within the folder of all; `None` for an array's.
    pub name: Option<String>,
    /// Where it lies in the input.
    pub geometry: Geometry,
}

impl Geometry {
    /// An image that is as large as the input.
    pub(super) fn same(width: u32, height: u32) -> Self {
        let size = [width, height];
        Self {
            image: size,
            input: size,
            resized: size,
            offset: [0, 0],
        }
    }

    /// An image of `image` pixels in an input of `input`, brought there by `resize`. Sides are rounded to whole pixels and are at
    /// least 1; where what is left over is odd, the left or top part is the smaller one.
    pub(super) fn of(image: [u32; 2], input: [u32; 2], resize: Resize) -> Self {
        let ratio = |axis: usize| f64::from(input[axis]) / f64::from(image[axis].max(1));
        let both = [ratio(0), ratio(1)];
        let scaled = |scale: f64| image.map(|side| ((f64::from(side) * scale).round() as u32).max(1));
        let resized = match resize {
            Resize::Stretch => input,
            Resize::Crop => scaled(both[0].max(both[1])),
            Resize::Letterbox | Resize::LetterboxCorner => scaled(both[0].min(both[1])),
        };
        let middle = |axis: usize| {
            let left = i64::from(input[axis]) - i64::from(resized[axis]);
            // Towards zero, as pixels are cut off the image alike.
            left / 2
        };
        let offset = match resize {
            Resize::LetterboxCorner | Resize::Stretch => [0, 0],
            Resize::Crop | Resize::Letterbox => [middle(0), middle(1)],
        };
        Self {
            image,
            input,
            resized,
            offset,
        }
    }

    /// Scales along x and y.
    pub fn scale(&self) -> [f64; 2] {
        [0, 1].map(|axis| f64::from(self.resized[axis]) / f64::from(self.image[axis].max(1)))
    }

    /// A place of the image in the input.
    pub fn to_input(&self, place: [f64; 2]) -> [f64; 2] {
        let scale = self.scale();
        [0, 1].map(|axis| place[axis] * scale[axis] + self.offset[axis] as f64)
    }

    /// A place of the input in the image.
    pub fn to_image(&self, place: [f64; 2]) -> [f64; 2] {
        let scale = self.scale();
        [0, 1].map(|axis| (place[axis] - self.offset[axis] as f64) / scale[axis])
    }
}

#[cfg(test)]
mod tests {
    use super::Geometry;
    use crate::data::Resize;

    #[test]
    fn images_are_brought_to_an_input_in_every_way() {
        let of = |image, resize| Geometry::of(image, [416, 416], resize);
        // 640×425: a scale of 0.65, 276.25 rows, 140 rows left over.
        let boxed = of([640, 425], Resize::Letterbox);
        assert_eq!((boxed.resized, boxed.offset), ([416, 276], [0, 70]));
        let corner = of([640, 425], Resize::LetterboxCorner);
        assert_eq!((corner.resized, corner.offset), ([416, 276], [0, 0]));
        let cropped = of([640, 425], Resize::Crop);
        assert_eq!((cropped.resized, cropped.offset), ([626, 416], [-105, 0]));
        let stretched = of([640, 425], Resize::Stretch);
        assert_eq!((stretched.resized, stretched.offset), ([416, 416], [0, 0]));
        // An odd rest: the smaller half is on top.
        assert_eq!(of([416, 413], Resize::Letterbox).offset, [0, 1]);
        assert_eq!(of([10_000, 1], Resize::Letterbox).resized, [416, 1]);
        for geometry in [boxed, corner, cropped, stretched] {
            let there = geometry.to_input([123.0, 45.5]);
            let back = geometry.to_image(there);
            assert!((back[0] - 123.0).abs() < 1e-9 && (back[1] - 45.5).abs() < 1e-9);
        }
        assert_eq!(boxed.to_input([0.0, 0.0]), [0.0, 70.0]);
        assert_eq!(boxed.to_input([640.0, 425.0]), [416.0, 346.0]);
    }
}
