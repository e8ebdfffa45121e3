#!/usr/bin/env python3
"""Train ShapeNet-96, the small network that the demo and the tests use.

usage: train_shapes.py OUT_DIR [EPOCHS=30]

Ten classes of drawn shapes on cluttered backgrounds, 96x96 RGB. The network has residual blocks
(basic, 3x3) at the front and inverted residuals with depthwise convolutions behind. Writes
shapes96.onnx (BatchNorm folded by the exporter), shapes96_eval.npz (150 of the 500 held-back images, with labels) and
shapes96.json (accuracy and sizes). Needs torch, onnx and numpy; everything is seeded.
"""
import json
import math
import pathlib
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

CLASSES = ["disc", "ring", "square", "frame", "triangle", "star", "cross", "bars", "crescent", "checker"]
SIDE = 96


def draw(kind, rng, n):
    """n images of one class: uint8 n x 96 x 96 x 3."""
    axis = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    yy, xx = np.meshgrid(axis, axis, indexing="ij")
    out = np.empty((n, SIDE, SIDE, 3), np.uint8)
    for k in range(n):
        low = rng.random((6, 6, 3)).astype(np.float32)
        ground = low.repeat(SIDE // 6, 0).repeat(SIDE // 6, 1)
        image = ground * 0.5 + 0.25 + rng.normal(0, 0.08, (SIDE, SIDE, 3))
        for _ in range(rng.integers(2, 6)):
            a, b, c = rng.normal(size=3)
            line = np.abs(a * xx + b * yy + c * 0.6) / math.hypot(a, b) < rng.uniform(0.01, 0.04)
            image[line] = rng.random(3)
        size, turn = rng.uniform(0.28, 0.6), rng.uniform(0, 2 * math.pi)
        x0, y0 = rng.uniform(-0.4, 0.4, 2)
        u = ((xx - x0) * math.cos(turn) + (yy - y0) * math.sin(turn)) / size
        v = (-(xx - x0) * math.sin(turn) + (yy - y0) * math.cos(turn)) / size
        r, angle = np.hypot(u, v), np.arctan2(v, u)
        box = np.maximum(np.abs(u), np.abs(v))
        mask = {
            "disc": r < 0.9,
            "ring": (r < 0.95) & (r > 0.6),
            "square": box < 0.8,
            "frame": (box < 0.9) & (box > 0.6),
            "triangle": (v > -0.6) & (np.abs(u) < (0.9 - v) * 0.6),
            "star": r < 0.62 + 0.33 * np.cos(5 * angle),
            "cross": (box < 0.95) & (np.minimum(np.abs(u), np.abs(v)) < 0.28),
            "bars": (box < 0.9) & (np.mod(u * 2.2, 1) < 0.5),
            "crescent": (r < 0.95) & (np.hypot(u - 0.4, v) > 0.75),
            "checker": (box < 0.9) & ((np.floor(u * 2.2) + np.floor(v * 2.2)) % 2 == 0),
        }[kind]
        color = rng.random(3)
        behind = image[mask].mean(0) if mask.any() else np.zeros(3)
        if np.abs(color - behind).sum() < 0.5:
            color = 1 - behind
        image[mask] = color + rng.normal(0, 0.05, (int(mask.sum()), 3))
        out[k] = np.clip(image * 255, 0, 255).astype(np.uint8)
    return out


def dataset(per_class, seed):
    rng = np.random.default_rng(seed)
    images = np.concatenate([draw(kind, rng, per_class) for kind in CLASSES])
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    order = rng.permutation(len(labels))
    return images[order], labels[order].astype(np.int64)


def conv(cin, cout, k, stride=1, groups=1, act=True):
    layers = [nn.Conv2d(cin, cout, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(cout)]
    return nn.Sequential(*layers, *([nn.ReLU()] if act else []))


class Basic(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(conv(width, width, 3), conv(width, width, 3, act=False))

    def forward(self, x):
        return F.relu(x + self.body(x))


class Inverted(nn.Module):
    def __init__(self, cin, cout, hidden, stride):
        super().__init__()
        self.residual = stride == 1 and cin == cout
        self.body = nn.Sequential(
            conv(cin, hidden, 1), conv(hidden, hidden, 3, stride, hidden), conv(hidden, cout, 1, act=False))

    def forward(self, x):
        return x + self.body(x) if self.residual else self.body(x)


class ShapeNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.features = nn.Sequential(
            conv(3, 32, 3, 2), Basic(32), conv(32, 64, 3, 2), Basic(64), Basic(64),
            Inverted(64, 96, 192, 2), Inverted(96, 96, 288, 1), Inverted(96, 96, 288, 1),
            Inverted(96, 128, 288, 2), Inverted(128, 128, 384, 1), Inverted(128, 128, 384, 1),
            conv(128, 384, 1))
        self.head = nn.Linear(384, classes)

    def forward(self, image):
        return self.head(self.features(image).mean((2, 3)))


def batches(images, labels, size, device, shuffle):
    order = torch.randperm(len(labels)) if shuffle else torch.arange(len(labels))
    for part in order.split(size):
        x = images[part].to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        if shuffle and torch.rand(()) < 0.5:
            x = x.flip(3)
        yield x, labels[part].to(device)


def accuracy(net, images, labels, device):
    net.eval()
    with torch.no_grad():
        hits = sum((net(x).argmax(1) == y).sum().item() for x, y in batches(images, labels, 250, device, False))
    return hits / len(labels)


def main(folder, epochs):
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    train = [torch.from_numpy(a) for a in dataset(1200, 1)]
    held_back, held_back_labels = dataset(50, 2)
    test = [torch.from_numpy(held_back), torch.from_numpy(held_back_labels)]
    net = ShapeNet(len(CLASSES)).to(device)
    steps = epochs * math.ceil(len(train[1]) / 128)
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=steps)
    for epoch in range(epochs):
        net.train()
        for x, y in batches(*train, 128, device, True):
            loss = F.cross_entropy(net(x), y, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if epoch % 5 == 4 or epoch == epochs - 1:
            print(epoch + 1, f"loss {loss.item():.3f}", f"held back {accuracy(net, *test, device):.4f}", flush=True)
    top1 = accuracy(net, *test, device)
    net = net.cpu().eval()
    torch.onnx.export(
        net, torch.zeros(1, 3, SIDE, SIDE), str(folder / "shapes96.onnx"), input_names=["image"],
        output_names=["logits"], opset_version=17, dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}}, dynamo=False)
    np.savez_compressed(folder / "shapes96_eval.npz", images=held_back[:150], labels=held_back_labels[:150])
    facts = {
        "top1": top1, "images": len(held_back_labels), "classes": CLASSES,
        "parameters": sum(p.numel() for p in net.parameters()),
        "preprocessing": "image / 127.5 - 1, channels first", "epochs": epochs}
    (folder / "shapes96.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(facts)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 30)
