"""The Python that the README and the documentation show, run as it is written."""

import re
import sys
from pathlib import Path

import numpy
import onnx
import pytest
import video_files
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{k}")
    for page in PAGES
    for k, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.S))
]


def small() -> onnx.ModelProto:
    """A small network with misaligned widths, for 96x96 images."""
    random = numpy.random.default_rng(7)
    initializers = []

    def weights(*dims: int) -> str:
        values = random.standard_normal(dims) / numpy.sqrt(numpy.prod(dims[1:]))
        initializers.append(numpy_helper.from_array(values.astype(numpy.float32), f"w{len(initializers)}"))
        return initializers[-1].name

    nodes = [
        helper.make_node("Conv", ["image", weights(29, 3, 3, 3)], ["a"], strides=[4, 4], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", weights(45, 29, 3, 3)], ["c"], strides=[4, 4], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", weights(10, 45)], ["classes"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 96, 96])],
        [helper.make_tensor_value_info("classes", TensorProto.FLOAT, ["N", 10])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("block", BLOCKS)
def test_it_runs(block, tmp_path, monkeypatch):
    onnx.save(small(), tmp_path / "model.onnx")
    (tmp_path / "models").mkdir()
    onnx.save(small(), tmp_path / "models" / "model.onnx")
    random = numpy.random.default_rng(3)
    images = random.integers(0, 256, (80, 96, 96, 3), dtype=numpy.uint8)
    numpy.savez(tmp_path / "samples.npz", images=images, labels=random.integers(0, 10, 80))
    (tmp_path / "camera").mkdir()
    video_files.write(tmp_path / "camera", 0.5, name="model")
    frames = random.random((6, *video_files.FRAME[1:]), dtype=numpy.float32)
    numpy.savez(tmp_path / "frames.npz", image=frames)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    exec(compile(block, "<the documentation>", "exec"), {})
    if "ray" in sys.modules:
        # A cluster of this block's own.
        sys.modules["ray"].shutdown()


def test_there_is_something_to_run():
    assert len(BLOCKS) >= 5
