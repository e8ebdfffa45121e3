"""Cuts a PyTorch module by a snapprune plan, so that it can be trained on at its new widths, and proves that it is the model
that `snapprune apply` writes.

    python examples/pytorch_replay.py              # a small residual network, from export to equal outputs
    from pytorch_replay import cut                 # cut(module, json.load(open("plan.json")))

The plan names weights as the ONNX file does; its `broadcasts` change no output and no weight, so a module stays as it is for them. Export so that names are kept and BatchNormalization stays by itself:
`torch.onnx.export(module, args, path, dynamo=True, optimize=True)`. Needs torch, onnxscript, numpy and onnxruntime.
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


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def norms_of(module, example):
    """The name of the BatchNormalization right behind each convolution, by the convolution's name."""
    made, found, hooks = {}, {}, []
    for name, layer in module.named_modules():
        if isinstance(layer, CONVOLUTIONS):
            hooks.append(layer.register_forward_hook(lambda _, __, y, name=name: made.update({id(y): (name, y)})))
        elif isinstance(layer, NORMS):
            hooks.append(
                layer.register_forward_pre_hook(
                    lambda _, x, name=name: found.update({made[id(x[0])][0]: name}) if id(x[0]) in made else None
                )
            )
    with torch.no_grad():
        module(example)
    for hook in hooks:
        hook.remove()
    return found


def replace(owner, leaf, axes):
    """Puts a weight or a buffer of a layer in its new order."""
    old = getattr(owner, leaf)
    new = old.detach()
    for axis, order in axes.items():
        new = reorder(new, int(axis), order)
    if leaf == "running_var":
        # A new channel's variance is 1, so that nothing is divided by zero.
        new = torch.where(torch.tensor(axes["0"], device=new.device) < 0, torch.ones_like(new), new)
    if isinstance(old, nn.Parameter):
        setattr(owner, leaf, nn.Parameter(new, requires_grad=old.requires_grad))
    else:
        owner.register_buffer(leaf, new)


def cut(module, plan, example):
    """Changes `module` in place as the plan says: weights, buffers and the sizes that layers keep of themselves. `example` is
    an input, for finding which normalization follows which convolution. Gives the names that the module does not have."""
    norms = norms_of(module, example)
    missing = []
    for name, axes in plan["weights"].items():
        owner_name, _, leaf = name.rpartition(".")
        try:
            owner = module.get_submodule(owner_name)
        except AttributeError:
            owner = None
        if getattr(owner, leaf, None) is None:
            missing.append(name)
            continue
        replace(owner, leaf, axes)
        if leaf == "weight" and "0" in axes and owner_name in norms:
            norm = module.get_submodule(norms[owner_name])
            for own in ("weight", "bias", "running_mean", "running_var"):
                # Where the export kept the normalization, the plan names it and it is cut by itself.
                if getattr(norm, own, None) is not None and f"{norms[owner_name]}.{own}" not in plan["weights"]:
                    replace(norm, own, {"0": axes["0"]})
    for layer in module.modules():
        if isinstance(layer, CONVOLUTIONS):
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
        elif isinstance(layer, NORMS):
            layer.num_features = layer.running_mean.shape[0]
    return missing


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
    torch.onnx.export(module, (x,), str(folder / "model.onnx"), dynamo=True, input_names=["image"])
    numpy.savez(folder / "calib.npz", image=torch.randn(64, 3, 48, 48).numpy())
    run = lambda *args: subprocess.run([tool, *map(str, args)], check=True)
    run("plan", folder / "model.onnx", "--cpu", "--calib", folder / "calib.npz", "--target-macs", "0.6x",
        "-o", folder / "plan.json")
    run("apply", folder / "model.onnx", folder / "plan.json", "-o", folder / "cut.onnx")
    missing = cut(module, json.loads((folder / "plan.json").read_text()), x)
    with torch.no_grad():
        ours = module(x).numpy()
    session = onnxruntime.InferenceSession(str(folder / "cut.onnx"), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    worst = abs(ours - theirs).max() / abs(theirs).max()
    before = sum(p.numel() for p in Small().parameters())
    after = sum(p.numel() for p in module.parameters())
    print(f"folded away by the export: {', '.join(missing) or 'nothing'}")
    print(f"parameters {before} -> {after}; largest difference of the outputs {worst:.1e} of their range")
    return 0 if worst < 1e-4 and after < before else 1


if __name__ == "__main__":
    sys.exit(main())
