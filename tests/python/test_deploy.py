"""The recipe of docs/integration.md: a float model narrowed for int8, then quantized by ONNX Runtime."""

import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize("activations", ["int8", "uint8"])
def test_the_script_of_the_tables_quantizes_weights_by_channel_and_activations_by_samples(tmp_path, activations):
    float_model, samples, quantized = tmp_path / "float.onnx", tmp_path / "samples.npz", tmp_path / "int8.onnx"
    onnx.save(model(), float_model)
    images = np.random.default_rng(2).integers(0, 256, (64, 12, 12, 3), dtype=np.uint8)
    # Samples past those that are asked for are not looked at.
    images[40:] = 0
    np.savez(samples, images=images)
    script = Path(__file__).parents[2] / "examples" / "quantize_static.py"
    flags = ["--calib", samples, "--samples", "40", "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25"]
    command = [sys.executable, script, float_model, quantized, *flags, "--activations", activations]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    graph = onnx.load(quantized).graph
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    layers = [node for node in graph.node if node.op_type == "Conv"]
    assert len(layers) == 3
    for layer in layers:
        weights, scale, zero = (stored[name] for name in made_by[layer.input[1]].input)
        assert weights.dtype == np.int8 and scale.shape == zero.shape == weights.shape[:1]
        back = made_by[layer.input[0]]
        assert back.op_type == "DequantizeLinear" and stored[back.input[2]].dtype == np.dtype(activations)
    # The input reaches from -2 to 2 in 255 steps.
    step = next(stored[node.input[1]] for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "x")
    assert abs(float(step) - 4 / 255) < 1e-4
    scaled = ((images[:16] / 255 - 0.5) / 0.25).transpose(0, 3, 1, 2).astype(np.float32)
    outputs = [
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": scaled})[0]
        for path in (float_model, quantized)
    ]
    assert np.corrcoef(*(o.ravel() for o in outputs))[0, 1] > 0.99
