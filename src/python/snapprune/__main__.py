"""The ``snapprune`` command."""

import sys

from . import _native
from ._interpreter import named
from ._work import callable_again


def main() -> int:
    """Runs the command line; returns its exit status."""
    callable_again()
    named()
    return _native.main(["snapprune", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
