"""A small network and its video files, node by node: one convolution on bands of rows."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, BAND, HALO = 32, 4, 1
BANDS = SIDE // BAND
WEIGHTS = np.random.default_rng(4).normal(0, 1, (1, 1, 3, 3)).astype(np.float32)
FRAME = [1, 1, SIDE, SIDE]


def _model(nodes, inputs, outputs, stored):
    def info(name, dims, dtype=TensorProto.FLOAT):
        return helper.make_tensor_value_info(name, dtype, dims)

    graph = helper.make_graph(
        nodes,
        "bands",
        [info(*value) for value in inputs],
        [info(*value) for value in outputs],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def plain():
    """classes = 2 relu(conv(image))."""
    nodes = [
        _node("Conv", ["image", "w"], ["c"], pads=[1] * 4),
        _node("Relu", ["c"], ["m"]),
        _node("Mul", ["m", "two"], ["classes"]),
    ]
    return _model(nodes, [("image", FRAME)], [("classes", FRAME)], {"w": WEIGHTS, "two": np.float32(2)})


def dense():
    """The same, with the map as a state, and with what is left of each band, which is nothing."""
    model = plain()
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(BANDS, np.float32), "nothing"))
    model.graph.node.append(_node("Identity", ["nothing"], ["left_next"]))
    model.graph.node[1].output[0] = model.graph.node[2].input[0] = "map_next"
    model.graph.output.append(helper.make_tensor_value_info("map_next", TensorProto.FLOAT, FRAME))
    model.graph.output.append(helper.make_tensor_value_info("left_next", TensorProto.FLOAT, [BANDS]))
    return model


def tiles(count, threshold):
    """The bands that changed most are computed, `count` of them."""
    rows = np.arange(BANDS)[:, None] * BAND + np.arange(BAND + 2 * HALO)[None]
    stored = {
        "w": WEIGHTS,
        "two": np.float32(2),
        "rows": rows.astype(np.int64),
        "k": np.array([count], np.int64),
        "around": np.array([0, 0, HALO, 0, 0, 0, HALO, 0], np.int64),
        "threshold": np.float32(threshold),
        "batch": np.array([count, 1, BAND + 2 * HALO, SIDE], np.int64),
        "flat": np.array([BANDS, BAND * SIDE], np.int64),
        "chosen_flat": np.array([count, BAND * SIDE], np.int64),
        "frame_shape": np.array(FRAME, np.int64),
        "none": np.zeros(count, np.float32),
        "last": np.array([-1], np.int64),
    }
    nodes = [
        _node("Pad", ["change", "around"], ["a_around"]),
        _node("Gather", ["a_around", "rows"], ["a_tiles"], axis=2),
        _node("ReduceMax", ["a_tiles"], ["most"], axes=[0, 1, 3, 4], keepdims=0),
        _node("Max", ["most", "left"], ["score"]),
        _node("TopK", ["score", "k"], ["best", "chosen"]),
        _node("ScatterElements", ["score", "chosen", "none"], ["left_next"]),
        # What is left: all bands above the threshold but those that are computed.
        _node("Greater", ["score", "threshold"], ["over"]),
        _node("Greater", ["best", "threshold"], ["best_over"]),
        _node("Cast", ["over"], ["over_n"], to=TensorProto.INT64),
        _node("Cast", ["best_over"], ["best_over_n"], to=TensorProto.INT64),
        _node("ReduceSum", ["over_n"], ["all_n"], keepdims=1),
        _node("ReduceSum", ["best_over_n"], ["done_n"], keepdims=1),
        _node("Sub", ["all_n", "done_n"], ["snapprune_changed"]),
        # The bands with their halo, as a batch.
        _node("Pad", ["image", "around"], ["x_around"]),
        _node("Gather", ["rows", "chosen"], ["chosen_rows"], axis=0),
        _node("Gather", ["x_around", "chosen_rows"], ["x_tiles"], axis=2),
        _node("Reshape", ["x_tiles", "batch"], ["x_batch"]),
        _node("Conv", ["x_batch", "w"], ["c"], pads=[0, 1, 0, 1]),
        _node("Relu", ["c"], ["r"]),
        _node("Unsqueeze", ["chosen", "last"], ["places"]),
        _node("Reshape", ["map", "flat"], ["map_flat"]),
        _node("Reshape", ["r", "chosen_flat"], ["r_flat"]),
        _node("ScatterND", ["map_flat", "places", "r_flat"], ["map_new"]),
        _node("Reshape", ["map_new", "frame_shape"], ["map_next"]),
        _node("Mul", ["map_next", "two"], ["classes"]),
    ]
    changed = ("snapprune_changed", [1], TensorProto.INT64)
    states = [("map", FRAME), ("left", [BANDS])]
    outputs = [("classes", FRAME), *((f"{name}_next", dims) for name, dims in states), changed]
    return _model(nodes, [("image", FRAME), ("change", [1, 1, SIDE, 1]), *states], outputs, stored)


def write(folder: Path, threshold: float, counts=(2, 4), halo=HALO, name="bands") -> Path:
    """Writes a model of that name and its video files; with a `halo` of 0, what a frame changes is more than it seems."""
    states = [("map", FRAME), ("left", [BANDS])]
    states = [{"input": n, "output": f"{n}_next", "shape": dims, "type": "float32", "in_place": n == "map"} for n, dims in states]
    manifest = {
        "version": 2,
        "threshold": threshold,
        "frame_threshold": threshold,
        "frame": {
            "input": "image",
            "shape": FRAME,
            "tile": [BAND, SIDE],
            "halo": [halo, 0],
            "tiles": [BANDS, 1],
            "cell": [1, SIDE],
            "change": "change",
        },
        "limit": 0.6,
        "states": states,
        "changed": "snapprune_changed",
    }

    def said(model, role, count):
        stages = [{"name": "m", "tiles": BANDS, "computed": count}]
        text = json.dumps({**manifest, "role": role, "share": count / BANDS, "stages": stages})
        model.metadata_props.add(key="snapprune.video", value=text)
        return model

    onnx.save(plain(), folder / f"{name}.onnx")
    onnx.save(said(dense(), "dense", BANDS), folder / f"{name}.snap.video-dense.onnx")
    for count in counts:
        onnx.save(said(tiles(count, threshold), "tiles", count), folder / f"{name}.snap.video-{100 * count // BANDS}.onnx")
    return folder
