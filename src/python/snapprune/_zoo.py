"""Zoos of models."""

from __future__ import annotations

import hashlib
import html
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Union

from . import _native
from ._engines import Engine, Here, Ray
from ._progress import Progress, shown
from ._work import callable_again, filesystem, is_address

Place = Union[str, "os.PathLike[str]"]

#: What a run leaves in the output folder besides models and the report.
_STATE = ("journal", "problems", "counts", "spared", "times")
_REPORT = ("zoo.json", "zoo.csv", "zoo.html")


class Zoo:
    """What came of a zoo."""

    def __init__(self, code: int, report: dict[str, Any], skipped: int, out: str) -> None:
        #: The exit status, as the command line gives it: 0 when every model was made faster, 1 when some stay as they are.
        self.code = code
        #: The report, as in ``zoo.json``.
        self.report = report
        #: How many models were finished by earlier runs.
        self.skipped = skipped
        #: The output folder or address.
        self.out = out

    @property
    def models(self) -> list[dict[str, Any]]:
        """One entry for every model, in the order of their names."""
        return self.report["models"]

    def __repr__(self) -> str:
        totals = self.report["totals"]
        shown = ", ".join(f"{totals[k]} {k}" for k in ("written", "planned", "declined", "failed", "pending") if totals.get(k))
        return f"<Zoo of {totals['models']} models: {shown or 'nothing done'}; {self.out}>"

    def _repr_html_(self) -> str:
        rows = []
        for m in self.models:
            ratio = (m.get("numbers") or {}).get("ratio")
            what = f"{ratio[0]:.3f}" if ratio else html.escape(m.get("reason") or "")
            rows.append(f"<tr><td>{html.escape(m['name'])}</td><td>{m['state']}</td><td>{what}</td></tr>")
        return f"<table><tr><th>model</th><th></th><th>ratio</th></tr>{''.join(rows)}</table>"


def zoo(
    models: Place | Iterable[Place],
    out: Place,
    *,
    engine: str | Engine = "local",
    address: str | None = None,
    resources: Mapping[str, float] | None = None,
    retries: int = 3,
    runtime_env: Mapping[str, Any] | None = None,
    progress: bool | Progress = True,
    **flags: Any,
) -> Zoo:
    """Optimizes many models, each in a process of its own; a second call goes on from where the first one ended.

    Args:
        models: folders, patterns, ``.jsonl`` manifests or models; also addresses that fsspec knows (``s3://bucket/models``).
        out: the folder, or address, for all that is written.
        engine: ``"local"``, or ``"ray"`` for a Ray cluster, whose nodes have one kind of device.
        address: the cluster's address (default: Ray's own choice, a new local one if there is none).
        resources: further Ray resources that every task needs, such as ``{"accelerator_type:H100": 0.001}``.
        retries: how often Ray begins a task again whose node or process was lost.
        runtime_env: Ray's runtime environment.
        progress: a bar, a function ``(step or None, done, total)``, or ``False``.
        flags: those of ``snapprune zoo`` and of the main job by name, such as ``batch=8``, ``timeout="30m"``, ``plan_only=True``;
            a list for one that may be given several times.

    Raises:
        snapprune.Error: one of :mod:`snapprune.errors`; not for what goes wrong with a model, which the report tells.
    """
    places = [models] if isinstance(models, (str, os.PathLike)) else list(models)
    words = [w for name, value in flags.items() for w in _words(name, value)]
    with shown(progress) as tell:
        return run([os.fspath(p) for p in places], os.fspath(out), words, _engine(engine, address, resources, retries, runtime_env, flags), tell)


def run(places: list[str], out: str, words: list[str], engine: Engine | None, progress: Progress | None, told: Any = None) -> Zoo:
    """The zoo with flags as words."""
    callable_again()
    remote = [p for p in places if is_address(p)]
    if engine is None and (remote or is_address(out)):
        engine = Here(os.cpu_count() or 1)
    # With a recorded profile and no device, plans are for the device of the profile.
    if isinstance(engine, Ray) and not any(w.split("=")[0] in ("--cpu", "--gpu", "--profile", "--ep", "--ep-library") for w in words):
        words = [*words, "--gpu=0" if engine.gpu else "--cpu"]
    with tempfile.TemporaryDirectory(prefix="snapprune-") as folder:
        places = [p for p in places if p not in remote]
        if remote:
            manifest = Path(folder) / "addresses.jsonl"
            manifest.write_text("".join(f"{json.dumps(row)}\n" for place in remote for row in _rows(place)))
            places.append(str(manifest))
        store = _Store(out) if is_address(out) else None
        local = store.folder if store else out
        if store and engine is not None:
            engine.told = store.noted
        arguments = [*places, f"--out={local}", *words]
        code, text, skipped = _native.zoo(arguments, engine, store.address if store else None, told, progress)
        if store:
            store.finish()
    return Zoo(code, json.loads(text), skipped, out)


def _engine(engine: Any, address: Any, resources: Any, retries: int, runtime_env: Any, flags: Mapping[str, Any]) -> Engine | None:
    if engine == "ray":
        plugin = flags.get("ep") or flags.get("ep_library")
        on_gpu = flags.get("gpu") is not None or (plugin and str(flags.get("ep_device")).upper().startswith("GPU"))
        asked = True if on_gpu else False if flags.get("cpu") or plugin else None
        return Ray(address, asked, resources, retries, runtime_env)
    if engine == "local":
        return None
    if isinstance(engine, Engine):
        return engine
    raise ValueError(f"the engine is 'local' or 'ray', not {engine!r}")


def _words(name: str, value: Any) -> list[str]:
    flag = "--" + name.replace("_", "-")
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    if isinstance(value, (list, tuple)):
        return [f"{flag}={v}" for v in value]
    return [f"{flag}={os.fspath(value) if isinstance(value, os.PathLike) else value}"]


def _rows(place: str) -> Sequence[dict[str, str]]:
    """A manifest's rows for the models at an address: a folder, a pattern or a model."""
    fs, path = filesystem(place)
    path = path.rstrip("/")
    if any(c in path for c in "*?["):
        found = fs.glob(path)
        root = path[: min(path.index(c) for c in "*?[" if c in path)].rpartition("/")[0]
    elif fs.isdir(path):
        found, root = fs.find(path), path
    else:
        found, root = [path], path.rpartition("/")[0]
    found = sorted(p for p in found if p.lower().endswith(".onnx") and not p.endswith((".snap.onnx", ".snap.dynamic.onnx")))
    rows = []
    for p in found:
        name = p[len(root) :].lstrip("/")[: -len(".onnx")]
        rows.append({"model": fs.unstrip_protocol(p), "name": name, "token": str(fs.ukey(p))})
    return rows


class _Store:
    """An output folder that is an address: its state is kept in a local folder and sent along."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self.fs, self.path = filesystem(self.address)
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        key = hashlib.sha256(self.address.encode()).hexdigest()[:16]
        self.folder = os.path.join(cache, "snapprune", "zoos", key)
        os.makedirs(self.folder, exist_ok=True)
        for part in _STATE:
            there = f"{self.path}/{part}"
            if self.fs.isdir(there):
                for file in self.fs.find(there):
                    own = os.path.join(self.folder, part, file[len(there) :].lstrip("/"))
                    os.makedirs(os.path.dirname(own), exist_ok=True)
                    self.fs.get_file(file, own)

    def noted(self, name: str) -> None:
        self._send(f"journal/{name}.json")

    def finish(self) -> None:
        for name in _REPORT:
            if os.path.exists(os.path.join(self.folder, name)):
                self._send(name)
        for part in _STATE:
            for folder, _, files in os.walk(os.path.join(self.folder, part)):
                for file in files:
                    self._send(os.path.relpath(os.path.join(folder, file), self.folder))

    def _send(self, name: str) -> None:
        there = f"{self.path}/{name}"
        self.fs.makedirs(there.rpartition("/")[0], exist_ok=True)
        self.fs.put_file(os.path.join(self.folder, name), there)
