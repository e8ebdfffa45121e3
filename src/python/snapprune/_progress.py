"""Progress: a bar in notebooks and terminals, or a function of the caller's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Called with the step (``None`` while it goes on), how much of it is done, and the whole of it (0 where that is not known).
Progress = Callable[["str | None", int, int], object]


@contextmanager
def shown(progress: bool | Progress) -> Iterator[Progress | None]:
    """The function to call for ``progress``: a bar, the caller's own, or none."""
    if callable(progress):
        yield progress
    elif not progress:
        yield None
    else:
        from tqdm.auto import tqdm

        # In a file or a pipe a bar is only noise.
        notebook = any(base.__module__ == "tqdm.notebook" for base in tqdm.__mro__)
        hidden = not notebook and not sys.stderr.isatty()
        with tqdm(leave=False, disable=hidden, bar_format="{desc:<34} {bar} {percentage:3.0f} % {elapsed}, {remaining} left") as bar:

            def tell(step: str | None, done: int, total: int) -> None:
                if hidden:
                    return
                if step is not None:
                    bar.reset(total=1)
                    bar.set_description_str(step)
                elif total > 0:
                    bar.total = total
                    bar.n = done
                    bar.refresh()

            yield tell
