//! Images within the page itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, ImageEncoder, ImageResult, RgbImage};

use crate::data::Mask;

/// The longest side of an image and its JPEG quality: the first with which it is small enough is taken, else the last.
const LADDER: [(u32, u8); 5] = [(560, 82), (480, 75), (400, 65), (320, 55), (224, 45)];
/// Bytes that an image should not exceed before it is written as text.
const SMALL_ENOUGH: usize = 40_000;
/// Images with sides up to this are kept exactly.
const TINY: u32 = 96;
/// The longest side of a drawn map.
const MAP_SIDE: usize = 280;
/// How opaque the colours of a map are, of 255.
const VEIL: u8 = 165;

/// Part of an image as a data URI: a small one exactly, a larger one as a JPEG of some ten kilobytes. `None` where it cannot be written.
pub(super) fn photo(pixels: &[u8], width: usize, height: usize, [x, y, w, h]: [usize; 4]) -> Option<String> {
    let side = |n: usize| u32::try_from(n).ok();
    let whole = RgbImage::from_raw(side(width)?, side(height)?, pixels.to_vec())?;
    let part = imageops::crop_imm(&whole, side(x)?, side(y)?, side(w)?, side(h)?).to_image();
    let longest = part.width().max(part.height());
    if longest <= TINY {
        let bytes = encoded(|into| {
            PngEncoder::new(into).write_image(part.as_raw(), part.width(), part.height(), ExtendedColorType::Rgb8)
        });
        return Some(uri("image/png", &bytes?));
    }
    let mut last = None;
    for (most, quality) in LADDER {
        let shrunk = |n: u32| (n * most.min(longest) / longest).max(1);
        let small = imageops::resize(&part, shrunk(part.width()), shrunk(part.height()), FilterType::Triangle);
        let bytes = encoded(|into| JpegEncoder::new_with_quality(into, quality).encode_image(&small))?;
        let fits = bytes.len() <= SMALL_ENOUGH;
        last = Some(uri("image/jpeg", &bytes));
        if fits {
            break;
        }
    }
    last
}

fn encoded(write: impl FnOnce(&mut Vec<u8>) -> ImageResult<()>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    write(&mut bytes).ok()?;
    Some(bytes)
}

fn uri(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", STANDARD.encode(bytes))
}

/// A map as coloured glass: class 0 and what is ignored are clear, each other class has a colour of its own.
pub(super) fn glass(map: &Mask) -> Option<String> {
    let colour = |class: u16| match class {
        0 | Mask::IGNORED => [0; 4],
        // Neighbouring classes have hues far apart: by the golden ratio.
        class => {
            let [r, g, b] = hue(0.33 + f32::from(class - 1) * 0.618_034);
            [r, g, b, VEIL]
        }
    };
    let (width, height) = shrunk(map);
    let small = map.resized(height, width);
    png(width, height, small.classes.iter().flat_map(|c| colour(*c)).collect())
}

/// Where two maps differ, in the colour that marks what one finds alone.
pub(super) fn differing(a: &Mask, b: &Mask) -> Option<String> {
    let (width, height) = shrunk(a);
    let (a, b) = (a.resized(height, width), b.resized(height, width));
    let colour = |(a, b): (&u16, &u16)| if a == b { [0; 4] } else { [255, 176, 0, 255] };
    png(
        width,
        height,
        a.classes.iter().zip(&b.classes).flat_map(colour).collect(),
    )
}

/// Width and height at which a map is drawn.
fn shrunk(map: &Mask) -> (usize, usize) {
    let longest = map.width.max(map.height).max(1);
    let side = |n: usize| (n * MAP_SIDE.min(longest) / longest).max(1);
    (side(map.width), side(map.height))
}

fn png(width: usize, height: usize, pixels: Vec<u8>) -> Option<String> {
    let (width, height) = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
    let bytes = encoded(|into| PngEncoder::new(into).write_image(&pixels, width, height, ExtendedColorType::Rgba8));
    Some(uri("image/png", &bytes?))
}

/// A full colour of a hue, which counts in turns.
fn hue(turns: f32) -> [u8; 3] {
    let at = turns.rem_euclid(1.0) * 6.0;
    // The distance to red, green and blue on the wheel of six.
    [0.0, 2.0, 4.0].map(|own: f32| {
        let far = (at - own).abs().min(6.0 - (at - own).abs());
        ((2.0 - far).clamp(0.0, 1.0) * 255.0) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::{SMALL_ENOUGH, differing, glass, hue, photo};
    use crate::data::Mask;

    #[test]
    fn noise_becomes_small_and_a_tiny_image_stays_as_it_is() -> Result<(), Box<dyn std::error::Error>> {
        let mut random = fastrand::Rng::with_seed(1);
        let noise: Vec<u8> = (0..640 * 480 * 3).map(|_| random.u8(..)).collect();
        let uri = photo(&noise, 640, 480, [0, 0, 640, 480]).ok_or("no image")?;
        assert!(uri.starts_with("data:image/jpeg;base64,") && uri.len() < SMALL_ENOUGH * 4 / 3 + 100);
        let tiny = photo(&noise[..32 * 32 * 3], 32, 32, [1, 2, 3, 4]).ok_or("no image")?;
        let (kind, text) = tiny.split_once(',').ok_or("no data")?;
        assert_eq!(kind, "data:image/png;base64");
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text)?;
        let image = image::load_from_memory(&bytes)?.to_rgb8();
        assert_eq!(image.dimensions(), (3, 4));
        let at = 3 * (2 * 32 + 1);
        assert_eq!(image.get_pixel(0, 0).0, noise[at..at + 3]);
        assert_eq!(photo(&noise, 640, 480, [0, 0, 640, 480]), Some(uri), "alike each time");
        Ok(())
    }

    #[test]
    fn classes_have_colours_and_differences_one() {
        assert_eq!(
            [hue(0.0), hue(1.0 / 3.0), hue(2.0 / 3.0)],
            [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
        );
        let map = |classes: &[u16]| Mask {
            width: 2,
            height: 2,
            classes: classes.to_vec(),
        };
        let (a, b) = (map(&[0, 1, 1, 2]), map(&[0, 1, 2, 2]));
        assert!(glass(&a).is_some() && glass(&a) != glass(&b) && differing(&a, &b) != differing(&a, &a));
    }
}
