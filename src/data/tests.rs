use std::path::PathBuf;

use ndarray::{Array1, Array4};
use ndarray_npy::NpzWriter;

use super::{ChannelOrder, Dataset, ImageLayout, PixelRange, Preprocessing, Resize, Scaling};
use crate::device::InputSpec;
use crate::onnx::Dtype;

fn spec(dims: &[usize], open: bool) -> InputSpec {
    InputSpec {
        name: "x".to_owned(),
        dims: dims.to_vec(),
        dtype: Dtype::Float,
        open: if open { vec![0] } else { vec![] },
        assumed: vec![],
    }
}

fn written(folder: &tempfile::TempDir, labels: usize) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let path = folder.path().join("data.npz");
    let mut npz = NpzWriter::new_compressed(std::fs::File::create(&path)?);
    let image = Array4::from_shape_fn((5, 2, 4, 3), |(n, h, w, c)| (n * 24 + h * 12 + w * 3 + c) as u8);
    npz.add_array("images", &image)?;
    npz.add_array("labels", &Array1::from_iter(0..labels as i64))?;
    npz.finish()?;
    Ok(path)
}

#[test]
fn images_are_scaled_and_brought_to_the_inputs_layout() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = written(&folder, 5)?;
    let scaling = Scaling {
        mean: vec![0.5, 0.0, 0.0],
        std: vec![0.5, 1.0, 2.0],
    };
    let data = Dataset::read(&path, &[spec(&[2, 3, 2, 4], false)], &scaling)?;
    assert_eq!((data.runs(), data.distinct_runs()), (3, 2));
    let run = data.run(1);
    let inputs = run.inputs;
    assert_eq!(run.labels, Some(&[2i64, 3][..]));
    let values = inputs[0].1.to_f32().unwrap_or_default();
    // Sample 2, channel 0, row 0, column 1 was 48 + 3; channel 2 of the same place 48 + 5.
    assert!((values[1] - (51.0 / 255.0 - 0.5) / 0.5).abs() < 1e-6);
    assert!((values[2 * 8 + 1] - 53.0 / 255.0 / 2.0).abs() < 1e-6);
    let last = Dataset::read(&path, &[spec(&[1, 2, 4, 3], true)], Scaling::default())?;
    assert_eq!(
        (last.runs(), last.run(0).inputs[0].1.dims.clone()),
        (5, vec![1, 2, 4, 3])
    );
    Ok(())
}

#[test]
fn fewer_samples_are_spread_over_all() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = written(&folder, 5)?;
    let data = Dataset::read(&path, &[spec(&[1, 3, 2, 4], true)], Scaling::default())?.at_most(2);
    assert_eq!((data.count(), data.runs()), (2, 2));
    assert_eq!(
        (data.run(0).labels, data.run(1).labels),
        (Some(&[0i64][..]), Some(&[2i64][..]))
    );
    // Sample 2 begins with pixel 48.
    let second = data.run(1).inputs[0].1.to_f32().unwrap_or_default();
    assert!((second[0] - 48.0 / 255.0).abs() < 1e-6);
    Ok(())
}

#[test]
fn folders_are_classes_and_images_are_cut_to_the_input() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let at = |class: &str, name: &str| folder.path().join(class).join(name);
    for class in ["cat", "dog"] {
        std::fs::create_dir(folder.path().join(class))?;
    }
    let image = |r: u8| image::RgbImage::from_fn(8, 4, |x, _| image::Rgb([r, if x < 4 { 0 } else { 200 }, 7]));
    image(10).save(at("cat", "a.png"))?;
    image(20).save(at("dog", "b.png"))?;
    std::fs::write(at("dog", "notes.txt"), b"no image")?;
    let float = |dtype| InputSpec {
        dtype,
        ..spec(&[1, 3, 4, 4], true)
    };
    let data = Dataset::read(folder.path(), &[float(Dtype::Float)], Scaling::default())?;
    assert_eq!(
        (data.count(), data.run(0).labels, data.run(1).labels),
        (2, Some(&[0i64][..]), Some(&[1i64][..]))
    );
    let values = data.run(1).inputs[0].1.to_f32().unwrap_or_default();
    // The middle of the image: two columns dark, two bright; red is 20 throughout.
    let near = |v: f32, wanted: f32| (v - wanted / 255.0).abs() < 2.0 / 255.0;
    assert!(near(values[0], 20.0) && near(values[16], 0.0) && near(values[19], 200.0) && near(values[32], 7.0));
    let half = Dataset::read(folder.path(), &[float(Dtype::Float16)], Scaling::default())?;
    assert_eq!(half.run(0).inputs[0].1.dtype, Dtype::Float16);
    std::fs::write(at("cat", "c.jpg"), b"not a JPEG")?;
    let wrong = Dataset::read(folder.path(), &[float(Dtype::Float)], Scaling::default());
    assert!(wrong.err().map(|e| e.to_string()).unwrap_or_default().contains("c.jpg"));
    Ok(())
}

#[test]
fn what_does_not_fit_is_an_error_that_says_what() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let says = |path: PathBuf, dims: &[usize], scaling: &Scaling| {
        let found = Dataset::read(&path, &[spec(dims, false)], scaling);
        found.err().map(|e| e.to_string()).unwrap_or_default()
    };
    let path = written(&folder, 5)?;
    let plain = Scaling::default();
    assert!(says(path.clone(), &[1, 3, 9, 9], &plain).contains("do not fit"));
    assert!(says(path.clone(), &[7, 3, 2, 4], &plain).contains("7 samples at a time"));
    let two = Scaling {
        mean: vec![0.0; 2],
        std: vec![1.0],
    };
    assert!(says(path.clone(), &[1, 3, 2, 4], &two).contains("mean has 2"));
    assert!(says(written(&folder, 4)?, &[1, 3, 2, 4], &plain).contains("not equally many"));
    std::fs::write(&path, b"not an archive")?;
    assert!(says(path, &[1, 3, 2, 4], &plain).contains("data.npz"));
    Ok(())
}

/// A folder with one image of 8×4 pixels: the left half 10, 20, 30, the right half 110, 120, 130.
fn pictured() -> Result<tempfile::TempDir, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let image = image::RgbImage::from_fn(8, 4, |x, _| {
        image::Rgb([10u8, 20, 30].map(|v| v + if x < 4 { 0 } else { 100 }))
    });
    image.save(folder.path().join("a.png"))?;
    Ok(folder)
}

#[test]
fn images_are_prepared_as_detectors_want_them() -> Result<(), Box<dyn std::error::Error>> {
    let folder = pictured()?;
    let values = |dims: &[usize], how: &Preprocessing| {
        let data = Dataset::read(folder.path(), &[spec(dims, true)], how)?;
        let tensor = data.run(0).inputs[0].1.clone();
        Ok::<_, crate::Error>((tensor.dims.clone(), tensor.to_f32().unwrap_or_default()))
    };
    let how = Preprocessing {
        resize: Some(Resize::Letterbox),
        channels: ChannelOrder::Bgr,
        range: Some(PixelRange::Bytes),
        ..Preprocessing::default()
    };
    let (dims, found) = values(&[1, 3, 8, 8], &how)?;
    assert_eq!(dims, [1, 3, 8, 8]);
    // Blue first; two rows of grey, then the image.
    assert_eq!(found[..17].to_vec(), [vec![114.0; 16], vec![30.0]].concat());
    assert_eq!(
        (found[2 * 64 + 16], found[2 * 64 + 23], found[2 * 64 + 48]),
        (10.0, 110.0, 114.0)
    );
    // Means in the input's order and range.
    let scaled = Preprocessing {
        resize: Some(Resize::LetterboxCorner),
        layout: Some(ImageLayout::ChannelsLast),
        pad: 0,
        scaling: Scaling {
            mean: vec![30.0, 20.0, 0.0],
            std: vec![2.0],
        },
        ..how.clone()
    };
    let (dims, found) = values(&[1, 8, 8, 3], &scaled)?;
    assert_eq!((dims, found[..3].to_vec()), (vec![1, 8, 8, 3], vec![0.0, 0.0, 5.0]));
    assert_eq!(found[32 * 3..32 * 3 + 3], [-15.0, -10.0, 0.0]);
    let signed = Preprocessing {
        resize: Some(Resize::Stretch),
        channels: ChannelOrder::Gray,
        range: Some(PixelRange::Signed),
        ..Preprocessing::default()
    };
    let (_, found) = values(&[1, 3, 4, 8], &signed)?;
    // 0.299 · 10 + 0.587 · 20 + 0.114 · 30 = 18.15.
    assert!(found.iter().step_by(8).all(|v| (v - (18.0 / 127.5 - 1.0)).abs() < 1e-6));
    Ok(())
}

#[test]
fn inputs_of_bytes_take_pixels_as_they_are_in_any_layout() -> Result<(), Box<dyn std::error::Error>> {
    let folder = pictured()?;
    let bytes = |dims: &[usize]| InputSpec {
        dtype: Dtype::Uint8,
        ..spec(dims, true)
    };
    let how = |range| Preprocessing {
        channels: ChannelOrder::Bgr,
        range,
        ..Preprocessing::default()
    };
    let first = Dataset::read(folder.path(), &[bytes(&[1, 3, 4, 8])], how(None))?;
    assert_eq!(first.run(0).inputs[0].1.bytes[..5], [30, 30, 30, 30, 130]);
    let last = Dataset::read(folder.path(), &[bytes(&[1, 4, 8, 3])], how(Some(PixelRange::Bytes)))?;
    assert_eq!(last.run(0).inputs[0].1.bytes[..3], [30, 20, 10]);
    let refused = Dataset::read(folder.path(), &[bytes(&[1, 4, 8, 3])], how(Some(PixelRange::Signed)));
    assert!(refused.is_err_and(|e| e.to_string().contains("as they are")));
    Ok(())
}

#[test]
fn odd_files_are_read_as_they_look() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let deep = |x: u32| (x * 257 * 20) as u16;
    image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_fn(4, 2, |x, _| image::Luma([deep(x)])).save(at("a.png"))?;
    // What lies under transparent pixels counts like the rest, as Pillow and OpenCV have it.
    image::RgbaImage::from_fn(4, 2, |x, _| image::Rgba([x as u8 * 20, 0, 0, 255 * (x as u8 % 2)])).save(at("b.png"))?;
    let mut palette = png::Encoder::new(std::fs::File::create(at("c.png"))?, 4, 2);
    palette.set_color(png::ColorType::Indexed);
    palette.set_depth(png::BitDepth::Eight);
    palette.set_palette(vec![0, 0, 0, 20, 0, 0, 40, 0, 0, 60, 0, 0]);
    palette.write_header()?.write_image_data(&[0, 1, 2, 3, 0, 1, 2, 3])?;
    // A PNG file that is called otherwise, and a format that is not read.
    std::fs::copy(at("c.png"), at("d.jpg"))?;
    std::fs::write(at("e.webp"), b"RIFF")?;
    let how = Preprocessing {
        range: Some(PixelRange::Bytes),
        ..Preprocessing::default()
    };
    let data = Dataset::read(folder.path(), &[spec(&[1, 3, 2, 4], true)], &how)?;
    assert_eq!(data.count(), 4);
    for k in 0..4 {
        let run = data.run(k);
        let red = run.inputs[0].1.to_f32().unwrap_or_default();
        assert_eq!(red[..4], [0.0, 20.0, 40.0, 60.0], "{:?}", run.name(0));
    }
    assert!(data.notes()[0].contains("1 images that are neither PNG nor JPEG"));
    Ok(())
}

/// A JPEG file with the note that the camera was turned: orientation 6, clockwise by a quarter.
fn turned(path: &std::path::Path, image: &image::RgbImage) -> Result<(), Box<dyn std::error::Error>> {
    let mut jpeg = Vec::new();
    image.write_to(&mut std::io::Cursor::new(&mut jpeg), image::ImageFormat::Jpeg)?;
    let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let marked = [&jpeg[..2], &[0xff, 0xe1], &length, exif, &jpeg[2..]].concat();
    std::fs::write(path, marked)?;
    Ok(())
}

#[test]
fn cameras_that_were_turned_are_turned_back() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let image = image::RgbImage::from_fn(32, 16, |x, _| image::Rgb([if x < 16 { 0 } else { 200 }; 3]));
    turned(&folder.path().join("a.jpg"), &image)?;
    let data = Dataset::read(folder.path(), &[spec(&[1, 3, 32, 16], true)], Preprocessing::default())?;
    let run = data.run(0);
    assert_eq!(run.geometry(0).map(|g| g.image), Some([16, 32]));
    let values = run.inputs[0].1.to_f32().unwrap_or_default();
    // What was left is above.
    assert!(values[0] < 0.1 && values[15] < 0.1 && values[31 * 16] > 0.7);
    Ok(())
}

#[test]
fn arrays_of_another_size_are_resized_where_that_is_asked_for() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = written(&folder, 5)?;
    let how = Preprocessing {
        resize: Some(Resize::Stretch),
        ..Preprocessing::default()
    };
    let data = Dataset::read(&path, &[spec(&[1, 1, 4, 8], true)], &how)?;
    assert_eq!(data.run(0).inputs[0].1.dims, [1, 1, 4, 8]);
    assert_eq!(
        data.run(4).geometry(0).map(|g| (g.image, g.input)),
        Some(([4, 2], [8, 4]))
    );
    assert_eq!(data.run(4).name(0), None);
    Ok(())
}

#[test]
fn runs_carry_the_labels_of_their_samples() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    for k in 0..6 {
        image::RgbImage::new(8, 4).save(folder.path().join(format!("{k}.png")))?;
    }
    let texts = folder.path().join("texts.txt");
    std::fs::write(&texts, "a\nb\nc\nd\ne\nf\n")?;
    let read = || Dataset::read(folder.path(), &[spec(&[4, 3, 4, 4], false)], Preprocessing::default());
    let data = read()?.labelled(&texts)?;
    // The second run takes two samples again.
    let run = data.run(1);
    assert_eq!(
        (run.text(0), run.text(3), run.name(3), run.labels),
        (Some("c"), Some("f"), Some("5.png"), None)
    );
    assert!(run.boxes(0).is_none() && run.mask(0).is_none() && run.geometry(3).is_some() && run.geometry(4).is_none());
    std::fs::write(&texts, "a\n")?;
    assert!(
        read()?
            .labelled(&texts)
            .is_err_and(|e| e.to_string().contains("texts.txt"))
    );
    Ok(())
}
