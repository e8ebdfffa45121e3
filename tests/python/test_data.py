"""Samples in every form that Python has them in."""

import numpy
import pytest

from snapprune._data import to_file
from snapprune.errors import UsageError

IMAGE = [("image", [0, 3, 4, 4], "float")]
TWO = [("a", [0, 2], "float"), ("b", [0, 3], "float")]
FLOATS = numpy.arange(5 * 48, dtype=numpy.float32).reshape(5, 3, 4, 4)


def read(samples, inputs, folder, most=0):
    with numpy.load(to_file(samples, inputs, folder, "x", most)) as data:
        return dict(data)


def test_files_are_left_where_they_are(tmp_path):
    assert to_file("some/where.npz", IMAGE, tmp_path, "x") == "some/where.npz"


def test_arrays_take_the_name_of_the_input(tmp_path):
    found = read(FLOATS.astype(numpy.float64), IMAGE, tmp_path)
    assert list(found) == ["image"] and found["image"].dtype == numpy.float32
    numpy.testing.assert_array_equal(found["image"], FLOATS)


def test_8_bit_arrays_are_images(tmp_path):
    pixels = numpy.zeros((5, 4, 4, 3), numpy.uint8)
    assert list(read(pixels, IMAGE, tmp_path)) == ["images"]


def test_samples_come_with_labels(tmp_path):
    found = read((FLOATS, [0, 1, 2, 3, 4]), IMAGE, tmp_path)
    assert found["labels"].tolist() == [0, 1, 2, 3, 4] and len(found["image"]) == 5


def test_batches_of_a_loader_are_joined_until_there_are_enough(tmp_path):
    taken = []

    def loader():
        for k in range(100):
            taken.append(k)
            yield FLOATS[:2] + k, numpy.array([k, k], numpy.int32)

    found = read(loader(), IMAGE, tmp_path, most=5)
    assert len(taken) == 3 and found["image"].shape == (6, 3, 4, 4)
    assert found["labels"].tolist() == [0, 0, 1, 1, 2, 2] and found["image"][4, 0, 0, 0] == 2


def test_single_samples_are_joined_too(tmp_path):
    numpy.testing.assert_array_equal(read(iter(FLOATS), IMAGE, tmp_path)["image"], FLOATS)


def test_models_with_several_inputs_take_mappings_and_tuples(tmp_path):
    a, b = numpy.ones((4, 2), numpy.float32), numpy.zeros((4, 3), numpy.float32)
    assert set(read({"a": a, "b": b}, TWO, tmp_path)) == {"a", "b"}
    found = read([(a, b), (a, b)], TWO, tmp_path)
    assert found["a"].shape == (8, 2) and found["b"].shape == (8, 3)
    with pytest.raises(UsageError, match="'a', 'b'"):
        read(a, TWO, tmp_path)


class Tensor:
    """What a tensor of PyTorch looks like from outside."""

    def __init__(self, array):
        self.array = array

    def detach(self):
        return self

    def cpu(self):
        return self

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_tensors_of_pytorch_serve(tmp_path):
    numpy.testing.assert_array_equal(read(Tensor(FLOATS), IMAGE, tmp_path)["image"], FLOATS)
    found = read([(Tensor(FLOATS), Tensor(numpy.arange(5)))], IMAGE, tmp_path)
    assert found["labels"].tolist() == [0, 1, 2, 3, 4]
