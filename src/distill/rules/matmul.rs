//! Matrix products.

use super::super::tape::{Products, Tape};
use super::reduce::unbroadcast;
use crate::onnx::Attributes;
use crate::onnx::proto::NodeProto;

/// `Gemm` with a matrix of rows in front: y = α x w + β b.
pub fn gemm(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    if node.int("transA", 0) != 0 {
        return None;
    }
    let mut times = |factor: f32| match factor == 1.0 {
        true => dy.to_owned(),
        false => {
            let factor = tape.scalar(factor);
            tape.builder.op("Mul", &[dy, &factor], &[])
        }
    };
    let (own, shift) = (times(node.float("alpha", 1.0)), times(node.float("beta", 1.0)));
    let dy = own.as_str();
    let turned = node.int("transB", 0);
    let (x, w) = (node.input.first()?, node.input.get(1)?);
    let mut found = Vec::new();
    if tape.wants(node, 0) {
        found.push((0, tape.builder.op("Gemm", &[dy, w], &[("transB", &[1 - turned])])));
    }
    if tape.wants(node, 1) {
        let pair = if turned == 1 { [dy, x] } else { [x, dy] };
        found.push((1, tape.builder.op("Gemm", &pair, &[("transA", &[1])])));
    }
    if tape.wants(node, 2) {
        let (own, all) = (tape.input_dims(node, 2)?, tape.dims.get(node.output.first()?)?.clone());
        found.push((2, unbroadcast(tape, shift, &all, &own)?));
    }
    Some(found)
}

/// `MatMul` of equally many axes, or by a matrix.
pub fn matmul(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let (a, b) = (tape.input_dims(node, 0)?, tape.input_dims(node, 1)?);
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let (x, w) = (node.input.first()?, node.input.get(1)?);
    let turned = |tape: &mut Tape, value: &str, rank: usize| {
        let mut perm: Vec<i64> = (0..rank as i64).collect();
        perm.swap(rank - 1, rank - 2);
        tape.builder.op("Transpose", &[value], &[("perm", &perm)])
    };
    let by_matrix = b.len() == 2;
    if !by_matrix && a.get(..a.len() - 2)? != b.get(..b.len() - 2)? {
        return None;
    }
    let mut found = Vec::new();
    if tape.wants(node, 0) {
        let back = turned(tape, w, b.len());
        found.push((0, tape.builder.op("MatMul", &[dy, &back], &[])));
    }
    if tape.wants(node, 1) {
        let gradient = if by_matrix {
            let rows = tape.builder.reshape(x, &[-1, b[0] as i64]);
            let made = tape.builder.reshape(dy, &[-1, b[1] as i64]);
            tape.builder.op("Gemm", &[&rows, &made], &[("transA", &[1])])
        } else {
            let rows = turned(tape, x, a.len());
            tape.builder.op("MatMul", &[&rows, dy], &[])
        };
        found.push((1, gradient));
    }
    Some(found)
}
