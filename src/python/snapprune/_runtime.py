"""Where this environment's ONNX Runtime is."""

from __future__ import annotations

import os
import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path


def library() -> str | None:
    """ONNX Runtime's shared library in this environment, without importing the package; ``None`` if it is not installed."""
    origin = _package()
    if origin is None:
        return None
    folder = Path(origin).parent / "capi"
    names = ("libonnxruntime.so", "libonnxruntime.so.*", "libonnxruntime.*dylib", "onnxruntime.dll")
    found = [file for name in names for file in folder.glob(name) if file.is_file()]
    return str(max(found, key=_version)) if found else None


def _version(file: Path) -> tuple[list[int], str]:
    """The numbers in a file's name, which count as numbers: 1.9 comes before 1.31."""
    return [int(number) for number in re.findall("[0-9]+", file.name)], file.name


def _package() -> str | None:
    loaded = getattr(sys.modules.get("onnxruntime"), "__file__", None)
    if loaded is not None:
        return loaded
    # Python itself looks in the current folder first, where anybody's files may lie.
    spec = PathFinder.find_spec("onnxruntime", [p for p in sys.path if os.path.isabs(p) and not _is_here(p)])
    return spec.origin if spec is not None else None


def _is_here(path: str) -> bool:
    try:
        return os.path.samefile(path, os.curdir)
    except OSError:
        return False
