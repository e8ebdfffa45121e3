"""Models and samples for the tests of the installed package."""

import json
import os
from pathlib import Path

import numpy
import pytest

import snapprune

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def models() -> Path:
    """The small models of this project."""
    return ROOT / "models"


@pytest.fixture(scope="session")
def db(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A latency database of the tests' own, which they share."""
    return str(tmp_path_factory.mktemp("db") / "latency.db")


@pytest.fixture(scope="session")
def recorded(models: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A profile of a device with latency steps of 16 channels, which times nothing: the same comes out every time."""
    folder = tmp_path_factory.mktemp("recorded")
    snapprune.zoo(models / "shapes96_misaligned.onnx", folder, phase="collect", progress=False)
    problems = json.loads((folder / "problems/shapes96_misaligned.json").read_text())["collected"]["needs"]["problems"]

    def samples(p: dict) -> list[float]:
        off = 1.0 if p["cin"] % 16 == 0 and p["cout"] % 16 == 0 else 2.0
        return [off * -(-p["cin"] // 16) * -(-p["cout"] // 16)] * 5

    device = {"kind": "cuda", "name": "A GPU elsewhere", "fingerprint": "0123456789abcdef", "stack": "made up", "facts": {}}
    records = [{"problem": p, "samples": samples(p), "facts": {}} for p in problems]
    file = folder / "profile.json"
    file.write_text(json.dumps({"schema_version": 1, "device": device, "records": records}))
    return str(file)


@pytest.fixture(scope="session")
def images(models: Path) -> tuple[numpy.ndarray, numpy.ndarray]:
    """8-bit images and their classes."""
    with numpy.load(models / "shapes96_eval.npz") as data:
        return data["images"], data["labels"]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The real models and data beside the project; they must be there in CI."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        assert "CI" not in os.environ, "../shared is missing in CI"
        pytest.skip("the real models of ../shared are not here")
    return folder
