#!/usr/bin/env python3
"""Make the kind of file that FLOPs pruners leave behind.

usage: misaligned.py IN.onnx OUT.onnx [SHARE=0.1]

Removes SHARE of the hidden channels of every inverted-residual block (pointwise -> depthwise ->
pointwise) and of every basic block (conv -> conv with nothing else between), those of least weight
norm, and leaves whatever width is left. Needs onnx and numpy.
"""
import sys

import numpy as np
import onnx
from onnx import numpy_helper

THROUGH = {"Relu", "Clip", "BatchNormalization", "HardSwish"}


def unshare(graph):
    """Give every use of a weight a weight of its own, also where an Identity stands between."""
    weights = {t.name: t for t in graph.initializer}
    alias = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Identity" and n.input[0] in weights}
    seen = set()
    for node in graph.node:
        for k, name in enumerate(node.input):
            source = alias.get(name, name)
            if source not in weights or node.op_type == "Identity":
                continue
            own = f"{source}.{len(seen)}" if source in seen or source != name else source
            seen.add(own)
            if own != source:
                copy = graph.initializer.add()
                copy.CopyFrom(weights[source])
                copy.name = own
                node.input[k] = own
    kept = [n for n in graph.node if n.op_type != "Identity" or n.output[0] not in alias]
    del graph.node[:]
    graph.node.extend(kept)


def main(source, target, share):
    model = onnx.load(source)
    graph = model.graph
    unshare(graph)
    weights = {t.name: t for t in graph.initializer}
    users = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)

    def value(name):
        return numpy_helper.to_array(weights[name])

    def store(name, array):
        weights[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), name))

    def group(node):
        return next((a.i for a in node.attribute if a.name == "group"), 1)

    def chain(node):
        """The nodes behind a convolution up to the next one, if nothing branches off."""
        between, output = [], node.output[0]
        while True:
            next_nodes = users.get(output, [])
            if len(next_nodes) != 1 or any(o.name == output for o in graph.output):
                return None
            node = next_nodes[0]
            if node.op_type == "Conv":
                if node.input[0] != output:
                    return None
                if group(node) == 1:
                    return between, node
                if value(node.input[1]).shape[1] != 1:
                    return None
            elif node.op_type not in THROUGH or node.input[0] != output:
                return None
            between.append(node)
            output = node.output[0]

    cut = 0
    for node in graph.node:
        if node.op_type != "Conv" or group(node) != 1:
            continue
        found = chain(node)
        if found is None:
            continue
        between, last = found
        weight = value(node.input[1])
        width = weight.shape[0]
        keep_count = int(round(width * (1 - share)))
        norms = np.abs(weight.reshape(width, -1)).sum(1)
        keep = np.sort(np.argsort(-norms, kind="stable")[:keep_count])
        for part in [node, *between]:
            if part.op_type in ("Conv", "BatchNormalization"):
                for name in part.input[1:]:
                    store(name, value(name)[keep])
            for attribute in part.attribute:
                if attribute.name == "group" and attribute.i == width:
                    attribute.i = keep_count
        store(last.input[1], value(last.input[1])[:, keep])
        cut += width - keep_count
    del graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, target)
    print(f"{target}: {cut} channels removed")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 0.1)
