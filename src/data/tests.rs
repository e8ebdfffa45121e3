use std::path::PathBuf;

use ndarray::{Array1, Array4};
use ndarray_npy::NpzWriter;

use super::{Dataset, Scaling};
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
    let last = Dataset::read(&path, &[spec(&[1, 2, 4, 3], true)], &Scaling::default())?;
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
    let data = Dataset::read(&path, &[spec(&[1, 3, 2, 4], true)], &Scaling::default())?.at_most(2);
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
    let data = Dataset::read(folder.path(), &[float(Dtype::Float)], &Scaling::default())?;
    assert_eq!(
        (data.count(), data.run(0).labels, data.run(1).labels),
        (2, Some(&[0i64][..]), Some(&[1i64][..]))
    );
    let values = data.run(1).inputs[0].1.to_f32().unwrap_or_default();
    // The middle of the image: two columns dark, two bright; red is 20 throughout.
    let near = |v: f32, wanted: f32| (v - wanted / 255.0).abs() < 2.0 / 255.0;
    assert!(near(values[0], 20.0) && near(values[16], 0.0) && near(values[19], 200.0) && near(values[32], 7.0));
    let half = Dataset::read(folder.path(), &[float(Dtype::Float16)], &Scaling::default())?;
    assert_eq!(half.run(0).inputs[0].1.dtype, Dtype::Float16);
    std::fs::write(at("cat", "c.jpg"), b"not a JPEG")?;
    let wrong = Dataset::read(folder.path(), &[float(Dtype::Float)], &Scaling::default());
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
