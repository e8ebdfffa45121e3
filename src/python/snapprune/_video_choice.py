"""Which file of a video a frame takes: the same rules as the command's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy

from .errors import ModelError

PLAIN = "plain"
DENSE = "dense"

#: ``PLAIN``, ``DENSE``, or the place of a file that computes tiles.
Choice = Union[int, str]

#: What a run of few tiles takes of the model's time besides them, where it was not timed.
_RUN = 0.3

#: What is learnt of a moment in which much was to be done fades by this factor a frame.
_FADE = 0.9

#: Every so-manieth row is looked at while everything changes.
_SOME = 8


#: The change of what is no number.
_MUCH = numpy.float32(1e20)


class FrameTiles:
    """The tiles and cells of a frame, and the change that counts."""

    def __init__(self, frame: Mapping[str, Any], threshold: float) -> None:
        shape = frame["shape"]
        if len(shape) != 4 or shape[0] != 1:
            raise ModelError(f"a frame of the shape {list(shape)} is not handled")
        self._cell, self._tile, self._tiles = (tuple(frame[key]) for key in ("cell", "tile", "tiles"))
        sides = list(zip(shape[2:], self._tile, frame["halo"], self._tiles))
        self._rows, self._columns = [[_window(side, tile, halo, k) for k in range(count)] for side, tile, halo, count in sides]
        self._cells = [
            [slice(window.start // cell, -(-window.stop // cell)) for window in windows]
            for windows, cell in zip((self._rows, self._columns), self._cell)
        ]
        self._threshold = numpy.float32(threshold)
        self._step = min(_SOME, *(window.stop - window.start for window in self._rows))
        self._buffers: dict[int, numpy.ndarray] = {}
        #: Tiles of the frame.
        self.count: int = len(self._rows) * len(self._columns)

    def differences(self, frame: numpy.ndarray, reference: numpy.ndarray) -> numpy.ndarray:
        """The largest difference of each cell of two frames: rows × columns of cells."""
        most = self._away(frame[0], reference[0], 1).max(axis=0)
        (height, width), (down, across) = most.shape, self._cell
        most = most.reshape(height // down, down, width).max(axis=1)
        most = most.reshape(height // down, width // across, across).max(axis=2)
        return numpy.where(numpy.isnan(most), _MUCH, most).astype(numpy.float32, copy=False)

    def changed(self, cells: numpy.ndarray) -> int:
        """Tiles in which, or around which, a cell changed by more than the threshold."""
        places = cells > self._threshold
        return _touched(places, *self._cells) if places.any() else 0

    def take(self, frame: numpy.ndarray, reference: numpy.ndarray, cells: numpy.ndarray, turn: int) -> numpy.ndarray:
        """Takes over into ``reference`` the cells that changed, and those of one tile, whose turn it is; the difference of each, of the others 0."""
        taken = cells > self._threshold
        own = divmod(turn % self.count, self._tiles[1])
        rows, columns = (self._owned(axis, own[axis], cells.shape[axis]) for axis in range(2))
        taken[rows, columns] = True
        (down, across), (height, width) = self._cell, cells.shape
        blocks = [values.reshape(values.shape[1], height, down, width, across) for values in (reference, frame)]
        i, j = numpy.nonzero(taken)
        blocks[0][:, i, :, j] = blocks[1][:, i, :, j]
        return numpy.where(taken, cells, numpy.float32(0))

    def _owned(self, axis: int, tile: int, count: int) -> slice:
        """The cells of a tile along an axis; what is behind the last is its own."""
        each = self._tile[axis] // self._cell[axis]
        return slice(tile * each, count if tile == self._tiles[axis] - 1 else (tile + 1) * each)

    def some(self, frame: numpy.ndarray) -> numpy.ndarray:
        """A few rows of a frame, some of each tile: enough to tell whether nearly everything changes."""
        return frame[0, :, :: self._step]

    def changed_of_some(self, frame: numpy.ndarray, reference: numpy.ndarray) -> int:
        """Tiles that changed as far as these rows tell; ``reference`` is what :meth:`some` gave of another frame."""
        # What is no number is change.
        places = ~(self._away(self.some(frame), reference, self._step) <= self._threshold).all(axis=0)
        step = self._step
        rows = [slice(-(-window.start // step), -(-window.stop // step)) for window in self._rows]
        return _touched(places, rows, self._columns) if places.any() else 0

    def _away(self, frame: numpy.ndarray, reference: numpy.ndarray, step: int) -> numpy.ndarray:
        buffer = self._buffers.get(step)
        if buffer is None:
            kind = frame.dtype if frame.dtype.kind == "f" else numpy.float32
            buffer = self._buffers[step] = numpy.empty(frame.shape, kind)
        return numpy.abs(numpy.subtract(frame, reference, out=buffer, casting="unsafe"), out=buffer)


def _touched(places: numpy.ndarray, rows: Sequence[slice], columns: Sequence[slice]) -> int:
    """Windows of rows and columns in which a place is set."""
    lines = numpy.stack([places[:, window].any(axis=1) for window in columns])
    return int(sum(lines[:, window].any(axis=1).sum() for window in rows))


def _window(side: int, tile: int, halo: int, k: int) -> slice:
    start = min(k * tile, side - tile)
    return slice(max(start - halo, 0), min(start + tile + halo, side))


class Chooser:
    """Chooses frame by frame; what a stage needs for a changed tile of the frame it learns from what was left."""

    def __init__(
        self,
        tiles: list[int],
        steps: list[tuple[float, list[int]]],
        limit: float,
        plain: bool,
        exact: bool = True,
        ratios: Sequence[float] = (),
    ) -> None:
        # The exact files run again for each tile that is left, in deeper stages of the others those wait that changed least.
        self._waits = not exact
        self._tiles, self._steps, self._limit, self._plain = tiles, steps, limit, plain
        # What the whole model with states takes, and each step, as shares of what the model takes; 0 and none are not known.
        whole, *each = ratios or [0.0] * (len(steps) + 1)
        self._whole = whole or 1.0
        self._costs = [ratio or _RUN + share for ratio, (share, _) in zip(each, steps)]
        # Where nothing is known, steps hold in all stages what they hold in the first.
        self._least = [float(stage == 0) for stage in range(len(tiles))]
        self._spread = list(self._least)
        self.reset()

    def reset(self) -> None:
        """Forgets all frames."""
        self._before: str | None = None
        self._pending: list[int] = []

    @property
    def has_states(self) -> bool:
        """Whether the frame before left states."""
        return self._before not in (None, PLAIN)

    @property
    def is_behind(self) -> bool:
        """Whether something was left."""
        return any(self._pending)

    def choose(self, changed: int, of: int) -> Choice:
        """What a frame takes of which so many tiles changed."""
        restless = changed / max(of, 1) > self._limit
        if self._before is None:
            choice: Choice = DENSE
        elif self._before == PLAIN:
            choice = PLAIN if restless else DENSE
        elif restless:
            choice = PLAIN if self._before == DENSE and self._plain else DENSE
        else:
            choice = self._step(self._wanted(changed), changed)
        return self._take(choice)

    def again(self, done: float) -> Choice:
        """What the same frame takes again; ``done``: what its runs took together (:meth:`cost`)."""
        # All runs on tiles together take no more than the whole model.
        choice = self._step(self._pending, 0)
        return self._take(choice if done + self.cost(choice) < self._whole else DENSE)

    def cost(self, choice: Choice) -> float:
        """What a run takes, as a share of what the model takes."""
        if isinstance(choice, str):
            return 1.0 if choice == PLAIN else self._whole
        return self._costs[choice]

    def left(self, choice: Choice, pending: list[int], changed: int) -> None:
        """What a run left in each stage, and for how many changed tiles of the frame."""
        if not isinstance(choice, str):
            computed = self._steps[choice][1]
            earlier = self._pending or [0] * len(self._tiles)
            # Whether a stage above had something left: what it computes now comes up here, and is not of this frame.
            behind = False
            for stage, (left, k, before) in enumerate(zip(pending, computed, earlier)):
                # What earlier frames left says nothing of this one's change.
                told = left > k * (self._waits and stage > 0) and changed and not behind
                seen = max(k + left - before, 0) / changed if told else 0.0
                self._spread[stage] = max(self._spread[stage] * _FADE, self._least[stage], seen)
                behind = behind or before > 0
        self._pending = list(pending)

    def _take(self, choice: Choice) -> Choice:
        self._before = choice if isinstance(choice, str) else "tiles"
        if isinstance(choice, str):
            self._pending = []
        return choice

    def _wanted(self, changed: int) -> list[int]:
        pending = self._pending or [0] * len(self._tiles)
        return [
            min(left + math.ceil(spread * changed), count)
            for left, spread, count in zip(pending, self._spread, self._tiles)
        ]

    def _step(self, wanted: list[int], changed: int) -> Choice:
        for k, (_, computed) in enumerate(self._steps):
            waits = [own * (self._waits and stage > 0) for stage, own in enumerate(computed)]
            if all(_room(own) + more >= want for own, more, want in zip(computed, waits, wanted)):
                return k
        last = self._steps[-1][1] if self._steps else []
        held = all(left <= k for left, k in zip(self._pending, last))
        if last and held and _room(last[0]) >= changed:
            return len(self._steps) - 1
        return DENSE


def _room(computed: int) -> int:
    """Tiles that a run has for change: where it computes several, one of them is refreshed."""
    return max(computed - 1, min(computed, 1))
