"""Writes small models, arrays and exports as seeds: python fuzz/seeds.py (needs numpy and onnx).

With --operators the ONNX project's own operator cases are written too, below fuzz/operators, which is not kept. The operators that
snapprune has rules for come from its tests: SNAPPRUNE_SEEDS=fuzz/corpus/inspect cargo test --test operators.
"""

import json
import random
import sys
from pathlib import Path

import numpy
from onnx import TensorProto, helper, numpy_helper, shape_inference

HERE = Path(__file__).parent / "corpus"
OPERATORS = Path(__file__).parent / "operators"


def seed(target: str, name: str, data: bytes, place: Path = HERE) -> None:
    folder = place / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def model(nodes, initializers, dims, opset=17) -> bytes:
    graph = helper.make_graph(
        nodes,
        "seed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def weight(name: str, *dims: int, dtype=numpy.float32):
    values = numpy.arange(numpy.prod(dims)).reshape(dims) / 16
    return numpy_helper.from_array(values.astype(dtype), name)


conv = helper.make_node("Conv", ["x", "w", "b"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=1)
seed("load", "conv", model([conv], [weight("w", 4, 2, 3, 3), weight("b", 4)], [1, 2, 4, 4]))
halves = helper.make_node("Conv", ["x", "w"], ["y"])
seed("load", "half", model([halves], [weight("w", 2, 2, 1, 1, dtype=numpy.float16)], ["N", 2, 4, 4]))
typed = helper.make_tensor("w", TensorProto.FLOAT, [2, 2, 1, 1], [1.0, 2.0, 3.0, 4.0])
seed("load", "typed", model([halves], [typed], [1, 2, "h", "w"]))
constant = helper.make_node("Constant", [], ["k"], value=helper.make_tensor("v", TensorProto.INT64, [2], [1, -1]))
reshape = helper.make_node("Reshape", ["x", "k"], ["y"])
seed("load", "constant", model([constant, reshape], [], [2, 3]))
body = helper.make_graph([helper.make_node("Relu", ["x"], ["z"])], "body", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)])
branch = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
seed("load", "if", model([branch], [helper.make_tensor("c", TensorProto.BOOL, [], [True])], [3]))
outside = helper.make_tensor("w", TensorProto.FLOAT, [2, 2, 1, 1], bytes(16), raw=True)
outside.ClearField("raw_data")
outside.data_location = TensorProto.EXTERNAL
for key, value in [("location", "w.bin"), ("offset", "0"), ("length", "16")]:
    entry = outside.external_data.add()
    entry.key, entry.value = key, value
seed("load", "external", model([halves], [outside], [1, 2, 4, 4]))

# What was found: an empty weight that claims a huge extent, and notes that give a slice another rank than its input.
zeros = bytes(16)
empty = helper.make_tensor("w", TensorProto.FLOAT, [1, 1, 3, 3, 0, 1 << 28], b"", raw=True)
add = helper.make_node("Add", ["x", "w"], ["y"])
seed("inspect", "found_empty", zeros + model([add], [empty], [1, 1, 5, 5]))
bounds = [helper.make_tensor_value_info(n, TensorProto.INT64, [1]) for n in ("starts", "ends", "axes")]
cut = helper.make_node("Slice", ["x", "starts", "ends", "axes"], ["y"])
image, flat = (helper.make_tensor_value_info(n, TensorProto.FLOAT, d) for n, d in (("x", [2, 3, 4]), ("y", [2, 3])))
ranks = helper.make_model(helper.make_graph([cut], "seed", [image, *bounds], [flat]), ir_version=8)
seed("inspect", "found_ranks", zeros + ranks.SerializeToString())

HERE.mkdir(exist_ok=True)
(HERE / "npz").mkdir(exist_ok=True)
numpy.savez(HERE / "npz/floats.npz", image=numpy.zeros((3, 3, 4, 4), numpy.float32))
numpy.savez(HERE / "npz/images.npz", images=numpy.zeros((3, 4, 4, 3), numpy.uint8), labels=numpy.arange(3))
numpy.savez_compressed(HERE / "npz/packed.npz", images=numpy.zeros((2, 4, 4, 3), numpy.uint8))

problem = {
    "op": "Conv", "batch": 1, "cin": 3, "cout": 8, "groups": 1, "space": [8, 8], "kernel": [3, 3], "lists": [],
    "auto_pad": "", "bias": True, "activation": "", "feed": "plain", "dtype": "f32",
}  # fmt: skip
row = {"device": "0", "name": "d", "stack": "s", "problem": problem, "samples": [1.0, 2.0], "made": 1, "facts": {}}
seed("db_import", "row", (json.dumps(row) + "\n").encode())
conditions = {"sm_mhz": 1980, "memory_mhz": 2619, "celsius": 41, "milliwatts": 250000}
other = row | {"device": "1", "problem": problem | {"op": "ConvTranspose", "lists": [["strides", [2, 2]]]}, "facts": {"conditions": conditions}}
seed("db_import", "rows", "".join(json.dumps(r) + "\n" for r in [row, other, row]).encode())
seed("db_import", "cut", json.dumps(row)[:-9].encode())

drawn = random.Random(1)
for k in range(48):
    seed("apply", f"drawn{k}", drawn.randbytes(96))


def as_weights(case) -> bytes:
    """The case's model with its first input left open, the others as weights, and the shapes of all values."""
    network = case.model
    held = {t.name for t in network.graph.initializer}
    for given, info in list(zip(case.data_sets[0][0], network.graph.input))[1:]:
        if isinstance(given, numpy.ndarray) and info.name not in held:
            network.graph.initializer.append(numpy_helper.from_array(given, info.name))
    return shape_inference.infer_shapes(network).SerializeToString()


if "--operators" in sys.argv:
    from onnx.backend.test.case.node import collect_testcases

    for case in collect_testcases(None):
        try:
            data = as_weights(case)
        except Exception as e:  # a case that cannot be written down is no seed
            print(f"{case.name}: {e}", file=sys.stderr)
            continue
        if len(data) <= 8192:
            seed("load", case.name, data, OPERATORS)
            # The first bytes draw a plan.
            seed("inspect", case.name, drawn.randbytes(16) + data, OPERATORS)
