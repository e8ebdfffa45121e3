use super::named::NamedPlace;
use super::{Labels, Mask, coco, masks, read, texts};
use crate::data::{Geometry, ImagePlace, Resize};

/// Images of 100×50 pixels in an input of 50×50.
fn places(names: &[&str], resize: Resize) -> Vec<NamedPlace> {
    let named = |name: &&str| NamedPlace {
        name: (*name).to_owned(),
        geometry: Geometry::of([100, 50], [50, 50], resize),
    };
    names.iter().map(named).collect()
}

const COCO: &str = r#"{"info": {"year": 2026}, "images": [
  {"id": 7, "file_name": "set/b.jpg", "width": 100, "height": 50}, {"id": 3, "file_name": "a.jpg"}, {"id": 9, "file_name": "c.jpg"}],
 "annotations": [
  {"id": 1, "image_id": 7, "category_id": 90, "bbox": [10, 20, 30.0, 10], "iscrowd": 0, "segmentation": [[1, 2, 3, 4, 5, 6]]},
  {"id": 2, "image_id": 7, "category_id": 5, "bbox": [90, 40, 40, 40], "iscrowd": 1, "segmentation": {"counts": "abc", "size": [1, 2]}},
  {"id": 3, "image_id": 9, "category_id": 5, "bbox": [0, 0, 1, 1]}],
 "categories": [{"id": 90, "name": "kite"}, {"id": 5, "name": "cat"}]}"#;

#[test]
fn boxes_follow_their_images_into_the_input_and_categories_are_numbered_by_id() {
    let found = coco::parsed(COCO.as_bytes(), &places(&["a.jpg", "b.jpg"], Resize::Letterbox)).unwrap();
    let Labels::Boxes(boxes) = &found.labels else { panic!() };
    assert_eq!(boxes.categories, ["cat", "kite"]);
    assert!(boxes.images[0].is_empty());
    let at = |k: usize| {
        let b = boxes.images[1][k];
        (b.class, [b.x, b.y, b.width, b.height], b.crowd)
    };
    // Half as large, 12 rows of grey above; the second is cut off at the image's right edge, not at the image's lower one.
    assert_eq!(at(0), (1, [5.0, 22.0, 15.0, 5.0], false));
    assert_eq!(at(1), (0, [45.0, 32.0, 5.0, 18.0], true));
    let notes = found.notes.join("\n");
    assert!(
        notes.contains("2 annotations have outlines") && notes.contains("1 of its images"),
        "{notes}"
    );
    // Cropped: the middle 50 columns; what lies outside is gone.
    let cropped = coco::parsed(COCO.as_bytes(), &places(&["b.jpg"], Resize::Crop)).unwrap();
    let Labels::Boxes(boxes) = cropped.labels else { panic!() };
    assert_eq!(boxes.images[0].len(), 1);
    assert_eq!((boxes.images[0][0].x, boxes.images[0][0].width), (0.0, 15.0));
}

#[test]
fn odd_coco_files_are_refused_with_a_word() {
    let said = |text: &str, names: &[&str]| coco::parsed(text.as_bytes(), &places(names, Resize::Stretch)).unwrap_err();
    let with = |from: &str, to: &str| said(&COCO.replace(from, to), &["b.jpg"]);
    assert!(said(COCO, &["b.jpg", "x1.jpg", "x2.jpg"]).contains("does not list x1.jpg, x2.jpg"));
    assert!(said("{\"images\": [", &[]).contains("no COCO file") && said("[1]", &[]).contains("no COCO file"));
    assert!(said("{\"annotations\": []}", &[]).contains("images"));
    assert!(with("\"id\": 9", "\"id\": 7").contains("the same id"));
    assert!(with("c.jpg", "other/b.jpg").contains("more than once"));
    assert!(with("\"category_id\": 90", "\"category_id\": 4").contains("category 4"));
    assert!(with("[10, 20, 30.0, 10]", "[10, 20, -3, 10]").contains("-3.0"));
    assert!(with("[10, 20, 30.0, 10]", "[10, 20]").contains("left, top"));
    assert!(with("\"width\": 100", "\"width\": 50").contains("50 × 50"));
    assert!(with("\"id\": 5, \"name\"", "\"id\": 90, \"name\"").contains("same id"));
    assert!(said(&"[".repeat(100_000), &[]).contains("no COCO file"));
}

#[test]
fn a_file_without_objects_is_fine() {
    let found = coco::parsed(
        br#"{"images": [{"id": 1, "file_name": "a.jpg"}]}"#,
        &places(&["a.jpg"], Resize::Stretch),
    );
    let Labels::Boxes(boxes) = found.unwrap().labels else {
        panic!()
    };
    assert_eq!(boxes.images, [vec![]]);
}

/// A PNG file of 100×50 samples of so many bits, `value(x, y)`.
fn png(path: &std::path::Path, color: png::ColorType, depth: png::BitDepth, value: impl Fn(usize, usize) -> u16) {
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), 100, 50);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == png::ColorType::Indexed {
        encoder.set_palette(vec![7; 3 * 4]);
    }
    let bits = depth as usize;
    let mut bytes = Vec::new();
    for y in 0..50 {
        let mut row = vec![0u8; (100 * bits).div_ceil(8)];
        for x in 0..100 {
            let v = value(x, y);
            match bits {
                16 => row[2 * x..2 * x + 2].copy_from_slice(&v.to_be_bytes()),
                8 => row[x] = v as u8,
                _ => row[x * bits / 8] |= (v as u8) << (8 - bits - x * bits % 8),
            }
        }
        bytes.extend(row);
    }
    encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
}

#[test]
fn masks_are_classes_of_grey_values_and_of_palettes() {
    use png::{BitDepth, ColorType};
    let folder = tempfile::tempdir().unwrap();
    let (one, two, three) = (
        folder.path().join("a.png"),
        folder.path().join("b.png"),
        folder.path().join("c.PNG"),
    );
    png(&one, ColorType::Indexed, BitDepth::Two, |x, _| (x % 4) as u16);
    png(&two, ColorType::Grayscale, BitDepth::Eight, |x, y| {
        if y < 10 { 255 } else { x as u16 }
    });
    png(&three, ColorType::Grayscale, BitDepth::Sixteen, |x, _| 300 + x as u16);
    let found = masks::read(
        folder.path(),
        &places(&["a.jpg", "s/b.jpeg", "c.png"], Resize::Letterbox),
    )
    .unwrap();
    let Labels::Masks(masks) = &found.labels else { panic!() };
    // The pixel in the middle of each input pixel's two by two: the odd one.
    assert_eq!((masks[0].width, masks[0].height), (50, 50));
    assert_eq!(masks[0].classes[12 * 50..12 * 50 + 4], [1, 3, 1, 3]);
    assert!(masks[0].classes[..12 * 50].iter().all(|&c| c == Mask::IGNORED));
    assert_eq!(masks[1].classes[(12 + 4) * 50 + 2], Mask::IGNORED);
    assert_eq!(masks[1].classes[(12 + 5) * 50 + 2], 5);
    assert_eq!(masks[2].classes[20 * 50 + 10], 321);
    let said = |names: &[&str]| {
        masks::read(folder.path(), &places(names, Resize::Crop))
            .unwrap_err()
            .to_string()
    };
    assert!(said(&["a.jpg", "d.jpg"]).contains("no mask for d.jpg"));
    png(
        &folder.path().join("b.PNG"),
        ColorType::Grayscale,
        BitDepth::Eight,
        |_, _| 0,
    );
    assert!(said(&["b.jpg"]).contains("several masks"));
    image::RgbImage::new(100, 50).save(&one).unwrap();
    assert!(said(&["a.jpg"]).contains("colours"));
    image::GrayImage::new(99, 50).save(&one).unwrap();
    assert!(said(&["a.jpg"]).contains("99 × 50"));
    std::fs::write(&one, b"none").unwrap();
    assert!(said(&["a.jpg"]).contains("no mask"));
}

#[test]
fn masks_of_0_and_255_have_two_classes() {
    let folder = tempfile::tempdir().unwrap();
    image::GrayImage::from_fn(100, 50, |x, _| image::Luma([if x < 50 { 0 } else { 255 }]))
        .save(folder.path().join("a.png"))
        .unwrap();
    let found = masks::read(folder.path(), &places(&["a.jpg"], Resize::Stretch)).unwrap();
    let Labels::Masks(masks) = &found.labels else { panic!() };
    assert_eq!((masks[0].classes[0], masks[0].classes[49]), (0, 1));
    assert!(found.notes[0].contains("class 1"));
}

#[test]
fn texts_are_found_by_name_or_by_place() {
    let names = places(&["a.jpg", "s/b.jpg"], Resize::Stretch);
    let of = |text: &str| texts::parsed(text.as_bytes(), Some(&names), 2);
    assert_eq!(of("one\n\u{e9} two\n").unwrap(), ["one", "\u{e9} two"]);
    assert_eq!(
        of("\u{feff}b.jpg\ttwo\twords\r\na\tone\r\n").unwrap(),
        ["one", "two\twords"]
    );
    assert_eq!(of("\none").unwrap(), ["", "one"]);
    assert!(of("one").unwrap_err().contains("1 lines for 2 samples"));
    assert!(of("a\tone\nb").unwrap_err().contains("1 of its 2 lines"));
    assert!(of("a\tone\na\ttwo").unwrap_err().contains("a twice"));
    assert!(of("a\tone").unwrap_err().contains("no text for s/b.jpg"));
    assert!(texts::parsed(&[0xff, 0xfe], None, 1).unwrap_err().contains("UTF-8"));
}

#[test]
fn labels_that_need_names_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("labels.json");
    std::fs::write(&file, COCO).unwrap();
    let place = ImagePlace {
        name: None,
        geometry: Geometry::of([100, 50], [50, 50], Resize::Crop),
    };
    let said = read(&file, &[place], 1).unwrap_err().to_string();
    assert!(said.contains("labels.json") && said.contains("as a folder"), "{said}");
}
