"""Where this environment's ONNX Runtime is."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def library() -> str | None:
    """ONNX Runtime's shared library in this environment, without importing the package; ``None`` if it is not installed."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "capi"
    found = sorted(folder.glob("libonnxruntime.so*")) + sorted(folder.glob("libonnxruntime.*dylib"))
    found += sorted(folder.glob("onnxruntime.dll"))
    return str(found[-1]) if found else None
