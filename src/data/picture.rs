//! Samples as pictures for people.

use super::Dataset;
use super::geometry::Geometry;
use super::preprocessing::{ChannelOrder, ImageLayout, PixelRange, Preprocessing};
use super::resizing::{ImageInput, takes_images};
use super::source::StoredSamples;
use crate::device::InputSpec;
use crate::onnx::{Dtype, Tensor};

/// A sample as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green and blue of each pixel, row by row.
    pub pixels: Vec<u8>,
    /// The path of its file within the folder of all, where it is a file.
    pub name: Option<String>,
    /// Where the image itself lies in it: left, top, width and height.
    pub within: [usize; 4],
}

/// Pixels may be so far beyond 0 and 255, from rounding.
const SLACK: f32 = 1.0;

impl Dataset {
    /// Sample `i` as a picture, as large as the input. Numbers are undone by the samples' preprocessing; `None` where samples are no
    /// images of one or three channels, or where that does not give numbers from 0 to 255.
    pub fn picture(&self, i: usize) -> Option<Picture> {
        let of = |(_, source, rank): &(String, StoredSamples, usize)| match source {
            StoredSamples::Images(images) => images.pixels(i),
            StoredSamples::Values(all, 0) => undone(&source.part(i, i.checked_add(1)?, *rank), all.dtype, &self.how),
            StoredSamples::Values(..) | StoredSamples::Shared(_) => None,
        };
        let ([height, width, channels], pixels) = self.inputs.iter().filter(|_| i < self.count).find_map(of)?;
        let pixels: Vec<u8> = match channels {
            1 => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
            3 => pixels,
            _ => return None,
        };
        let place = self.places.get(i);
        let within = place.and_then(|p| within(&p.geometry, width, height));
        Some(Picture {
            width,
            height,
            pixels,
            name: place.and_then(|p| p.name.clone()),
            within: within.unwrap_or([0, 0, width, height]),
        })
    }
}

/// The part of an input of so many columns and rows that the image covers; `None` where that is nothing.
fn within(geometry: &Geometry, width: usize, height: usize) -> Option<[usize; 4]> {
    let side = |axis: usize, most: usize| {
        let (from, most) = (geometry.offset[axis], i64::try_from(most).ok()?);
        let to = (from + i64::from(geometry.resized[axis])).min(most);
        let from = from.clamp(0, most);
        let length = usize::try_from(to - from).ok().filter(|n| *n > 0)?;
        Some((usize::try_from(from).ok()?, length))
    };
    let ((x, width), (y, height)) = (side(0, width)?, side(1, height)?);
    Some([x, y, width, height])
}

/// Height, width, channels and pixels (H×W×C) of one sample's numbers.
fn undone(sample: &Tensor, dtype: Dtype, how: &Preprocessing) -> Option<([usize; 3], Vec<u8>)> {
    let spec = InputSpec {
        name: String::new(),
        dims: sample.dims.clone(),
        dtype,
        open: Vec::new(),
        assumed: Vec::new(),
    };
    let input = ImageInput::of(&spec, how.layout).ok().filter(|_| takes_images(dtype))?;
    let values: Vec<f32> = match dtype {
        Dtype::Uint8 => sample.bytes.iter().map(|&b| f32::from(b)).collect(),
        _ => sample.to_f32()?,
    };
    let (places, channels) = (input.height * input.width, input.channels);
    let at = |place: usize, channel: usize| match input.layout {
        ImageLayout::ChannelsFirst => channel * places + place,
        ImageLayout::ChannelsLast => place * channels + channel,
    };
    let of = |list: &[f32], channel: usize| list.get(channel).or(list.first()).copied();
    let range = how.range.unwrap_or(match dtype {
        Dtype::Uint8 => PixelRange::Bytes,
        _ => PixelRange::Unit,
    });
    let mut pixels = Vec::with_capacity(places * channels);
    for place in 0..places {
        for shown in 0..channels {
            let channel = match how.channels == ChannelOrder::Bgr && channels == 3 {
                true => 2 - shown,
                false => shown,
            };
            let mean = of(&how.scaling.mean, channel).unwrap_or(0.0);
            let std = of(&how.scaling.std, channel).unwrap_or(1.0);
            let pixel = range.pixel(values.get(at(place, channel))? * std + mean);
            let possible = (-SLACK..=255.0 + SLACK).contains(&pixel);
            pixels.push(possible.then(|| pixel.round().clamp(0.0, 255.0) as u8)?);
        }
    }
    Some(([input.height, input.width, channels], pixels))
}

#[cfg(test)]
mod tests {
    use super::{undone, within};
    use crate::data::geometry::Geometry;
    use crate::data::{ChannelOrder, PixelRange, Preprocessing, Resize, Scaling};
    use crate::onnx::{Dtype, Tensor};

    #[test]
    fn numbers_are_undone_by_the_way_they_were_made_or_not_at_all() {
        // Two pixels, channels first, blue first: (10, 20, 30) and (40, 50, 255) in red, green and blue.
        let pixels = [30.0, 255.0, 20.0, 50.0, 10.0, 40.0_f32];
        let how = Preprocessing {
            channels: ChannelOrder::Bgr,
            range: Some(PixelRange::Signed),
            scaling: Scaling {
                mean: vec![0.1, 0.2, 0.3],
                std: vec![0.5, 0.25, 2.0],
            },
            ..Preprocessing::default()
        };
        let made = |k: usize, p: f32| (p / 127.5 - 1.0 - how.scaling.mean[k / 2]) / how.scaling.std[k / 2];
        let values: Vec<f32> = pixels.iter().enumerate().map(|(k, p)| made(k, *p)).collect();
        let sample = Tensor::from_f32(vec![1, 3, 1, 2], &values);
        assert_eq!(
            undone(&sample, Dtype::Float, &how),
            Some(([1, 2, 3], vec![10, 20, 30, 40, 50, 255]))
        );
        assert_eq!(
            undone(&sample, Dtype::Float, &Preprocessing::default()),
            None,
            "below 0"
        );
        let table = Tensor::from_f32(vec![1, 6], &values);
        assert_eq!(undone(&table, Dtype::Float, &how), None);
    }

    #[test]
    fn what_is_around_an_image_is_no_part_of_it() {
        let of = |image, resize| within(&Geometry::of(image, [100, 80], resize), 100, 80);
        assert_eq!(of([50, 80], Resize::Letterbox), Some([25, 0, 50, 80]));
        assert_eq!(of([50, 80], Resize::Crop), Some([0, 0, 100, 80]));
        assert_eq!(of([1000, 80], Resize::LetterboxCorner), Some([0, 0, 100, 8]));
    }
}
