"""Models and samples for the tests of the installed package."""

import os
from pathlib import Path

import numpy
import pytest

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
