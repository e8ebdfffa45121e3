"""Samples from Python as files that the jobs read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Union

import numpy

from .errors import UsageError

#: A file or folder; an array; arrays by input name; samples with labels; or batches or samples one by one, such as a data loader.
Samples = Union[str, "os.PathLike[str]", numpy.ndarray, Mapping[str, Any], Iterable[Any]]

#: A file or folder, or a text for each sample.
Labels = Union[str, "os.PathLike[str]", Sequence[str]]

#: Name, extents (0: open) and element type of an input.
Input = tuple[str, list[int], str]


def to_file(samples: Samples, inputs: list[Input], folder: Path, name: str, most: int = 0) -> str:
    """The file that holds ``samples``; at most ``most`` of them are taken from an iterable (0: all)."""
    if isinstance(samples, (str, os.PathLike)):
        return os.fspath(samples)
    if isinstance(samples, Mapping):
        arrays = {key: _array(value) for key, value in samples.items()}
    elif isinstance(samples, tuple) and len(samples) == 2 and _array_like(samples[0]):
        arrays = {**_named([_array(samples[0])], inputs), "labels": _array(samples[1]).astype(numpy.int64)}
    elif _array_like(samples):
        arrays = _named([_array(samples)], inputs)
    else:
        arrays = _collected(samples, inputs, most)
    path = folder / f"{name}.npz"
    numpy.savez(path, **arrays)  # type: ignore[arg-type]
    return str(path)


def labels_file(labels: Labels, folder: Path) -> str:
    """The file or folder that holds ``labels``."""
    if isinstance(labels, (str, os.PathLike)):
        return os.fspath(labels)
    texts = [text for text in labels if isinstance(text, str)]
    if len(texts) < len(labels) or any("\n" in text or "\r" in text for text in texts):
        raise UsageError("labels are a file or folder, or a text without line breaks for each sample; give classes as (samples, labels)")
    path = folder / "labels.txt"
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return str(path)


def _array_like(value: Any) -> bool:
    return isinstance(value, numpy.ndarray) or hasattr(value, "__array__") or hasattr(value, "detach")


def _array(value: Any) -> numpy.ndarray:
    """Of an array, a tensor of PyTorch on any device, or nested lists."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    array = numpy.asarray(value)
    return array.astype(numpy.float32) if array.dtype == numpy.float64 else array


def _named(arrays: list[numpy.ndarray], inputs: list[Input]) -> dict[str, numpy.ndarray]:
    """Arrays in the order of the inputs, by name; 8-bit ones for an input of floats are images that are still to be scaled."""
    raw = len(inputs) == 1 and inputs[0][2] == "uint8"
    if len(arrays) == 1 and arrays[0].dtype == numpy.uint8 and not raw:
        return {"images": arrays[0]}
    if len(arrays) != len(inputs):
        names = ", ".join(repr(name) for name, _, _ in inputs)
        raise UsageError(f"the model has the inputs {names}; give samples as a mapping from these names to arrays")
    return {name: array for (name, _, _), array in zip(inputs, arrays)}


def _collected(samples: Iterable[Any], inputs: list[Input], most: int) -> dict[str, numpy.ndarray]:
    """Samples or batches, one by one, until there are enough."""
    parts: dict[str, list[numpy.ndarray]] = {}
    count = 0
    for item in samples:
        for name, array in _parts(item, inputs).items():
            parts.setdefault(name, []).append(array)
        first = next(iter(parts.values()))
        count += len(first[-1])
        if most and count >= most:
            break
    if not parts:
        raise UsageError("the iterable gave no samples")
    return {name: numpy.concatenate(arrays) for name, arrays in parts.items()}


def _parts(item: Any, inputs: list[Input]) -> dict[str, numpy.ndarray]:
    """One item as arrays with samples along the first axis."""
    labels = None
    if isinstance(item, Mapping):
        arrays = {key: _array(value) for key, value in item.items()}
        labels = arrays.pop("labels", None)
    else:
        values = [_array(value) for value in item] if isinstance(item, (tuple, list)) else [_array(item)]
        if len(values) == len(inputs) + 1 and numpy.issubdtype(values[-1].dtype, numpy.integer):
            labels = values.pop()
        arrays = _named(values, inputs)
    ranks = {name: len(dims) for name, dims, _ in inputs}
    rank = ranks.get(next(iter(arrays), ""), len(inputs[0][1]) if inputs else 0)
    single = all(array.ndim == ranks.get(name, rank) - 1 for name, array in arrays.items())
    found = {name: array[None] if single else array for name, array in arrays.items()}
    if labels is not None:
        found["labels"] = labels.reshape(-1).astype(numpy.int64)
    return found
