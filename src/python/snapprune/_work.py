"""One job of a zoo, where it is done: what it reads is laid out in a folder, what it writes is picked up there."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import _native
from ._modules import imported
from ._runtime import library

#: The answer and the worker's log as texts, the times it knows as lines, and what it wrote by name.
Done = tuple[str, str, str, dict[str, bytes]]


#: What a worker process runs: with `-m`, Python would look for the package in the current folder first.
_AGAIN = "import sys; sys.path[:] = [p for p in sys.path if p]; from snapprune.__main__ import main; sys.exit(main())"


def is_address(path: str) -> bool:
    """Whether a path is the address of an object store."""
    return "://" in path


def callable_again() -> None:
    """Says how worker processes of this environment are started."""
    _native.called_as(sys.executable, ["-c", _AGAIN])
    found = library()
    if found is not None:
        os.environ.setdefault("ORT_DYLIB_PATH", found)


def contents(path: str) -> list[tuple[str, bytes]]:
    """A file with its bytes, or all files of a folder; nothing where there is neither. A metric comes with the modules beside it that it
    imports."""
    place = Path(path)
    if place.is_dir():
        files = sorted(p for p in place.rglob("*") if p.is_file())
    else:
        files = [place] if place.is_file() else []
        if files and place.suffix == ".py":
            files += imported(place)
    return [(os.path.abspath(p), p.read_bytes()) for p in files]


def do(
    processes: _native.Processes, slot: int, job: str, reads: Sequence[str], files: Sequence[tuple[str, bytes]], times: str, limit: float | None
) -> Done:
    """Does a job: ``reads`` are the paths and addresses that it reads, ``files`` the contents of those that are paths."""
    with tempfile.TemporaryDirectory(prefix="snapprune-") as folder:
        root = Path(folder)
        (kind, what), *_ = json.loads(job).items()
        for path, data in files:
            _put(_below(root, path), data)
        moved = {}
        for path in reads:
            if is_address(path):
                moved[path] = str(_fetched(root / "fetched" / str(len(moved)), path))
            else:
                moved[path] = str(_below(root, os.path.abspath(path)))
        flags = what["flags"]
        flags.pop("ort-lib", None)
        for name, values in flags.items():
            flags[name] = [_moved(name, v, moved) for v in values]
        if "gpu" in flags and os.environ.get("CUDA_VISIBLE_DEVICES"):
            # The one that this process was given.
            flags["gpu"] = ["0"]
        if "model" in what:
            what["model"] = moved.get(what["model"], what["model"])
        database = root / "latency.db"
        if "db" in flags:
            flags["db"] = [str(database)]
            _native.take_times(str(database), times)
        target = what.get("stem", "")
        out = root / "out"
        out.mkdir()
        if target:
            what["stem"] = str(out / os.path.basename(target))
        answer, said = processes.work(slot, json.dumps({kind: what}), limit)
        made = ""
        if "db" in flags:
            known = set(times.splitlines())
            new = (line for line in _native.times(str(database)).splitlines() if line not in known)
            made = "".join(f"{line}\n" for line in new)
        written = {p.name: p.read_bytes() for p in sorted(out.iterdir())}
        if is_address(target):
            for name, data in written.items():
                _send(f"{target.rsplit('/', 1)[0]}/{name}", data)
            written = {}
    # Where things lay here means nothing to those who read the answer.
    return answer.replace(folder, ""), said, made, written


def _moved(name: str, value: str, moved: dict[str, str]) -> str:
    """A flag's value with the place of its file here; a function of a file stands behind a colon."""
    file, colon, function = value.rpartition(":") if name == "metric" else (value, "", "")
    return moved.get(file, file) + colon + function


def _below(root: Path, path: str) -> Path:
    return root / "files" / path.lstrip("/")


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _fetched(folder: Path, address: str) -> Path:
    """A model from an object store with the weights beside it, or data."""
    fs, path = filesystem(address)
    name = path.rstrip("/").rsplit("/", 1)[-1]
    folder.mkdir(parents=True)
    if fs.isdir(path):
        fs.get(path, str(folder / name), recursive=True)
        return folder / name
    fs.get_file(path, str(folder / name))
    for beside in _native.beside(str(folder / name)):
        (folder / beside).parent.mkdir(parents=True, exist_ok=True)
        fs.get_file(f"{path.rsplit('/', 1)[0]}/{beside}", str(folder / beside))
    return folder / name


def _send(address: str, data: bytes) -> None:
    fs, path = filesystem(address)
    fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
    with fs.open(path, "wb") as file:
        file.write(data)


def filesystem(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path there."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ImportError(f"{address} is an address of an object store, which needs fsspec: pip install snapprune[ray]") from error
    return url_to_fs(address)
