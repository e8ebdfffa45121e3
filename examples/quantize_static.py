"""Quantizes a float model with ONNX Runtime: QuantizeLinear and DequantizeLinear around its operators, int8 weights with a scale for each
channel, activations by the least and the greatest value of the samples.

    python examples/quantize_static.py model.onnx model.int8.onnx --calib samples.npz

Samples are what `snapprune --calib` takes: arrays named after the model's inputs, or `images` of 8 bits with the channels last, which
`--mean` and `--std` scale to (x/255 - mean)/std. The first so many are used. Needs onnx and onnxruntime.
"""

import argparse
import pathlib
import tempfile

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

BATCH = 32


def inputs_of(model):
    """The inputs that no weight is the default of."""
    stored = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in stored]


def batches_of(model, count):
    """The runs of the model that `count` samples make, as slices: what its batch does not divide is left out where that is fixed."""
    fixed = inputs_of(model)[0].type.tensor_type.shape.dim[0].dim_value
    if count < fixed:
        raise SystemExit(f"the model takes {fixed} samples at a time, and there are {count}")
    batch = fixed or BATCH
    return [slice(k, k + batch) for k in range(0, count - count % fixed if fixed else count, batch)]


def samples_of(model, file, count, mean, std):
    """Up to `count` samples by input name, as the model takes them."""
    names = [value.name for value in inputs_of(model)]
    with np.load(file) as data:
        if all(name in data for name in names):
            return {name: data[name][:count] for name in names}
        images = data["images"][:count]
    scaled = (images / 255.0 - np.array(mean)) / np.array(std)
    return {names[0]: scaled.transpose(0, 3, 1, 2).astype(np.float32)}


class Samples(CalibrationDataReader):
    """Samples, a batch at a time."""

    def __init__(self, samples, batches):
        self.batches = iter([{name: values[batch] for name, values in samples.items()} for batch in batches])

    def get_next(self):
        return next(self.batches, None)


def numbers(text):
    return [float(number) for number in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--calib", required=True, type=pathlib.Path, help="an .npz file with samples")
    parser.add_argument("--samples", type=int, default=512, help="how many of them (512)")
    parser.add_argument("--mean", type=numbers, default=[0.0], help="of each channel, with commas")
    parser.add_argument("--std", type=numbers, default=[1.0], help="of each channel, with commas")
    parser.add_argument("--activations", choices=["int8", "uint8"], default="int8", help="their type (int8)")
    args = parser.parse_args()
    model = onnx.load(args.model)
    samples = samples_of(model, args.calib, args.samples, args.mean, args.std)
    with tempfile.TemporaryDirectory() as folder:
        # Normalizations that are nodes of their own go into the convolutions in front of them.
        folded = pathlib.Path(folder) / "folded.onnx"
        quant_pre_process(str(args.model), str(folded), skip_symbolic_shape=True)
        quantize_static(
            str(folded),
            str(args.output),
            Samples(samples, batches_of(model, min(map(len, samples.values())))),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type={"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}[args.activations],
            calibrate_method=CalibrationMethod.MinMax,
        )


if __name__ == "__main__":
    main()
