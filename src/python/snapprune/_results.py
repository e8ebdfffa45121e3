"""What the jobs give."""

from __future__ import annotations

import html as _html
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _native
from .errors import PlanError, UsageError

if TYPE_CHECKING:
    import onnx


def _proto(model: bytes | None) -> onnx.ModelProto | None:
    if model is None:
        return None
    import onnx

    return onnx.load_from_string(model)


def _framed(page: str) -> str:
    """A page within a notebook's page, so that neither changes how the other looks."""
    return (
        f'<iframe srcdoc="{_html.escape(page)}" style="width:100%;height:42rem;border:1px solid #8884;border-radius:6px"'
        ' title="report of snapprune"></iframe>'
    )


@dataclass(frozen=True)
class Latency:
    """Times of one model in milliseconds, of ``n`` interleaved runs."""

    median: float
    mad: float
    min: float
    p95: float
    n: int


@dataclass(frozen=True)
class Group:
    """Layers whose widths are one, and what became of them."""

    id: int
    layers: list[str]
    tensors: list[str]
    width_before: int
    width_after: int
    #: ``grow``, ``prune``, ``keep`` or ``constrained``
    action: str
    reason: str
    #: predicted milliseconds of the layers that it touches, ``before`` and ``after``
    layers_ms: dict[str, float] | None = None


@dataclass(frozen=True)
class Gate:
    """A residual block or a chain of convolutions of the dynamic variant, and its gate."""

    block: str
    #: ``tiles``, ``channels``, ``both``, or ``dense`` without a gate
    kind: str
    used: bool
    reason: str
    keep: float | None = None
    tile: tuple[int, int] | None = None
    break_even: float | None = None
    ms_dense: float | None = None
    ms_gated: float | None = None
    flops_share: float | None = None
    loss: float | None = None
    retained_energy: float | None = None
    attention: str | None = None


@dataclass(frozen=True)
class Step:
    """One width at which a layer was timed."""

    cout: int
    #: median and median absolute deviation, milliseconds
    ms: float
    mad: float
    #: whether any wider width is slower
    tail_free: bool
    waves: dict[str, Any] | None = None


@dataclass(frozen=True)
class LatencySteps:
    """Time against output width of layers with one problem."""

    layers: list[str]
    problem: dict[str, Any]
    #: input and output width in the new model
    after: tuple[int, int]
    #: share of the time of all layers (0 where that was not asked)
    share: float
    #: steps by input width (``None`` for a depthwise layer)
    curves: dict[int | None, list[Step]]

    @classmethod
    def _of(cls, data: dict[str, Any]) -> LatencySteps:
        curves = {c["cin"]: [Step(**s) for s in c["steps"]] for c in data["curves"]}
        return cls(data["layers"], data["problem"], tuple(data["after"]), data["share"], curves)


@dataclass(frozen=True)
class Report:
    """What was done, with every number. ``data`` is the whole report as in ``MODEL.snap.json``."""

    data: dict[str, Any] = field(repr=False)
    html: str = field(repr=False)

    @property
    def ratio(self) -> float | None:
        """Latency of the new model over that of the original, measured side by side; ``None`` where nothing was raced."""
        return self.data["ratio_static"]

    @property
    def ratio_noise(self) -> float | None:
        """Half the width of the 95 % interval of :attr:`ratio`."""
        return self.data["ratio_static_noise"]

    @property
    def ratio_dynamic(self) -> float | None:
        """Latency of the dynamic variant over that of the static model."""
        return self.data["ratio_dynamic"]

    @property
    def declined(self) -> str | None:
        """Why there is no new static model; ``None`` if there is one."""
        return self.data["declined"]

    @property
    def hint(self) -> str | None:
        """What helps where there is no new static model, in the words of the command line; ``None`` where nothing is known to."""
        return self.data.get("hint")

    @property
    def latency(self) -> dict[str, Latency]:
        """Times of the ``original``, ``static`` and ``dynamic`` models, as far as they were measured."""
        times = self.data["latency_ms"] or {}
        return {name: Latency(**t) for name, t in times.items()}

    @property
    def groups(self) -> list[Group]:
        """Every group of channels."""
        return [Group(**g) for g in self.data["groups"]]

    @property
    def branches_removed(self) -> list[str]:
        """Names of the additions whose residual branch is gone in the rewritten model."""
        return self.data["branches_removed"]

    @property
    def broadcasts_removed(self) -> list[str]:
        """Nodes that only wrote out a broadcast and are gone in the static model."""
        return self.data["broadcasts_removed"]

    @property
    def gates(self) -> list[Gate]:
        """Every block of the dynamic variant."""
        return [Gate(**{**g, "tile": g["tile"] and tuple(g["tile"])}) for g in self.data["gates"]]

    @property
    def latency_steps(self) -> list[LatencySteps]:
        """Time against width of the layers, those that take longest first."""
        return [LatencySteps._of(s) for s in self.data["latency_steps"]]

    @property
    def device(self) -> dict[str, Any]:
        """Name, software and facts of the device."""
        return self.data["device"]

    @property
    def top1(self) -> dict[str, float | None] | None:
        """Top-1 of the ``original``, ``static`` and ``dynamic`` models on the evaluation samples, 0 to 1."""
        return (self.data["verify"] or {}).get("top1")

    @property
    def metric(self) -> dict[str, Any] | None:
        """Name and numbers of the metric that was given: of the ``original`` and of the ``static`` model."""
        return self.data.get("metric")

    @property
    def metrics(self) -> dict[str, dict[str, float | None]] | None:
        """The task's own numbers (``mAP50``, ``mIoU``, ...) on the evaluation samples: ``agreement`` takes the original's answers as right,
        ``original`` and ``static`` are by labels; ``None`` for classifiers.
        """
        return (self.data["verify"] or {}).get("metrics")

    def __repr__(self) -> str:
        moved = sum(g["width_before"] != g["width_after"] for g in self.data["groups"])
        return f"Report(ratio={self.ratio}, ratio_dynamic={self.ratio_dynamic}, moved={moved}, declined={self.declined!r})"

    def _repr_html_(self) -> str:
        return _framed(self.html)


@dataclass(frozen=True)
class Result:
    """The new models, where they are faster, and the report."""

    #: the static model, an ONNX file's bytes; ``None`` if none is faster (the report says why)
    model: bytes | None = field(repr=False)
    #: the dynamic variant
    dynamic: bytes | None = field(repr=False)
    report: Report
    _original: bytes | None = field(default=None, repr=False)

    @property
    def faster(self) -> bool:
        """Whether there is a new model, static or dynamic."""
        return self.model is not None or self.dynamic is not None

    @property
    def proto(self) -> onnx.ModelProto | None:
        """The static model as a message of the ``onnx`` package."""
        return _proto(self.model)

    @property
    def dynamic_proto(self) -> onnx.ModelProto | None:
        """The dynamic variant as a message of the ``onnx`` package."""
        return _proto(self.dynamic)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        save_as_external_data: bool = False,
        external_data_threshold: int = 1024,
    ) -> list[Path]:
        """Writes the models there are and the reports: ``X.onnx``, ``X.dynamic.onnx``, ``X.json``, ``X.html``.

        With ``save_as_external_data``, and for models of more than 1.9 GB, weights of at least ``external_data_threshold``
        bytes go into a file beside the model.

        Returns the files. Where nothing is faster only the reports are written.
        """
        path = Path(path)
        files: list[Path] = []
        for place, model in [(path, self.model), (path.with_suffix(".dynamic.onnx"), self.dynamic)]:
            if model is not None:
                files += _native.save(place, model, save_as_external_data, external_data_threshold)
        text = json.dumps(self.report.data, indent=2) + "\n"
        reports = [(path.with_suffix(".json"), text), (path.with_suffix(".html"), self.report.html)]
        for file, content in reports:
            _write(file, content.encode())
        return files + [file for file, _ in reports]

    def _repr_html_(self) -> str:
        return self.report._repr_html_()


@dataclass(frozen=True)
class Plan:
    """Which channels stay: ``groups`` may be edited, ``weights`` follow from them."""

    data: dict[str, Any] = field(repr=False)

    @property
    def groups(self) -> list[dict[str, Any]]:
        """Groups that change: ``group``, ``layers``, ``width_before``, ``width_after``, ``kept``."""
        return self.data["groups"]

    @property
    def broadcasts(self) -> list[str]:
        """Nodes that go because they only write out a broadcast; modules that are cut by the plan need no change for them."""
        return self.data.get("broadcasts", [])

    @property
    def branches(self) -> list[str]:
        """Additions whose residual branch goes: what it was added to is handed on as it is."""
        return self.data.get("branches", [])

    @property
    def weights(self) -> dict[str, dict[str, list[int]]]:
        """For every weight that changes, by name and axis: the old index at each new place, -1 for a new one."""
        if self.branches:
            raise PlanError(
                "the plan takes residual branches out as a whole, so that what stays is no selection of the original's weights alone: take the "
                'written ONNX model, leave out the modules behind `branches` by hand, or plan with allow="widths"'
            )
        if self.reparametrized:
            raise PlanError(
                "the plan rotates trunks or makes two layers of one, so that what stays is no selection of the original's weights: take "
                'the written ONNX model, or plan with allow="widths"'
            )
        return self.data["weights"]

    @property
    def reparametrized(self) -> dict[str, Any]:
        """What is done before channels go: ``rotated`` trunks and ``pairs`` of layers that were one; empty for most plans."""
        return self.data.get("reparametrized", {})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it as JSON, for ``snapprune apply``."""
        _write(Path(path), (json.dumps(self.data, indent=2) + "\n").encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Plan:
        """Reads what :meth:`save` or ``snapprune plan`` wrote."""
        text = Path(path).read_text()
        try:
            data = json.loads(text)
        except ValueError as error:
            raise UsageError(f"{os.fspath(path)} is not a plan: {error}") from error
        return cls(data)

    def __repr__(self) -> str:
        moves = ", ".join(f"{g['layers'][0]}: {g['width_before']} -> {g['width_after']}" for g in self.groups[:4])
        more = ", ..." if len(self.groups) > 4 else ""
        gone = f", without {len(self.broadcasts)} broadcasts" if self.broadcasts else ""
        branches = f", without {len(self.branches)} branches" if self.branches else ""
        return f"Plan({len(self.groups)} groups: {moves}{more}{gone}{branches})"


@dataclass(frozen=True)
class Applied:
    """A model made by a plan."""

    model: bytes = field(repr=False)
    #: how its outputs agree with the original's on random inputs
    outputs: dict[str, Any]
    #: accuracy of both on the evaluation samples
    task: dict[str, Any] | None
    #: name and numbers of the metric that was given: of the ``original`` and of the new model (``static``)
    metric: dict[str, Any] | None
    #: removed channels that carried something
    carrying_channels_removed: int

    @property
    def proto(self) -> onnx.ModelProto | None:
        """The model as a message of the ``onnx`` package."""
        return _proto(self.model)


@dataclass(frozen=True)
class Profile:
    """A model's nodes and the latency steps of its layers on a device. ``text`` is the file that ``--profile`` takes."""

    latency_steps: list[LatencySteps]
    text: str = field(repr=False)
    html: str = field(repr=False)
    #: the nodes of the model as they run, the longest first: time, work, what binds them; None where single nodes are not timed
    nodes: list[dict[str, Any]] | None = field(default=None, repr=False)
    #: what the device does at most
    limits: dict[str, Any] | None = field(default=None, repr=False)
    #: the times of a run, of its nodes, and of these at the limits of the device, in milliseconds
    totals: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def device(self) -> dict[str, Any]:
        """Name, software and facts of the device."""
        return json.loads(self.text)["device"]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it, for ``optimize(profile=...)`` and ``--profile``."""
        _write(Path(path), self.text.encode())

    def __repr__(self) -> str:
        return f"Profile({len(self.latency_steps)} layers on {self.device['name']})"

    def _repr_html_(self) -> str:
        return _framed(self.html)


def _write(path: Path, content: bytes) -> None:
    """Under another name first, so that nobody sees half a file."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
