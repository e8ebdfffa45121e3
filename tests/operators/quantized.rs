//! Quantized layers: new channels change no bit, and neither do channels that go unread, in every form and scheme.

use crate::common::net::Net;
use crate::common::quantized::{Form, Layer, Scheme, Shares, model};
use crate::common::{Case, difference, runtime};
use snapprune::channels::ChannelChange;
use snapprune::onnx::Dtype;
use snapprune::onnx::proto::ModelProto;

const fn scheme(dtype: Dtype, zero: i64, shares: Shares) -> Scheme {
    Scheme {
        dtype,
        zero,
        shares,
        through: &[],
    }
}

const THROUGH: Scheme = Scheme {
    through: &["Identity", "Cast"],
    ..scheme(Dtype::Int8, 0, Shares::Channel)
};
/// The transposed weights of one input and one output are those of the other.
const TURNED: Scheme = Scheme {
    through: &["Transpose", "Transpose"],
    ..scheme(Dtype::Int8, 0, Shares::Tensor)
};

/// Channels of the first layer that the second one does not read.
const SILENT: [usize; 4] = [2, 3, 6, 7];

/// Two layers of one form; the first is depthwise in the middle where `groups` says so.
fn net(form: Form, scheme: Scheme, product: bool, depthwise: bool) -> ModelProto {
    let mut net = Net::new(21, 5);
    let x = net.input("x", if product { &[5, 4] } else { &[1, 4, 6, 6] });
    let layer = Layer {
        form,
        scheme,
        product,
        groups: 1,
        cin: 4,
        cout: 8,
        silent: &[],
    };
    let mut y = layer.add(&mut net, &x);
    if depthwise {
        let middle = Layer {
            groups: 8,
            cin: 8,
            ..layer
        };
        y = middle.add(&mut net, &y);
    }
    let last = Layer {
        cin: 8,
        cout: 6,
        silent: &SILENT,
        ..layer
    };
    let y = last.add(&mut net, &y);
    net.output(&y);
    model(net)
}

fn check(form: Form, scheme: Scheme, product: bool, depthwise: bool) -> Result<(), String> {
    let case = Case::new(&net(form, scheme, product, depthwise))?;
    let group = case.analysis.groups.iter().find(|g| g.width() == 8).ok_or("no group")?;
    if !group.can_grow() {
        return Err(format!("does not grow: {:?} {:?}", group.constraint, group.no_growth));
    }
    let same = |change: &ChannelChange, what: &str| {
        let (before, after) = (case.run(&case.proto, 2)?, case.run(&case.apply(change)?, 2)?);
        // Where floats are summed up their order counts; integers have none.
        let floats = form == Form::WeightsOnly || matches!(scheme.dtype, Dtype::Int16 | Dtype::Int4 | Dtype::Uint4);
        let most = if floats || scheme.shares == Shares::Blocks {
            1e-5
        } else {
            0.0
        };
        let found = difference(&before, &after, &before);
        match found.raw > most {
            true => Err(format!("{what} changes the outputs: {found:?}")),
            false => Ok(()),
        }
    };
    let before = case.run(&case.proto, 2)?;
    let values = before[0].1.to_f32().unwrap();
    if values.iter().filter(|v| **v > 0.0).count() < values.len() / 8 {
        return Err("outputs say nothing".into());
    }
    let grown = case.grow_all(0.4);
    same(&grown, "growth")?;
    if group.constraint.is_some() {
        // What is quantized at run time stays: its range is that of all channels.
        return Ok(());
    }
    let mut unread = ChannelChange::default();
    let indices = |class: &u32| SILENT.iter().any(|&i| group.classes.get(i / group.unit) == Some(class));
    unread.removed.extend(group.classes.iter().filter(|c| indices(c)));
    same(&unread, "removal of what is not read")
}

/// Form, scheme, whether it is a product, whether a depthwise layer stands in the middle.
type Quantized = (Form, Scheme, bool, bool);

/// The operators of all cases.
pub(super) fn operators() -> impl Iterator<Item = String> {
    let nodes =
        |(form, scheme, product, depthwise)| net(form, scheme, product, depthwise).graph.unwrap_or_default().node;
    cases().into_iter().flat_map(nodes).map(|n| n.op_type().to_owned())
}

#[test]
fn quantized_layers_grow_and_shrink_without_any_change() {
    let failures: Vec<String> = cases()
        .into_iter()
        .filter_map(|(form, scheme, product, depthwise)| {
            let what = check(form, scheme, product, depthwise).err()?;
            // The oldest ONNX Runtime convolves integers with uint8 weights alone.
            if what.contains("Could not find an implementation for ConvInteger")
                && runtime().version.starts_with("1.23.")
            {
                eprintln!("skipped on ONNX Runtime {}: {form:?} {scheme:?}", runtime().version);
                return None;
            }
            Some(format!(
                "{form:?} {scheme:?} product {product} depthwise {depthwise}: {what}"
            ))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn cases() -> Vec<Quantized> {
    let (tensor, channel) = (Shares::Tensor, Shares::Channel);
    let standard = [
        scheme(Dtype::Int8, 0, tensor),
        scheme(Dtype::Int8, 0, channel),
        scheme(Dtype::Uint8, 131, tensor),
        scheme(Dtype::Uint8, 128, channel),
        THROUGH,
    ];
    let mut all: Vec<Quantized> = Vec::new();
    for s in standard {
        all.extend([
            (Form::Qdq, s, false, false),
            (Form::Qdq, s, false, true),
            (Form::Qdq, s, true, false),
        ]);
        all.push((Form::WeightsOnly, s, false, false));
    }
    all.push((Form::Qdq, TURNED, true, false));
    for s in &standard[..4] {
        all.extend([
            (Form::QLinear, *s, false, false),
            (Form::QLinear, *s, false, true),
            (Form::QLinear, *s, true, false),
        ]);
        all.push((Form::Integer, *s, true, false));
        all.push((Form::ToFloat("MatMulIntegerToFloat"), *s, true, false));
        all.push((Form::ToFloat("DynamicQuantizeMatMul"), *s, true, false));
    }
    // ConvInteger has one zero point only.
    all.push((Form::Integer, standard[0], false, false));
    all.push((Form::Integer, standard[2], false, true));
    for (dtype, zero) in [
        (Dtype::Int4, 0),
        (Dtype::Uint4, 7),
        (Dtype::Int16, 0),
        (Dtype::Int8, 0),
        (Dtype::Uint8, 99),
    ] {
        for shares in [tensor, channel, Shares::Blocks] {
            all.push((Form::WeightsOnly, scheme(dtype, zero, shares), true, false));
            // ONNX Runtime fuses 8 bits in blocks into an operator that does not know them.
            if shares != Shares::Blocks || !matches!(dtype, Dtype::Int8 | Dtype::Uint8) {
                all.push((Form::Qdq, scheme(dtype, zero, shares), false, false));
            }
        }
    }
    all.push((Form::WeightsOnly, scheme(Dtype::Float8e4m3fn, 0, channel), false, false));
    all
}
