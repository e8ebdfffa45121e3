//! Weights that reach a layer through `DequantizeLinear`, as floats and back.

use super::granularity::Granularity;
use crate::onnx::{Graph, Tensor};

/// A constant of integers that one node dequantizes for one reader, at once or through `Identity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dequantized {
    /// Index of the `DequantizeLinear`.
    pub node: usize,
}

impl Dequantized {
    /// What a value comes from; `None` where it does not, where others read the same, or where what is stored is no constant.
    pub fn of(graph: &Graph, name: &str) -> Option<Self> {
        let mut name = name;
        loop {
            let given_out = graph.proto.output.iter().any(|o| o.name() == name);
            if given_out || graph.consumers.get(name)?.len() != 1 {
                return None;
            }
            let at = *graph.producer.get(name)?;
            let node = &graph.proto.node[at];
            match node.op_type() {
                "Identity" => name = node.input.first()?,
                "DequantizeLinear" => {
                    let found = Self { node: at };
                    let stored = found.stored(graph)?;
                    found.granularity(graph)?;
                    return stored.to_i64().map(|_| found);
                }
                _ => return None,
            }
        }
    }

    fn input(self, graph: &Graph, i: usize) -> Option<Tensor> {
        let node = graph.proto.node.get(self.node)?;
        graph.stored(node.input.get(i).filter(|n| !n.is_empty())?)
    }

    /// The integers.
    pub fn stored(self, graph: &Graph) -> Option<Tensor> {
        self.input(graph, 0)
    }

    /// The scales.
    pub fn scales(self, graph: &Graph) -> Option<Tensor> {
        self.input(graph, 1)
    }

    /// The zero points; `None` where there are none, which stands for zeros.
    pub fn zero_points(self, graph: &Graph) -> Option<Tensor> {
        self.input(graph, 2)
    }

    /// How scales lie over the integers.
    pub fn granularity(self, graph: &Graph) -> Option<Granularity> {
        let node = graph.proto.node.get(self.node)?;
        Granularity::of(node, &self.stored(graph)?.dims, &self.scales(graph)?.dims)
    }

    /// The zero point of each scale.
    pub fn zeros(self, graph: &Graph) -> Option<Vec<i64>> {
        let count = self.scales(graph)?.len();
        match self.zero_points(graph) {
            Some(zeros) => zeros.to_i64().filter(|z| z.len() == count),
            None => Some(vec![0; count]),
        }
    }

    /// The weights as floats: (integer − zero point) × scale.
    pub fn values(self, graph: &Graph) -> Option<Tensor> {
        let (stored, granularity) = (self.stored(graph)?, self.granularity(graph)?);
        let (scales, zeros) = (self.scales(graph)?.to_f32()?, self.zeros(graph)?);
        let value = |(at, &q): (usize, &i64)| {
            let k = granularity.parameter(at, &stored.dims);
            Some((q - zeros.get(k)?) as f32 * scales.get(k)?)
        };
        let values: Option<Vec<f32>> = stored.to_i64()?.iter().enumerate().map(value).collect();
        Some(Tensor::from_f32(stored.dims.clone(), &values?))
    }
}

/// A constant as floats: as it is stored, or dequantized for its only reader.
pub fn float_constant(graph: &Graph, name: &str) -> Option<Tensor> {
    match graph.stored(name) {
        Some(tensor) => Some(tensor).filter(Tensor::is_float),
        None => Dequantized::of(graph, name)?.values(graph),
    }
}

/// The shape of the same.
pub fn float_constant_dims(graph: &Graph, name: &str) -> Option<Vec<usize>> {
    match graph.stored(name) {
        Some(tensor) => Some(tensor).filter(Tensor::is_float).map(|t| t.dims),
        None => Some(Dequantized::of(graph, name)?.stored(graph)?.dims),
    }
}
