use super::{DeployDtype, Deployment};
use crate::device::{CpuDevice, Executor, InputSpec, Runtime, random_inputs};
use crate::onnx::proto::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto};
use crate::onnx::{Dtype, Tensor, encode};
use crate::profile::probe::{node, value_info};
use crate::profile::{Forks, Problem, QuantizedForm};

/// Two convolutions, the second one behind a normalization and with a shortcut.
fn model() -> ModelProto {
    let mut random = fastrand::Rng::with_seed(3);
    let mut constant = |name: &str, dims: &[usize], low: f32| {
        let values: Vec<f32> = (0..dims.iter().product()).map(|_| low + random.f32()).collect();
        Tensor::from_f32(dims.to_vec(), &values).to_proto(name)
    };
    let named = |op: &str, name: &str, inputs: &[&str]| -> NodeProto {
        node(op, name, inputs.iter().map(|s| (*s).to_owned()).collect())
    };
    let graph = GraphProto {
        node: vec![
            named("Conv", "a", &["x", "wa", "ba"]),
            named("Relu", "ra", &["a"]),
            named("Conv", "b", &["ra", "wb"]),
            named("BatchNormalization", "nb", &["b", "s", "t", "m", "v"]),
            named("Add", "sum", &["nb", "ra"]),
            named("GlobalAveragePool", "y", &["sum"]),
        ],
        initializer: vec![
            constant("wa", &[6, 3, 1, 1], -0.5),
            constant("ba", &[6], -0.5),
            constant("wb", &[6, 6, 1, 1], -0.5),
            Tensor::from_f32(vec![6], &[1.0; 6]).to_proto("s"),
            Tensor::from_f32(vec![6], &[0.1; 6]).to_proto("t"),
            Tensor::from_f32(vec![6], &[0.0; 6]).to_proto("m"),
            Tensor::from_f32(vec![6], &[1.0; 6]).to_proto("v"),
        ],
        input: vec![value_info("x", Dtype::Float, &[1, 3, 5, 5])],
        output: vec![value_info("y", Dtype::Float, &[1, 6, 1, 1])],
        ..Default::default()
    };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            version: Some(17),
            ..Default::default()
        }],
        graph: Some(graph),
        ..Default::default()
    }
}

#[test]
fn a_models_deployed_forms_compute_what_it_computes() -> crate::Result<()> {
    let device = CpuDevice::new(Runtime::load(None)?, 1);
    let spec = InputSpec {
        name: "x".to_owned(),
        dims: vec![1, 3, 5, 5],
        dtype: Dtype::Float,
        open: vec![],
        assumed: vec![],
    };
    let inputs = random_inputs(&[spec], 1, 1.0)?;
    let model = model();
    let values = |model: &ModelProto| -> crate::Result<Vec<f32>> {
        let outputs = device.outputs(&encode(model), &inputs)?;
        Ok(outputs[0].1.to_f32().unwrap_or_default())
    };
    let before = values(&model)?;
    let most = before.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    for (dtype, near) in [(DeployDtype::Int8, 0.05), (DeployDtype::Float16, 0.01)] {
        let deployment = Deployment::new(dtype, &device, &model, &mut std::iter::once(inputs.clone()))?;
        let form = deployment.form(&model)?;
        let nodes = &form.graph.as_ref().map(|g| g.node.clone()).unwrap_or_default();
        let has = |op: &str| nodes.iter().any(|n| n.op_type() == op);
        let int8 = dtype == DeployDtype::Int8;
        assert_eq!(
            (has("QuantizeLinear"), has("BatchNormalization"), has("Cast")),
            (int8, !int8, !int8)
        );
        let after = values(&form)?;
        assert_eq!(after.len(), before.len());
        let far = before
            .iter()
            .zip(&after)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(far <= near * most && far > 0.0, "{dtype:?}: {far} of {most}");
        let twice = Deployment::new(dtype, &device, &form, &mut std::iter::once(inputs.clone()));
        assert!(twice.is_err(), "what is deployed already is no float model");
    }
    Ok(())
}

#[test]
fn a_layer_is_probed_in_the_form_that_a_quantizer_writes() {
    let deployment = Deployment {
        dtype: DeployDtype::Int8,
        ranges: Default::default(),
        per_channel: true,
    };
    let float = Problem {
        activation: "Relu".to_owned(),
        ..Problem::plain(8, 16, 10)
    };
    let problem = deployment.problem(float, Forks::default());
    assert_eq!((problem.dtype.as_str(), problem.activation.as_str()), ("i8", ""));
    let quantized = problem.quantized.unwrap();
    assert_eq!(quantized.form, QuantizedForm::Qdq);
    assert!(quantized.per_channel && quantized.bias.as_deref() == Some("i32"));
}
