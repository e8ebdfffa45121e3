"""The ``snapprune`` command."""

import os
import sys

from . import _native
from ._runtime import library


def main() -> int:
    """Runs the command line; returns its exit status."""
    found = library()
    if found is not None:
        os.environ.setdefault("ORT_DYLIB_PATH", found)
    return _native.main(["snapprune", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
