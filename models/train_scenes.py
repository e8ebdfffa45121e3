#!/usr/bin/env python3
"""Train Scenes-96, a residual network that looks for one small shape in a cluttered image.

usage: train_scenes.py OUT_DIR [EPOCHS=20]

Most of an image is of no use to this task, so the network shows what an attention-gated variant can leave out. It is
trained as any classifier is, without a thought of gates. Writes scenes96.onnx (BatchNorm folded by the exporter) and
scenes96.json. Needs torch, onnx and numpy; everything is seeded. Images are drawn by scenes.py.
"""
import json
import math
import pathlib
import sys

import torch
from scenes import CLASSES, SIDE, scenes
from torch import nn
from torch.nn import functional as F
from train_shapes import accuracy


def conv(cin, cout, kernel, stride=1):
    return nn.Sequential(nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(cout))


class Basic(nn.Module):
    """relu(shortcut(x) + conv(relu(conv(x))))."""

    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.first, self.second = conv(cin, cout, 3, stride), conv(cout, cout, 3)
        self.shortcut = nn.Identity() if stride == 1 and cin == cout else conv(cin, cout, 1, stride)

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.second(F.relu(self.first(x))))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv(3, 64, 3, 2), nn.ReLU())
        self.blocks = nn.Sequential(
            Basic(64, 64), Basic(64, 64), Basic(64, 128, 2), Basic(128, 128), Basic(128, 128), Basic(128, 128, 2))
        self.head = nn.Linear(128, len(CLASSES))

    def forward(self, image):
        return self.head(self.blocks(self.stem(image)).mean((2, 3)))


def batches(images, labels, size, device, shuffle):
    order = torch.randperm(len(labels)) if shuffle else torch.arange(len(labels))
    for part in order.split(size):
        x = images[part].to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        if shuffle:
            x = x.flip(3) if torch.rand(()) < 0.5 else x
            x = x.transpose(2, 3) if torch.rand(()) < 0.5 else x
        yield x, labels[part].to(device)


def main(folder, epochs):
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    train = [torch.from_numpy(a) for a in scenes(24000, 1)]
    held_back = [torch.from_numpy(a) for a in scenes(2000, 2)]
    net = Net().to(device)
    steps = epochs * math.ceil(len(train[1]) / 128)
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=steps)
    for epoch in range(epochs):
        net.train()
        for x, y in batches(*train, 128, device, True):
            loss = F.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if epoch % 4 == 3 or epoch == epochs - 1:
            print(epoch + 1, f"loss {loss.item():.3f}", f"held back {accuracy(net, *held_back, device):.4f}", flush=True)
    top1 = accuracy(net, *held_back, device)
    net = net.cpu().eval()
    torch.onnx.export(
        net, torch.zeros(1, 3, SIDE, SIDE), str(folder / "scenes96.onnx"), input_names=["image"],
        output_names=["logits"], opset_version=17, dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}}, dynamo=False)
    facts = {
        "top1": top1, "images": len(held_back[1]), "classes": CLASSES,
        "parameters": sum(p.numel() for p in net.parameters()),
        "preprocessing": "image / 127.5 - 1, channels first", "epochs": epochs}
    (folder / "scenes96.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(facts)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20)
