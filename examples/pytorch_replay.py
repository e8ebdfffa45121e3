"""Cuts a PyTorch module by a snapprune plan, so that it can be trained on at its new widths, and proves that it is the model
that `snapprune apply` writes.

    python examples/pytorch_replay.py              # a small residual network, from export to equal outputs
    from pytorch_replay import cut                 # cut(module, json.load(open("plan.json")))

The plan names weights as the ONNX file does. Export so that names are kept and BatchNormalization stays by itself:
`torch.onnx.export(module, args, path, dynamo=True, optimize=False)`. Needs torch, onnxscript, numpy and onnxruntime.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import torch
from torch import nn


def reorder(tensor, axis, order):
    """`tensor` with the entries of `axis` that `order` names; -1 is a new entry of zeros."""
    index = torch.tensor(order, device=tensor.device)
    taken = tensor.index_select(axis, index.clamp(min=0))
    shape = [1] * tensor.dim()
    shape[axis] = len(order)
    return taken * (index >= 0).to(tensor.dtype).view(shape)


def cut(module, plan):
    """Changes `module` in place as the plan says: weights, buffers and the sizes that layers keep of themselves."""
    for name, axes in plan["weights"].items():
        owner_name, _, leaf = name.rpartition(".")
        owner = module.get_submodule(owner_name)
        old = getattr(owner, leaf)
        new = old.detach()
        for axis, order in axes.items():
            new = reorder(new, int(axis), order)
        if leaf == "running_var":
            # A new channel's variance is 1, so that nothing is divided by zero.
            new = torch.where(torch.tensor(axes["0"]) < 0, torch.ones_like(new), new)
        if isinstance(old, nn.Parameter):
            setattr(owner, leaf, nn.Parameter(new, requires_grad=old.requires_grad))
        else:
            owner.register_buffer(leaf, new)
    for layer in module.modules():
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            depthwise = layer.groups > 1 and layer.weight.shape[1] == 1
            if depthwise:
                layer.groups = layer.weight.shape[0] // max(1, layer.out_channels // layer.in_channels)
            layer.out_channels = layer.weight.shape[0]
            layer.in_channels = layer.weight.shape[1] * layer.groups
        elif isinstance(layer, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
            layer.in_channels = layer.weight.shape[0]
            layer.out_channels = layer.weight.shape[1] * layer.groups
        elif isinstance(layer, nn.Linear):
            layer.out_features, layer.in_features = layer.weight.shape
        elif isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
            layer.num_features = layer.running_mean.shape[0]
    return module


class Block(nn.Module):
    def __init__(self, channels, hidden):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, hidden, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(x + self.bn2(self.conv2(y)))


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, stride=2, padding=1)
        self.block1 = Block(32, 48)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.block2 = Block(32, 64)
        self.fc = nn.Linear(32, 10)

    def forward(self, x):
        x = self.block2(self.depthwise(self.block1(torch.relu(self.stem(x)))))
        return self.fc(x.mean((2, 3)))


def main():
    import numpy
    import onnxruntime

    torch.manual_seed(0)
    module = Small().eval()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2.0)
    tool = os.environ.get("SNAPPRUNE", "snapprune")
    folder = pathlib.Path(tempfile.mkdtemp())
    x = torch.randn(2, 3, 48, 48)
    torch.onnx.export(module, (x,), str(folder / "model.onnx"), dynamo=True, optimize=False, input_names=["image"])
    numpy.savez(folder / "calib.npz", image=torch.randn(64, 3, 48, 48).numpy())
    run = lambda *args: subprocess.run([tool, *map(str, args)], check=True)
    run("plan", folder / "model.onnx", "--cpu", "--calib", folder / "calib.npz", "--target-macs", "0.6x",
        "-o", folder / "plan.json")
    run("apply", folder / "model.onnx", folder / "plan.json", "-o", folder / "cut.onnx")
    cut(module, json.loads((folder / "plan.json").read_text()))
    with torch.no_grad():
        ours = module(x).numpy()
    session = onnxruntime.InferenceSession(str(folder / "cut.onnx"), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    worst = abs(ours - theirs).max() / abs(theirs).max()
    before = sum(p.numel() for p in Small().parameters())
    after = sum(p.numel() for p in module.parameters())
    print(f"parameters {before} -> {after}; largest difference of the outputs {worst:.1e} of their range")
    return 0 if worst < 1e-4 and after < before else 1


if __name__ == "__main__":
    sys.exit(main())
