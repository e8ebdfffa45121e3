"""The recipe of docs/integration.md: a float model narrowed for int8, then quantized by ONNX Runtime."""

import numpy as np
import pytest

import snapprune

onnx = pytest.importorskip("onnx")
quantization = pytest.importorskip("onnxruntime.quantization")
import onnxruntime  # noqa: E402


def model():
    helper, random = onnx.helper, np.random.default_rng(0)
    nodes, stored, value, width = [], [], "x", 3
    for k, after in enumerate((24, 24, 16)):
        weights = random.normal(0, (2 / (9 * width)) ** 0.5, (after, width, 3, 3)).astype(np.float32)
        stored += [
            onnx.numpy_helper.from_array(weights, f"w{k}"),
            onnx.numpy_helper.from_array(np.zeros(after, np.float32), f"b{k}"),
        ]
        nodes.append(helper.make_node("Conv", [value, f"w{k}", f"b{k}"], [f"c{k}"], f"conv{k}", pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{k}"], [f"r{k}"], f"relu{k}"))
        value, width = f"r{k}", after
    nodes.append(helper.make_node("GlobalAveragePool", [value], ["y"], "pool"))
    kind = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [kind("x", onnx.TensorProto.FLOAT, ["n", 3, 12, 12])],
        [kind("y", onnx.TensorProto.FLOAT, ["n", 16, 1, 1])],
        stored,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Samples(quantization.CalibrationDataReader):
    def __init__(self, samples):
        self.batches = iter([{"x": samples[k : k + 16]} for k in range(0, len(samples), 16)])

    def get_next(self):
        return next(self.batches, None)


def test_a_model_narrowed_for_int8_is_float_and_quantizes(tmp_path, db):
    samples = np.random.default_rng(1).normal(0, 1, (64, 3, 12, 12)).astype(np.float32)
    result = snapprune.optimize(
        model(),
        cpu=True,
        threads=1,
        db=db,
        progress=False,
        target_macs="0.7x",
        allow_slower=True,
        calib={"x": samples},
        deploy_dtype="int8",
        staircases="0s",
    )
    assert result.model is not None, result.report.declined
    assert any("int8" in note for note in result.report.data["notes"])
    narrowed, quantized = tmp_path / "narrowed.onnx", tmp_path / "quantized.onnx"
    narrowed.write_bytes(result.model)
    assert not any("Quantize" in n.op_type for n in onnx.load(narrowed).graph.node)
    quantization.quantize_static(narrowed, quantized, Samples(samples), per_channel=True)
    outputs = [
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": samples})[0]
        for path in (narrowed, quantized)
    ]
    assert np.corrcoef(*(o.ravel() for o in outputs))[0, 1] > 0.99
