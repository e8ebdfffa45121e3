//! Masks: PNG files whose grey values, or places in a palette, are classes.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use png::{BitDepth, ColorType, Transformations};
use rayon::prelude::*;

use super::kinds::{Labels, Mask, ReadLabels};
use super::named::{NamedPlace, some_of, stem};
use crate::data::geometry::Geometry;
use crate::error::SamplesFault;
use crate::{Error, Result};

/// The classes of an image's pixels as they are stored.
struct StoredMask {
    width: usize,
    height: usize,
    classes: Vec<u16>,
}

/// In masks of 8 bits.
const IGNORED_BYTE: u16 = 255;

/// Reads the mask of each image: the PNG file with its stem.
///
/// # Errors
/// When an image has no mask or two, or one of another size, or a file is no mask.
pub(super) fn read(folder: &Path, places: &[NamedPlace]) -> Result<ReadLabels> {
    let wrong = |what: String| SamplesFault::Labels(what).at(folder);
    let mut files: HashMap<String, Vec<PathBuf>> = HashMap::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::file(folder, e))? {
        let file = entry.map_err(|e| Error::file(folder, e))?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.to_lowercase().ends_with(".png") {
            files.entry(stem(&name).to_owned()).or_default().push(file);
        }
    }
    let missing: Vec<&str> = places
        .iter()
        .filter(|p| !files.contains_key(p.stem()))
        .map(|p| p.name.as_str())
        .collect();
    if !missing.is_empty() {
        return Err(wrong(format!(
            "it has no mask for {}; masks are PNG files with the names of the images",
            some_of(&missing)
        )));
    }
    let mut stored: Vec<StoredMask> = places
        .par_iter()
        .map(|place| match files.get(place.stem()).map(Vec::as_slice) {
            Some([file]) => opened(file, place),
            _ => Err(wrong(format!("it has several masks for {}", place.name))),
        })
        .collect::<Result<_>>()?;
    let mut notes = Vec::new();
    if is_binary(&stored) {
        notes.push("the masks hold 0 and 255 only, so that 255 is taken as class 1".to_owned());
        let class = |c: &mut u16| *c = u16::from(*c == Mask::IGNORED);
        stored.iter_mut().flat_map(|m| &mut m.classes).for_each(class);
    }
    let laid = |(mask, place): (&StoredMask, &NamedPlace)| laid(mask, &place.geometry);
    let masks = stored.iter().zip(places).map(laid).collect();
    Ok(ReadLabels {
        labels: Labels::Masks(masks),
        notes,
    })
}

/// Masks N×H×W of classes; those below 0, and 255, are ignored.
///
/// # Errors
/// When a class is too large.
pub(super) fn of_values(dims: [usize; 3], values: &[i64]) -> Result<Labels, String> {
    let [_, height, width] = dims;
    let class = |&value: &i64| match value {
        255 => Ok(Mask::IGNORED),
        v if v < 0 => Ok(Mask::IGNORED),
        v => u16::try_from(v).map_err(|_| format!("holds the class {v}")),
    };
    let classes: Vec<u16> = values.iter().map(class).collect::<Result<_, _>>()?;
    let mask = |part: &[u16]| Mask {
        width,
        height,
        classes: part.to_vec(),
    };
    Ok(Labels::Masks(
        classes.chunks_exact((width * height).max(1)).map(mask).collect(),
    ))
}

/// Whether nothing but 0 and what is ignored occurs, and both do.
fn is_binary(masks: &[StoredMask]) -> bool {
    let all = || masks.iter().flat_map(|m| &m.classes);
    all().all(|&c| c == 0 || c == Mask::IGNORED) && all().any(|&c| c != 0)
}

fn opened(path: &Path, place: &NamedPlace) -> Result<StoredMask> {
    let wrong = |what: String| SamplesFault::Labels(what).at(path);
    let file = File::open(path).map_err(|e| Error::file(path, e))?;
    let [width, height] = place.geometry.image;
    let expected = |own: [u32; 2]| match own == [width, height] {
        true => Ok(()),
        false => Err(format!(
            "it has {} × {} pixels, and {} has {width} × {height}",
            own[0], own[1], place.name
        )),
    };
    decoded(file, &expected).map_err(wrong)
}

/// The samples of a PNG file as they are stored: places in a palette are not turned into colours.
///
/// # Errors
/// When it is no mask, or `expected` refuses its width and height, before anything of its size is held.
fn decoded(file: File, expected: &dyn Fn([u32; 2]) -> Result<(), String>) -> Result<StoredMask, String> {
    let unread = |e: png::DecodingError| format!("it is no mask: {e}");
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(unread)?;
    expected([reader.info().width, reader.info().height])?;
    let (color, depth) = reader.output_color_type();
    if !matches!(color, ColorType::Grayscale | ColorType::Indexed) {
        return Err("its pixels are colours; the pixels of a mask are classes, grey or of a palette".to_owned());
    }
    let size = reader.output_buffer_size().ok_or("it is too large")?;
    let mut bytes = vec![0; size];
    let frame = reader.next_frame(&mut bytes).map_err(unread)?;
    let (width, height) = (frame.width as usize, frame.height as usize);
    let mut classes = Vec::with_capacity(width * height);
    for row in bytes.chunks_exact(frame.line_size.max(1)).take(height) {
        classes.extend((0..width).map(|x| sample(row, x, depth)));
    }
    Ok(StoredMask { width, height, classes })
}

/// Sample `x` of a row. Bits below 8 lie from the highest on.
fn sample(row: &[u8], x: usize, depth: BitDepth) -> u16 {
    let bits = depth as usize;
    let byte = |at: usize| u16::from(row.get(at).copied().unwrap_or(0));
    match depth {
        BitDepth::Sixteen => byte(2 * x) << 8 | byte(2 * x + 1),
        BitDepth::Eight => match byte(x) {
            IGNORED_BYTE => Mask::IGNORED,
            class => class,
        },
        BitDepth::One | BitDepth::Two | BitDepth::Four => {
            let at = x * bits;
            byte(at / 8) >> (8 - bits - at % 8) & ((1 << bits) - 1)
        }
    }
}

/// The mask of the input: each pixel has the class of the image's pixel in its middle.
fn laid(mask: &StoredMask, geometry: &Geometry) -> Mask {
    let [width, height] = geometry.input.map(|side| side as usize);
    // Which column or row of the image each of the input shows.
    let shown = |axis: usize, most: usize| -> Vec<Option<usize>> {
        let one = |at: u32| {
            let place = geometry.to_image([f64::from(at) + 0.5; 2])[axis].floor();
            (place >= 0.0 && place < most as f64).then_some(place as usize)
        };
        (0..geometry.input[axis]).map(one).collect()
    };
    let (columns, rows) = (shown(0, mask.width), shown(1, mask.height));
    let at = |row: &Option<usize>, column: &Option<usize>| {
        let place = row.zip(*column).map(|(y, x)| y * mask.width + x);
        place
            .and_then(|at| mask.classes.get(at))
            .copied()
            .unwrap_or(Mask::IGNORED)
    };
    let classes = rows.iter().flat_map(|y| columns.iter().map(move |x| at(y, x)));
    Mask {
        width,
        height,
        classes: classes.collect(),
    }
}
