"""Frames through the files that ``snapprune MODEL --video`` writes."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy

from ._video_choice import DENSE, PLAIN, Chooser, FrameTiles
from .errors import ModelError, UsageError

if TYPE_CHECKING:
    import onnxruntime

#: An array as the model's input takes it, or arrays by the names of inputs where there are several.
Frame = Union[numpy.ndarray, Mapping[str, numpy.ndarray]]

_PROPERTY = "snapprune.video"
_VERSION = 2


@dataclass(frozen=True)
class Played:
    """What was done with a frame."""

    #: Share of its tiles that changed; 1 where there was nothing to compare it with.
    changed: float
    #: What its last run was: ``"plain"``, ``"dense"`` or ``"tiles"``.
    role: str
    #: Share of the tiles that its runs computed, together.
    computed: float
    #: Runs.
    runs: int
    #: Tiles of each stage that changed and were left for the next frame.
    left: tuple[int, ...]
    #: Time from its inputs to its outputs, in milliseconds.
    ms: float


class Video:
    """One stream of frames through the files of a video.

    >>> video = snapprune.Video("model.snap.video-dense.onnx", providers=["CPUExecutionProvider"])
    >>> for outputs in video(frames):
    ...     boxes = outputs["boxes"]

    ``path`` is the folder that holds the files, one of them, or the model beside them; ``original`` is the model that they were made of, which runs
    while everything changes (without it, the one that lies beside them under its name, if any). ``providers``, ``provider_options`` and
    ``session_options`` are those of ``onnxruntime.InferenceSession``. States stay where the first provider keeps its tensors. What was done is in
    ``log``, the last ``log_frames`` frames of it. Calls from several threads wait for each other; frames are taken in the order of the calls. For several
    cameras, :meth:`another` gives a stream of its own over the same sessions.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        original: str | os.PathLike[str] | None = None,
        providers: Sequence[Any] | None = None,
        provider_options: Sequence[Mapping[str, Any]] | None = None,
        session_options: onnxruntime.SessionOptions | None = None,
        log_frames: int = 10_000,
    ) -> None:
        import onnxruntime

        def opened(file: Path) -> onnxruntime.InferenceSession:
            return onnxruntime.InferenceSession(
                str(file),
                session_options,
                providers=providers if providers is not None else ["CPUExecutionProvider"],
                provider_options=provider_options,
            )

        files = _Files(Path(path), original)
        dense = _File(opened(files.dense), files.dense, "dense")
        tiles = [_File(opened(file), file, "tiles") for file in files.tiles]
        tiles.sort(key=lambda file: file.manifest["share"])
        for file in tiles:
            if any(file.manifest.get(key) != dense.manifest.get(key) for key in ("set", "states", "frame")):
                raise ModelError(f"{file.path} was not made together with {files.dense}")
        self._files = (_File(opened(files.plain), files.plain, None) if files.plain else None, dense, tiles)
        self._start(log_frames)

    def _start(self, log_frames: int) -> None:
        plain, dense, tiles = self._files
        #: What the files say of themselves.
        self.manifest: dict[str, Any] = dense.manifest
        #: What was done with the last frames.
        self.log: deque[Played] = deque(maxlen=log_frames)
        self._lock = threading.Lock()
        self._states = [_State(state, dense.place) for state in self.manifest["states"]]
        self._grid = FrameTiles(self.manifest["frame"], self.manifest["frame_threshold"])
        steps = [[stage["computed"] for stage in file.manifest["stages"]] for file in tiles]
        shares = [file.manifest["share"] for file in tiles]
        counts = [stage["tiles"] for stage in self.manifest["stages"]]
        limit, exact = self.manifest["limit"], self.manifest["threshold"] == 0
        ratios = [file.manifest.get("ratio", 0.0) for file in (dense, *tiles)]
        self._chooser = Chooser(counts, list(zip(shares, steps)), limit, plain is not None, exact, ratios)
        self._some: numpy.ndarray | None = None
        #: What everything was computed from, how the frame differs from it, and runs on tiles since all was computed: whose turn it is.
        self._reference: numpy.ndarray | None = None
        self._cells: numpy.ndarray | None = None
        self._turn = 0

    def another(self) -> Video:
        """A stream of its own over the same sessions, for another camera."""
        video = object.__new__(type(self))
        video._files = self._files
        video._start(self.log.maxlen or 0)
        return video

    def reset(self) -> None:
        """Forgets all frames: the next one is computed whole."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._chooser.reset()
        self._some = self._reference = None

    def __call__(self, frames: Iterable[Frame]) -> Iterator[dict[str, numpy.ndarray]]:
        """The outputs of each frame by name, as frames come."""
        for frame in frames:
            yield self.frame(frame)

    def frame(self, frame: Frame) -> dict[str, numpy.ndarray]:
        """The outputs of the next frame by name. After an error the next one is computed whole."""
        with self._lock:
            try:
                return self._play(frame)
            except BaseException:
                self._forget()
                raise

    def _play(self, frame: Frame) -> dict[str, numpy.ndarray]:
        start = time.perf_counter()
        inputs = dict(frame) if isinstance(frame, Mapping) else {self.manifest["frame"]["input"]: frame}
        inputs = {name: numpy.ascontiguousarray(values) for name, values in inputs.items()}
        own = inputs.get(self.manifest["frame"]["input"])
        shape = self.manifest["frame"]["shape"]
        if own is None or list(own.shape) != shape:
            raise UsageError(f"a frame is '{self.manifest['frame']['input']}' of the shape {shape}")
        changed = self._changed(own)
        choice = self._chooser.choose(changed, self._grid.count)
        outputs, left = self._run(choice, inputs)
        computed, done, runs = self._share(choice), self._chooser.cost(choice), 1
        self._chooser.left(choice, left, changed)
        while self.manifest["threshold"] == 0 and self._chooser.is_behind:
            choice = self._chooser.again(done)
            outputs, left = self._run(choice, inputs)
            self._chooser.left(choice, left, changed)
            computed += self._share(choice)
            done += self._chooser.cost(choice)
            runs += 1
        self._keep(own)
        role = choice if isinstance(choice, str) else "tiles"
        ms = (time.perf_counter() - start) * 1e3
        self.log.append(Played(changed / max(self._grid.count, 1), role, computed, runs, tuple(left), ms))
        return outputs

    def _changed(self, frame: numpy.ndarray) -> int:
        """Tiles that changed since they were computed, or since the frame before."""
        if self._chooser.has_states and self._reference is not None:
            self._cells = self._grid.differences(frame, self._reference)
            return self._grid.changed(self._cells)
        return self._grid.count if self._some is None else self._grid.changed_of_some(frame, self._some)

    def _keep(self, frame: numpy.ndarray) -> None:
        """Keeps of a frame what the next one is compared with where there are no states: a camera may write into the same array again."""
        if not self._chooser.has_states:
            self._some = _copied(self._grid.some(frame), self._some)

    def _taken(self, inputs: dict[str, numpy.ndarray]) -> dict[str, numpy.ndarray]:
        """The inputs of a file that computes tiles; the same frame again changes nothing."""
        said = self.manifest["frame"]
        if self._reference is None or self._cells is None:
            raise ModelError("tiles are computed behind a whole frame")
        cells = self._grid.take(inputs[said["input"]], self._reference, self._cells, self._turn)
        self._cells = numpy.zeros_like(cells)
        self._turn += 1
        return {**inputs, said["input"]: self._reference, said["change"]: cells[None, None]}

    def _share(self, choice: int | str) -> float:
        return 1.0 if isinstance(choice, str) else self._files[2][choice].manifest["share"]

    def _run(self, choice: int | str, inputs: dict[str, numpy.ndarray]) -> tuple[dict[str, numpy.ndarray], list[int]]:
        plain, dense, tiles = self._files
        if choice == PLAIN:
            return (plain or dense).run(inputs, []), []
        if choice == DENSE:
            file = dense
            self._reference = _copied(inputs[self.manifest["frame"]["input"]], self._reference)
            self._turn = 0
        else:
            file = tiles[int(choice)]
            inputs = self._taken(inputs)
        outputs = file.run(inputs, self._states)
        for state in self._states:
            state.turn()
        changed = outputs.pop(self.manifest["changed"], None)
        return outputs, [] if changed is None else [int(n) for n in changed]


def _copied(values: numpy.ndarray, place: numpy.ndarray | None) -> numpy.ndarray:
    """A copy, in the place of the last one."""
    if place is None:
        return values.copy()
    numpy.copyto(place, values)
    return place


class _Files:
    """The files of one video, by their names."""

    def __init__(self, path: Path, original: str | os.PathLike[str] | None) -> None:
        folder = path if path.is_dir() else path.parent
        parts = {file: part for file in sorted(folder.iterdir()) if (part := _part(file.name)) is not None}
        if path.is_dir():
            prefixes = [prefix for prefix, part in parts.values() if part == "dense"]
            if len(prefixes) != 1:
                raise UsageError(f"{path} holds {'the files of several videos: name one of them' if prefixes else 'no files of a video'}")
            prefix = prefixes[0]
        else:
            part = _part(path.name)
            prefix = part[0] if part is not None else f"{path.name.removesuffix('.onnx')}.snap."
        own = {part: file for file, (start, part) in parts.items() if start == prefix}
        if "dense" not in own:
            raise UsageError(f"there is no {folder / f'{prefix}video-dense.onnx'}: name a folder with the files of a video, or one of them")
        self.dense = own.pop("dense")
        self.tiles = [file for part, file in own.items() if part.replace(".", "", 1).isdigit()]
        beside = folder / f"{prefix.rstrip('.').removesuffix('.snap')}.onnx"
        self.plain = Path(original) if original is not None else beside if beside.is_file() else None


def _part(name: str) -> tuple[str, str] | None:
    """The prefix and the part of a file's name: ``face.snap.`` and ``dense`` of ``face.snap.video-dense.onnx``."""
    if not name.endswith(".onnx") or "video-" not in name:
        return None
    prefix, _, part = name.removesuffix(".onnx").rpartition("video-")
    return prefix, part


class _File:
    """A session, and what its file says of itself."""

    def __init__(self, session: onnxruntime.InferenceSession, path: Path, role: str | None) -> None:
        self.session, self.path = session, path
        self.place = _place(session)
        self.outputs = [output.name for output in session.get_outputs()]
        if role is None:
            return
        text = session.get_modelmeta().custom_metadata_map.get(_PROPERTY, "{}")
        self.manifest: dict[str, Any] = json.loads(text)
        if self.manifest.get("role") != role:
            raise ModelError(f"{path}: it is no such file of a video as its name says")
        if self.manifest["version"] != _VERSION:
            raise ModelError(f"{path}: version {self.manifest['version']} is not known")

    def run(self, inputs: dict[str, numpy.ndarray], states: list[_State]) -> dict[str, numpy.ndarray]:
        """One run; the outputs that are no states. States are written where they do not lie."""
        binding = self.session.io_binding()
        for name, values in inputs.items():
            binding.bind_cpu_input(name, values)
        kept = {state.output for state in states}
        if getattr(self, "manifest", {}).get("role") == "tiles":
            for state in states:
                binding.bind_ortvalue_input(state.input, state.now)
        for state in states:
            binding.bind_ortvalue_output(state.output, state.next)
        free = [name for name in self.outputs if name not in kept]
        for name in free:
            binding.bind_output(name, "cpu")
        self.session.run_with_iobinding(binding)
        made = binding.get_outputs()[len(states) :]
        return {name: value.numpy() for name, value in zip(free, made)}


class _State:
    """A state: in one place, where a run may write it where it reads it, else in two, which take turns."""

    def __init__(self, state: Mapping[str, Any], place: tuple[str, int]) -> None:
        import onnxruntime

        self.input, self.output, self.shape = state["input"], state["output"], tuple(state["shape"])
        dtype = numpy.dtype(state["type"])
        make = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        self.now = make(list(self.shape), dtype, *place)
        self.next = self.now if state.get("in_place") else make(list(self.shape), dtype, *place)

    def turn(self) -> None:
        """What was written is what is read next."""
        self.now, self.next = self.next, self.now


def _place(session: onnxruntime.InferenceSession) -> tuple[str, int]:
    """Where a session's first provider keeps tensors."""
    first = session.get_providers()[0]
    devices = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "cuda"}
    options = session.get_provider_options().get(first, {})
    return devices.get(first, "cpu"), int(options.get("device_id", 0)) if first in devices else 0
