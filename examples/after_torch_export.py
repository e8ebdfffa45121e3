"""Exports a model of torchvision, makes it faster on this machine, and checks it against PyTorch.

    pip install torch torchvision onnx onnxscript 'snapprune[cpu]'
    python examples/after_torch_export.py shufflenet_v2_x1_0 --out exported
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy
import onnxruntime
import torch
import torchvision

import snapprune


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="shufflenet_v2_x1_0", help="a model of torchvision.models")
    parser.add_argument("--out", type=Path, default=Path("exported"), help="the folder to write to")
    parser.add_argument("--weights", default=None, help="such as DEFAULT, to download trained weights")
    parser.add_argument("--size", type=int, default=224, help="height and width of the input")
    parser.add_argument("--gpu", type=int, default=None, help="the GPU to deploy on (default: the CPU)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    exported, new = args.out / f"{args.name}.onnx", args.out / f"{args.name}.snap.onnx"

    module = torchvision.models.get_model(args.name, weights=args.weights).eval()
    image = torch.randn(1, 3, args.size, args.size, generator=torch.Generator().manual_seed(0))
    torch.onnx.export(module, (image,), exported, input_names=["image"], output_names=["classes"], dynamo=True)

    device = {"cpu": True, "threads": 1} if args.gpu is None else {"gpu": args.gpu}
    result = snapprune.optimize(exported, **device)
    result.save(new)
    if result.model is None:
        print(f"{exported} stays the best there is: {result.report.declined}")
        return

    with torch.no_grad():
        wanted = module(image).numpy()
    session = onnxruntime.InferenceSession(result.model, providers=["CPUExecutionProvider"])
    (got,) = session.run(["classes"], {"image": image.numpy()})
    numpy.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-3 * float(numpy.ptp(wanted)))
    print(f"{new} takes {result.report.ratio:.3f} of the time of {exported}, and computes what PyTorch does")


if __name__ == "__main__":
    main()
