use super::{Forks, long, quantized, short};
use crate::onnx::proto::GraphProto;
use crate::onnx::{Dtype, Graph, Tensor};
use crate::profile::probe::{node, value_info};

/// A convolution whose input the file quantizes, and whether something else reads that too.
#[test]
fn an_activation_that_others_read_too_is_told() -> crate::Result<()> {
    let bytes = |dims: Vec<usize>| Tensor {
        bytes: vec![1; dims.iter().product()].into(),
        dtype: Dtype::Int8,
        dims,
    };
    let named =
        |op: &str, name: &str, inputs: &[&str]| node(op, name, inputs.iter().map(|s| (*s).to_owned()).collect());
    for fork in [false, true] {
        let mut graph = GraphProto {
            node: vec![
                named("QuantizeLinear", "q", &["x", "s", "z"]),
                named("DequantizeLinear", "d", &["q", "s", "z"]),
                named("DequantizeLinear", "v", &["w", "s", "z"]),
                named("Conv", "y", &["d", "v"]),
                named("QuantizeLinear", "r", &["y", "s", "z"]),
                named("DequantizeLinear", "u", &["r", "s", "z"]),
            ],
            initializer: vec![
                Tensor::from_f32(vec![], &[0.1]).to_proto("s"),
                bytes(vec![]).to_proto("z"),
                bytes(vec![2, 2, 1, 1]).to_proto("w"),
            ],
            input: vec![value_info("x", Dtype::Float, &[1, 2, 3, 3])],
            ..Default::default()
        };
        if fork {
            graph.node.push(named("Add", "sum", &["d", "u"]));
        }
        let index = Graph::new(&graph)?;
        let found = quantized(&index, &graph.node[3]).map(|q| q.quantized.forks);
        let forks = Forks {
            input: fork,
            output: false,
        };
        assert_eq!(found, Some(forks));
    }
    Ok(())
}

#[test]
fn names_of_types_are_read_back() {
    for dtype in [
        Dtype::Int8,
        Dtype::Uint8,
        Dtype::Int16,
        Dtype::Uint16,
        Dtype::Int4,
        Dtype::Uint4,
        Dtype::Int32,
        Dtype::Float,
        Dtype::Float16,
        Dtype::Float8e4m3fn,
        Dtype::Float8e5m2,
    ] {
        assert_eq!(long(&short(dtype)), dtype);
    }
    assert_eq!([short(Dtype::Int8), short(Dtype::Uint16)], ["i8", "u16"]);
}
