//! Boxes of a COCO file: <https://cocodataset.org/#format-data>.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::kinds::{BoxLabels, LabelBox, Labels, ReadLabels};
use super::named::{NamedPlace, file_name, some_of};
use crate::data::geometry::Geometry;
use crate::error::SamplesFault;
use crate::{Error, Result};

#[derive(Deserialize)]
struct CocoFile {
    images: Vec<CocoImage>,
    #[serde(default)]
    annotations: Vec<Annotation>,
    #[serde(default)]
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct CocoImage {
    id: i64,
    file_name: String,
    width: Option<u32>,
    height: Option<u32>,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: i64,
    category_id: i64,
    #[serde(default)]
    bbox: Vec<f64>,
    #[serde(default)]
    iscrowd: u8,
    segmentation: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Category {
    id: i64,
    #[serde(default)]
    name: String,
}

/// What an annotation says of an image that is among the samples.
struct Said {
    class: usize,
    /// Left, top, width and height in the image.
    sides: [f64; 4],
    crowd: bool,
}

/// Reads the boxes of images. Categories become classes in the order of their ids; images are found by their path or, where no path
/// is the same, by their file name. What the input does not show of a box is cut off; one that it does not show at all is left out.
///
/// # Errors
/// When the file is not COCO's, or lists an image not at all, twice, or with another size.
pub(super) fn read(path: &Path, places: &[NamedPlace]) -> Result<ReadLabels> {
    let text = std::fs::read(path).map_err(|e| Error::file(path, e))?;
    parsed(&text, places).map_err(|what| SamplesFault::Labels(what).at(path))
}

/// The same of the file's contents.
pub(super) fn parsed(text: &[u8], places: &[NamedPlace]) -> Result<ReadLabels, String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let file: CocoFile = serde_json::from_slice(text).map_err(|e| {
        format!("it is no COCO file ({e}); one has `images`, `annotations` with `bbox`, and `categories`")
    })?;
    let categories: BTreeMap<i64, &str> = file.categories.iter().map(|c| (c.id, c.name.as_str())).collect();
    if categories.len() < file.categories.len() {
        return Err("two of its categories have the same id".to_owned());
    }
    let classes: HashMap<i64, usize> = categories.keys().enumerate().map(|(class, &id)| (id, class)).collect();
    let listed = found(&file.images, places)?;
    let mut said: HashMap<i64, Vec<Said>> = listed.iter().map(|image| (image.id, Vec::new())).collect();
    let mut outlines = 0;
    for annotation in &file.annotations {
        let class = classes.get(&annotation.category_id).ok_or_else(|| {
            let known = file.categories.len();
            format!(
                "an annotation of image {} is of category {}, which is none of its {known} categories",
                annotation.image_id, annotation.category_id
            )
        })?;
        // Images that are no samples do not matter.
        let Some(here) = said.get_mut(&annotation.image_id) else {
            continue;
        };
        here.push(Said {
            class: *class,
            sides: sides(annotation)?,
            crowd: annotation.iscrowd != 0,
        });
        outlines += usize::from(annotation.segmentation.is_some());
    }
    let mut images = Vec::with_capacity(places.len());
    for (place, image) in places.iter().zip(&listed) {
        let here = said.get(&image.id).map(Vec::as_slice).unwrap_or_default();
        images.push(here.iter().filter_map(|said| shown(said, &place.geometry)).collect());
    }
    let mut notes = Vec::new();
    if outlines > 0 {
        notes.push(format!(
            "{outlines} annotations have outlines or run-length masks, which are not used: their boxes are"
        ));
    }
    let unused = file.images.len() - listed.len();
    if unused > 0 {
        notes.push(format!("{unused} of its images are not among the samples"));
    }
    Ok(ReadLabels {
        labels: Labels::Boxes(BoxLabels {
            images,
            categories: categories.values().map(|&name| name.to_owned()).collect(),
        }),
        notes,
    })
}

/// The file's entry of each image.
fn found<'f>(images: &'f [CocoImage], places: &[NamedPlace]) -> Result<Vec<&'f CocoImage>, String> {
    let (mut by_path, mut by_name) = (HashMap::new(), HashMap::new());
    let mut ids = HashMap::new();
    for image in images {
        if let Some(other) = ids.insert(image.id, image) {
            let (one, other) = (&image.file_name, &other.file_name);
            return Err(format!("its images {other} and {one} have the same id, {}", image.id));
        }
        by_path
            .entry(image.file_name.replace('\\', "/"))
            .or_insert_with(Vec::new)
            .push(image);
        by_name
            .entry(file_name(&image.file_name))
            .or_insert_with(Vec::new)
            .push(image);
    }
    let (mut listed, mut missing) = (Vec::with_capacity(places.len()), Vec::new());
    for place in places {
        let candidates = by_path.get(&place.name).or_else(|| by_name.get(place.file_name()));
        match candidates.map(Vec::as_slice) {
            Some([image]) => {
                fits(image, place)?;
                listed.push(*image);
            }
            Some(_) => return Err(format!("it lists {} more than once", place.name)),
            None => missing.push(place.name.as_str()),
        }
    }
    match missing.is_empty() {
        true => Ok(listed),
        false => Err(format!(
            "it does not list {}; leave out images that nobody labelled (those without objects are listed, too)",
            some_of(&missing)
        )),
    }
}

/// Whether an image has the size that the file says.
fn fits(image: &CocoImage, place: &NamedPlace) -> Result<(), String> {
    let [width, height] = place.geometry.image;
    let other = |said: Option<u32>, is: u32| said.is_some_and(|said| said > 0 && said != is);
    if other(image.width, width) || other(image.height, height) {
        return Err(format!(
            "it says that {} has {} × {} pixels, and the file has {width} × {height}: its boxes do not fit",
            place.name,
            image.width.unwrap_or(0),
            image.height.unwrap_or(0)
        ));
    }
    Ok(())
}

fn sides(annotation: &Annotation) -> Result<[f64; 4], String> {
    let sides = <[f64; 4]>::try_from(annotation.bbox.as_slice()).ok();
    sides
        .filter(|s| s.iter().all(|v| v.is_finite()) && s[2] >= 0.0 && s[3] >= 0.0)
        .ok_or_else(|| {
            format!(
                "an annotation of image {} has the box {:?}; boxes are left, top, width and height",
                annotation.image_id, annotation.bbox
            )
        })
}

/// What the input shows of a box.
fn shown(said: &Said, geometry: &Geometry) -> Option<LabelBox> {
    let [x, y, width, height] = said.sides;
    let visible = |place: [f64; 2]| {
        let place = geometry.to_input(place);
        [0, 1].map(|axis| place[axis].clamp(0.0, f64::from(geometry.input[axis])))
    };
    let (from, to) = (visible([x, y]), visible([x + width, y + height]));
    let sides = [to[0] - from[0], to[1] - from[1]];
    (sides[0] > 0.0 && sides[1] > 0.0).then_some(LabelBox {
        class: said.class,
        x: from[0] as f32,
        y: from[1] as f32,
        width: sides[0] as f32,
        height: sides[1] as f32,
        crowd: said.crowd,
    })
}
