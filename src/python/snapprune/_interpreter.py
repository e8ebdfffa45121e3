"""The interpreter that runs metrics which are given as files."""

import os
import sys


def named() -> None:
    """Names this one, whose packages are those beside this package, where no environment is active and none is named."""
    active = any(os.environ.get(name) for name in ("VIRTUAL_ENV", "CONDA_PREFIX"))
    if not active and os.path.isabs(sys.executable or ""):
        os.environ.setdefault("SNAPPRUNE_PYTHON", sys.executable)
