//! Images as a model's input takes them: its channels, its height and its width.

use std::path::Path;

use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageBuffer, ImageDecoder, ImageReader, Pixel, Rgb, RgbImage};

use super::geometry::Geometry;
use super::preprocessing::{ChannelOrder, ImageLayout, Preprocessing, Resize};
use crate::Result;
use crate::device::InputSpec;
use crate::error::SamplesFault;
use crate::onnx::Dtype;

/// An input that takes images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ImageInput {
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) layout: ImageLayout,
}

/// An image as an input takes it.
pub(super) struct FittedImage {
    /// H×W×C.
    pub(super) pixels: Vec<u8>,
    pub(super) geometry: Geometry,
}

/// A cropped image may be resized to so many times the input's pixels before the middle is taken.
const LONGEST: u64 = 100;

impl ImageInput {
    /// Of an input of four axes. Channels are last where the layout says so, or where it says nothing and only the last axis can
    /// be one of channels.
    ///
    /// # Errors
    /// When the input takes no images.
    pub(super) fn of(spec: &InputSpec, layout: Option<ImageLayout>) -> Result<Self, SamplesFault> {
        let [_, a, b, c] = spec.dims[..] else {
            return Err(SamplesFault::Contents(format!(
                "input '{}' is no image: it has not four axes",
                spec.name
            )));
        };
        let last = matches!(c, 1 | 3) && !matches!(a, 1 | 3);
        let told = match last {
            true => ImageLayout::ChannelsLast,
            false => ImageLayout::ChannelsFirst,
        };
        let layout = layout.unwrap_or(told);
        let (channels, height, width) = match layout {
            ImageLayout::ChannelsLast => (c, a, b),
            ImageLayout::ChannelsFirst => (a, b, c),
        };
        if !matches!(channels, 1 | 3) {
            return Err(SamplesFault::Contents(format!(
                "input '{}' has {channels} channels; images have 1 or 3",
                spec.name
            )));
        }
        Ok(Self {
            channels,
            height,
            width,
            layout,
        })
    }

    /// The same of an input that images of so many channels are for.
    pub(super) fn layout_for(spec: &InputSpec, channels: usize, layout: Option<ImageLayout>) -> ImageLayout {
        layout.unwrap_or(match spec.dims[1] == channels && spec.dims[3] != channels {
            true => ImageLayout::ChannelsFirst,
            false => ImageLayout::ChannelsLast,
        })
    }

    /// An image of this input's channels, height and width.
    ///
    /// # Errors
    /// When it is too long and thin to be cropped.
    pub(super) fn fitted(&self, image: &DynamicImage, how: &Preprocessing) -> Result<FittedImage, SamplesFault> {
        let input = [self.width as u32, self.height as u32];
        let resize = how.resize.unwrap_or(Resize::Crop);
        let geometry = Geometry::of([image.width(), image.height()], input, resize);
        let pixels = |size: [u32; 2]| u64::from(size[0]) * u64::from(size[1]);
        if pixels(geometry.resized) > LONGEST * pixels(input) {
            return Err(SamplesFault::Contents(format!(
                "{} × {} pixels are too long and thin to be cropped to {} × {}; leave it out, or letterbox images",
                image.width(),
                image.height(),
                self.width,
                self.height
            )));
        }
        // First the channels, as what lies under transparent pixels is none of the image's neighbours.
        let grey = self.channels == 1 || how.channels == ChannelOrder::Gray;
        let pixels = if grey {
            let image = placed(&grey_of(image), &geometry, how.pad).into_raw();
            let repeated = image.iter().flat_map(|&p| std::iter::repeat_n(p, self.channels));
            repeated.collect()
        } else {
            placed(&image.to_rgb8(), &geometry, how.pad).into_raw()
        };
        Ok(FittedImage { pixels, geometry })
    }
}

/// What is said of a height or width that nobody set.
pub(super) fn assumed_size(spec: &InputSpec, input: &ImageInput) -> Option<String> {
    let axes = match input.layout {
        ImageLayout::ChannelsFirst => [2, 3],
        ImageLayout::ChannelsLast => [1, 2],
    };
    spec.assumed.iter().any(|dim| axes.contains(&dim.axis)).then(|| {
        format!(
            "the model leaves the height and width of input '{}' open: images are brought to {} × {} (height × width); set the input's \
             shape for another size",
            spec.name, input.height, input.width
        )
    })
}

/// Whether images can be given for an input's elements.
pub(super) fn takes_images(dtype: Dtype) -> bool {
    matches!(
        dtype,
        Dtype::Uint8 | Dtype::Float | Dtype::Float16 | Dtype::Bfloat16 | Dtype::Double
    )
}

/// Reads a PNG or JPEG file, turned as the camera was held.
pub(super) fn opened(path: &Path) -> Result<DynamicImage> {
    let read = || -> image::ImageResult<DynamicImage> {
        let mut decoder = ImageReader::open(path)?.with_guessed_format()?.into_decoder()?;
        let orientation = decoder.orientation()?;
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        Ok(image)
    };
    let image = read().map_err(|e| SamplesFault::Contents(e.to_string()).at(path))?;
    if image.width() == 0 || image.height() == 0 {
        return Err(SamplesFault::Contents("it has no pixels".to_owned()).at(path));
    }
    Ok(image)
}

/// Luma by ITU-R BT.601, as OpenCV and Pillow have it; grey images stay.
fn grey_of(image: &DynamicImage) -> GrayImage {
    if !image.color().has_color() {
        return image.to_luma8();
    }
    let image = image.to_rgb8();
    let luma = |p: &Rgb<u8>| {
        let [r, g, b] = p.0.map(u32::from);
        ((19_595 * r + 38_470 * g + 7_471 * b + 0x8000) >> 16) as u8
    };
    let pixels = image.pixels().map(|p| image::Luma([luma(p)]));
    let mut grey = GrayImage::new(image.width(), image.height());
    grey.pixels_mut().zip(pixels).for_each(|(to, from)| *to = from);
    grey
}

/// An image resized (bilinear, with as wide a filter as it shrinks) and laid into its input.
fn placed<P>(image: &ImageBuffer<P, Vec<u8>>, geometry: &Geometry, pad: u8) -> ImageBuffer<P, Vec<u8>>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    let [width, height] = geometry.resized;
    let resized = match geometry.resized == geometry.image {
        true => image.clone(),
        false => imageops::resize(image, width, height, FilterType::Triangle),
    };
    if geometry.resized == geometry.input {
        return resized;
    }
    let grey = vec![pad; usize::from(P::CHANNEL_COUNT)];
    let mut whole = ImageBuffer::from_pixel(geometry.input[0], geometry.input[1], *P::from_slice(&grey));
    imageops::replace(&mut whole, &resized, geometry.offset[0], geometry.offset[1]);
    whole
}

/// 8-bit pixels H×W×C of an array as an image.
pub(super) fn of_pixels(width: usize, height: usize, channels: usize, pixels: Vec<u8>) -> Option<DynamicImage> {
    let (width, height) = (width as u32, height as u32);
    match channels {
        1 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
        3 => RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
        _ => None,
    }
}
