"""``python -m snapprune.zoo``: the command ``snapprune zoo``, also on a Ray cluster and with models in object stores.

>>> python -m snapprune.zoo s3://bucket/models --out s3://bucket/snapped --ray auto --batch 8

``--ray ADDRESS`` names the cluster (``auto``: the one of this machine); all other flags are those of ``snapprune zoo``.
"""

from __future__ import annotations

import argparse
import sys

from . import errors
from ._engines import Ray
from ._progress import shown
from ._zoo import run


def main(words: list[str]) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m snapprune.zoo",
        description="snapprune zoo on a Ray cluster, or with models in object stores. Other flags are those of `snapprune zoo`.",
        allow_abbrev=False,
    )
    parser.add_argument("--out", "-o", required=True, metavar="DIR|ADDRESS", help="the folder or address for all that is written")
    parser.add_argument("--ray", metavar="ADDRESS", help="do the jobs on this Ray cluster; auto: that of this machine")
    parser.add_argument("--retries", type=int, default=3, help="how often a lost task is begun again (3)")
    known, rest = parser.parse_known_args(words)
    engine = None
    if known.ray is not None:
        given = {w.split("=")[0] for w in rest}
        asked = True if "--gpu" in given else False if given & {"--cpu", "--ep", "--ep-library"} else None
        engine = Ray(known.ray, asked, retries=known.retries)
    # Addresses are looked up here; all the rest is for the command itself, which knows which words are values.
    places = [w for w in rest if "://" in w and not w.startswith("--")]
    words = [w for w in rest if w not in places]
    try:
        with shown(True) as progress:
            zoo = run(places, known.out, words, engine, progress, print)
    except errors.Error as error:
        print(f"snapprune: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(zoo)
    return zoo.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
