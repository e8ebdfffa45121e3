//! Quantized layers: new channels change no bit, and neither do channels that go unread, in every form and scheme.

use crate::common::net::Net;
use crate::common::quantized::{Form, Layer, Scheme, Shares, model};
use crate::common::{Case, difference, runtime};
use snapprune::channels::ChannelChange;
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Attributes, Dtype, Graph};

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

/// So many random graphs, or as many as this variable says.
const GENERATED: u64 = 12;
const CASES: &str = "SNAPPRUNE_QUANTIZED_CASES";

/// A random stack of layers of one form, with shortcuts, pools, depthwise layers and concatenations between them.
fn generated(seed: u64) -> (ModelProto, Form) {
    let mut net = Net::new(21, seed);
    let form = [Form::Qdq, Form::QLinear][net.random.usize(..2)];
    let schemes = [
        scheme(Dtype::Int8, 0, Shares::Tensor),
        scheme(Dtype::Int8, 0, Shares::Channel),
        scheme(Dtype::Uint8, 131, Shares::Tensor),
        scheme(Dtype::Uint8, 128, Shares::Channel),
    ];
    let layer = Layer {
        form,
        scheme: schemes[net.random.usize(..schemes.len())],
        product: false,
        groups: 1,
        cin: net.random.usize(1..=4),
        cout: 5,
        silent: &[],
    };
    let mut cin = layer.cin;
    let mut y = net.input("x", &[1, cin, 6, 6]);
    for _ in 0..net.random.usize(2..=4) {
        let cout = net.random.usize(1..=9);
        y = Layer { cin, cout, ..layer }.add(&mut net, &y);
        cin = cout;
        let same = Layer {
            cin,
            cout: cin,
            ..layer
        };
        y = match net.random.usize(..4) {
            0 => Layer { groups: cin, ..same }.add(&mut net, &y),
            1 => {
                let behind = same.add(&mut net, &y);
                net.node("Add", &[&y, &behind], |_| {})
            }
            2 => net.node("MaxPool", &[&y], |n| {
                n.set_ints("kernel_shape", vec![3; 2]);
                n.set_ints("pads", vec![1; 4]);
            }),
            _ => {
                cin *= 2;
                let behind = same.add(&mut net, &y);
                net.node("Concat", &[&y, &behind], |n| n.set_int("axis", 1))
            }
        };
    }
    let y = Layer { cin, ..layer }.add(&mut net, &y);
    net.output(&y);
    (model(net), form)
}

/// The layers between `DequantizeLinear` whose bias has other scales than their input's times their weights'.
fn unlike_product(proto: &ModelProto) -> Vec<&str> {
    let graph = Graph::new(proto.graph.as_ref().unwrap()).unwrap();
    let scales = |value: &str| {
        let node = graph.proto.node.iter().find(|n| n.output[0] == value)?;
        let dequantizes = node.op_type() == "DequantizeLinear";
        graph.constant(node.input.get(1).filter(|_| dequantizes)?)?.to_f32()
    };
    let fits = |input: &[String]| {
        let all: Option<Vec<_>> = input.iter().map(|value| scales(value)).collect();
        let Some([x, weights, bias]) = all.as_deref() else {
            return true;
        };
        weights.iter().map(|w| x[0] * w).eq(bias.iter().copied())
    };
    let nodes = graph.proto.node.iter().filter(|n| n.op_type() == "Conv");
    nodes
        .filter(|n| !fits(&n.input))
        .map(|n| n.output[0].as_str())
        .collect()
}

#[test]
fn growth_of_generated_quantized_graphs_is_exact_to_the_bit() {
    let cases = std::env::var(CASES).ok().and_then(|n| n.parse().ok());
    let (mut grown, mut failures) = (0, Vec::new());
    for seed in 0..cases.unwrap_or(GENERATED) {
        let (proto, form) = generated(seed);
        let mut check = || {
            let case = Case::new(&proto)?;
            let change = case.grow_all([0.1, 0.4, 1.0][seed as usize % 3]);
            grown += usize::from(!change.added.is_empty());
            let after = case.apply(&change)?;
            let biases = unlike_product(&after);
            if !biases.is_empty() {
                return Err(format!(
                    "scales of {biases:?} are not those of the sums, so the layers run in floats"
                ));
            }
            let (before, after) = (case.run(&case.proto, seed)?, case.run(&after, seed)?);
            match difference(&before, &after, &before).raw {
                0.0 => Ok(()),
                raw => Err(format!("differs by {raw}")),
            }
        };
        let outcome: Result<(), String> = check();
        failures.extend(outcome.err().map(|why| format!("seed {seed} {form:?}: {why}")));
    }
    assert!(
        grown > 0 && failures.is_empty(),
        "{grown} grew; {}",
        failures.join("\n")
    );
}
