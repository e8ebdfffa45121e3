//! Samples are read in the types and the layouts that people keep them in.

use super::{Bent, macs, narrowed, noise, opened, read, with_open, written};
use crate::common::cpu;
use crate::common::net::Net;
use crate::common::priced::Silent;
use ndarray::{Array, Array1, ArrayD, IxDyn};
use ndarray_npy::NpzWriter;
use snapprune::data::{Dataset, Scaling};
use snapprune::onnx::Attributes;
use snapprune::onnx::proto::{ModelProto, type_proto};
use snapprune::onnx::{Dtype, encode};
use snapprune::optimize::{Known, Options, SampleSource, WhenSlower, Workload, optimize};

#[test]
fn token_ids_are_calibrated_on_as_the_integers_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 3);
    let ids = net.input("ids", &[1, 24]);
    let table = net.floats(&[50, 16], -1.0, 1.0);
    let y = net.node("Gather", &[&table, &ids], |_| {});
    let y = net.node("Transpose", &[&y], |n| n.set_ints("perm", vec![0, 2, 1]));
    let mut c = 16;
    let mut y = y;
    for wide in [40, 48] {
        let (w, b) = (net.weights(&[wide, c, 3]), net.floats(&[wide], -0.1, 0.1));
        y = net.node("Conv", &[&y, &w, &b], |n| n.set_ints("pads", vec![1, 1]));
        y = net.node("Relu", &[&y], |_| {});
        c = wide;
    }
    let y = net.node("ReduceMax", &[&y], |n| {
        n.set_ints("axes", vec![2]);
        n.set_int("keepdims", 0);
    });
    let w = net.floats(&[48, 5], -0.3, 0.3);
    let y = net.node("MatMul", &[&y, &w], |_| {});
    net.output(&y);
    let mut model = with_open(net.model(), 0, "N");
    let kind = model.graph.as_mut().unwrap().input[0].r#type.as_mut().unwrap();
    if let Some(type_proto::Value::TensorType(tensor)) = kind.value.as_mut() {
        tensor.elem_type = Some(Dtype::Int64 as i32);
    }
    let opened = opened(folder.path(), &model);
    let mut random = fastrand::Rng::with_seed(8);
    let array = Array::from_shape_simple_fn(IxDyn(&[80, 24]), || random.i32(0..50));
    let path = folder.path().join("ids.npz");
    let mut npz = NpzWriter::new(std::fs::File::create(&path).unwrap());
    npz.add_array("ids", &array).unwrap();
    npz.finish().unwrap();
    let options = Options {
        calib: Some(SampleSource::new(path, Scaling::default())),
        when_slower: WhenSlower::Write,
        ..macs(0.6)
    };
    let outcome = narrowed(opened, &options).unwrap();
    assert!(outcome.model.is_some(), "{:?}", outcome.declined);
    let calibration = outcome.calibration.unwrap();
    assert!(
        calibration.samples == 80 && calibration.held_out_loss.unwrap() < 0.2,
        "{calibration:?}"
    );
}

#[test]
fn arrays_of_other_types_are_taken_where_that_changes_no_value() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[1, 3]);
    let y = net.node("Relu", &[&x], |_| {});
    net.output(&y);
    let opened = opened(folder.path(), &with_open(net.model(), 0, "N"));
    let path = folder.path().join("x.npz");
    let store = |add: &dyn Fn(&mut NpzWriter<std::fs::File>)| {
        let mut npz = NpzWriter::new(std::fs::File::create(&path).unwrap());
        add(&mut npz);
        npz.finish().unwrap();
        Dataset::read(&path, &opened.specs, Scaling::default())
    };
    let wanted = [1.0, 2.0, 3.0, 250.0, 0.0, 7.0];
    let values = |data: Dataset| {
        let rows = (0..data.runs()).flat_map(|k| data.run(k).inputs[0].1.to_f32().unwrap());
        (rows.collect::<Vec<f32>>(), data.notes().len())
    };
    macro_rules! taken {
        ($($kind:ty),*) => {$(
            let array = Array::from_shape_fn((2, 3), |(i, j)| wanted[3 * i + j] as $kind);
            let found = values(store(&|npz| npz.add_array("x", &array).unwrap()).unwrap());
            assert_eq!(found, (wanted.to_vec(), usize::from(stringify!($kind) != "f32")), stringify!($kind));
        )*};
    }
    taken!(f32, f64, u8, i16, u16, i32, u32, i64, u64);
    // Columns first in memory.
    let array = Array::from_shape_fn((3, 2), |(j, i)| wanted[3 * i + j]).reversed_axes();
    assert_eq!(
        values(store(&|npz| npz.add_array("x", &array).unwrap()).unwrap()).0,
        wanted
    );
    let says = |add: &dyn Fn(&mut NpzWriter<std::fs::File>)| store(add).map(|_| ()).unwrap_err().to_string();
    let rounded = says(&|npz| npz.add_array("x", &Array::from_elem((2, 3), (1i64 << 24) + 1)).unwrap());
    assert!(rounded.contains("16777217") && rounded.contains("float32"), "{rounded}");
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut array = Array::from_elem((9, 3), 1.0f32);
        array[[4, 2]] = bad;
        let said = says(&|npz| npz.add_array("x", &array).unwrap());
        assert!(
            said.contains("'x'") && said.contains("sample 4") && said.contains("[4, 2]"),
            "{said}"
        );
        let wide = array.mapv(f64::from);
        let said = says(&|npz| npz.add_array("x", &wide).unwrap());
        assert!(said.contains("sample 4"), "{said}");
    }
    let said = says(&|npz| {
        npz.add_array("x", &Array::from_elem((2, 3), 1.0f32)).unwrap();
        npz.add_array("labels", &Array1::from_elem(2, 0.5f64)).unwrap();
    });
    assert!(said.contains("labels") && said.contains("0.5"), "{said}");
}

#[test]
fn numbers_of_half_precision_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[1, 2]);
    let y = net.node("Relu", &[&x], |_| {});
    net.output(&y);
    let opened = opened(folder.path(), &with_open(net.model(), 0, "N"));
    let bits: Vec<u16> = [0.5f32, -2.0, 1.5, 65504.0]
        .map(|v| half::f16::from_f32(v).to_bits())
        .to_vec();
    let mut array = Vec::new();
    let stored = ArrayD::from_shape_vec(IxDyn(&[2, 2]), bits).unwrap();
    ndarray_npy::WriteNpyExt::write_npy(&stored, &mut array).unwrap();
    let at = array.windows(3).position(|w| w == b"<u2").unwrap();
    array[at..at + 3].copy_from_slice(b"<f2");
    let path = folder.path().join("x.npz");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let plain = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("x.npy", plain).unwrap();
    std::io::Write::write_all(&mut archive, &array).unwrap();
    archive.finish().unwrap();
    let data = read(&path, &opened);
    let rows: Vec<f32> = (0..data.runs())
        .flat_map(|k| data.run(k).inputs[0].1.to_f32().unwrap())
        .collect();
    assert_eq!(rows, [0.5, -2.0, 1.5, 65504.0]);
}

/// Doubles N×4 and gives its products: the batch stands on `axis` of the input.
fn on_axis(axis: usize) -> ModelProto {
    let mut net = Net::new(17, 5);
    let dims = if axis == 0 { [1, 6, 4] } else { [6, 1, 4] };
    let x = net.input("x", &dims);
    let w = net.floats(&[4, 12], -0.5, 0.5);
    let y = net.node("MatMul", &[&x, &w], |_| {});
    let y = net.node("Relu", &[&y], |_| {});
    let w = net.floats(&[12, 3], -0.5, 0.5);
    let y = net.node("MatMul", &[&y, &w], |_| {});
    net.output(&y);
    with_open(net.model(), axis, "N")
}

#[test]
fn samples_of_an_input_whose_batch_stands_behind_are_laid_out_as_it_wants_them() {
    let folder = tempfile::tempdir().unwrap();
    let array = noise(&[23, 6, 4], 3);
    let path = written(folder.path(), "x.npz", &array);
    let model = on_axis(1);
    let opened = opened(folder.path(), &model);
    let data = read(&path, &opened).settled(&cpu(), &encode(&opened.proto)).unwrap();
    assert_eq!((data.batch(), data.runs(), data.notes().len()), (5, 5, 0));
    for k in 0..data.runs() {
        let run = data.run(k);
        let tensor = &run.inputs[0].1;
        assert_eq!(tensor.dims, [6, run.samples, 4]);
        let values = tensor.to_f32().unwrap();
        for (at, value) in values.into_iter().enumerate() {
            let (step, n, i) = (at / (4 * run.samples), at / 4 % run.samples, at % 4);
            assert_eq!(value, array[[5 * k + n, step, i]]);
        }
    }
    let report = {
        let workloads = [Workload { opened, weight: 1.0 }];
        let options = Options {
            calib: Some(SampleSource::new(path, Scaling::default())),
            when_slower: WhenSlower::Write,
            ..macs(0.7)
        };
        let device = Bent::new(&workloads[0].opened.proto);
        let outcome = optimize(&workloads, &device, Known::default(), &options, &Silent).unwrap();
        assert!(outcome.calibration.is_none_or(|c| c.held_out_loss.unwrap() < 0.5));
        outcome.device.name
    };
    assert!(!report.is_empty());
}
