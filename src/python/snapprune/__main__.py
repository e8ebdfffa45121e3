"""The ``snapprune`` command."""

import os
import sys

from . import _native
from ._work import callable_again


def main() -> int:
    """Runs the command line; returns its exit status."""
    callable_again()
    if not any(os.environ.get(name) for name in ("VIRTUAL_ENV", "CONDA_PREFIX")):
        # Metrics find the packages of this environment.
        os.environ.setdefault("SNAPPRUNE_PYTHON", sys.executable)
    return _native.main(["snapprune", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
