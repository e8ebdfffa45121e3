"""The numbers that the library's unit tests rest on are those of pycocotools."""

import re
from pathlib import Path

import pytest
import task_numbers

ROOT = Path(__file__).parents[2]


def test_mean_average_precision_of_the_unit_tests_is_that_of_pycocotools() -> None:
    pytest.importorskip("pycocotools")
    text = (ROOT / "src/task/tests.rs").read_text()
    rows = re.findall(r"\((\d+), (\d+), (0\.\d{10}), (0\.\d{10})\)", text)
    assert len(rows) == 3
    for seed, images, at_50, mean in rows:
        there, found = task_numbers.scene(int(seed), int(images))
        assert task_numbers.coco_map(there, found, int(images)) == pytest.approx((float(at_50), float(mean)), abs=1e-9)
