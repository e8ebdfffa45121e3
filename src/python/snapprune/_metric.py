"""A metric of the user's own: outputs and labels from files, and the call.

The command line runs this file as a script, in a process of its own: ``python -c CODE FILE.py FUNCTION`` reads a request a line and
answers each with a line.
"""

import inspect
import json
import math
import os
import sys


def loaded(folder):
    """The outputs of a model: by name an array with all samples along the first axis, or a list with an array a run."""
    import numpy

    with open(os.path.join(folder, "outputs.json"), encoding="utf-8") as file:
        index = json.load(file)
    runs = index["runs"]
    found = {}
    for output in index["outputs"]:
        shapes = [tuple(shape) for shape in output["shapes"]]
        path = os.path.join(folder, output["file"])
        # Pages are read when they are looked at, and changes stay in memory.
        values = numpy.memmap(path, output["dtype"], mode="c") if os.path.getsize(path) else numpy.empty(0, output["dtype"])
        parts, at = [], 0
        for shape in shapes:
            size = math.prod(shape)
            parts.append(numpy.asarray(values[at : at + size]).reshape(shape))
            at += size
        apart = all(len(s) > 0 and s[0] == run["samples"] and s[1:] == shapes[0][1:] for s, run in zip(shapes, runs))
        if not apart:
            found[output["name"]] = parts
        elif any(run["repeated"] for run in runs):
            found[output["name"]] = numpy.concatenate([part[run["repeated"] :] for part, run in zip(parts, runs)])
        else:
            found[output["name"]] = numpy.asarray(values).reshape(sum(shape[0] for shape in shapes), *shapes[0][1:])
    return found


def samples(folder):
    """The labels, or ``None``, and where images lie in the input."""
    import numpy

    with open(os.path.join(folder, "samples.json"), encoding="utf-8") as file:
        index = json.load(file)
    labels = index["labels"]
    if labels is None:
        return None, index["images"]
    if "classes" in labels:
        return numpy.array(labels["classes"], numpy.int64), index["images"]
    if "texts" in labels:
        return labels["texts"], index["images"]
    if "masks" in labels:
        masks = numpy.fromfile(os.path.join(folder, "masks.bin"), numpy.uint16)
        return masks.reshape(labels["masks"]), index["images"]

    def arrays(boxes):
        return {
            "boxes": numpy.array([[b["x"], b["y"], b["width"], b["height"]] for b in boxes], numpy.float32).reshape(-1, 4),
            "classes": numpy.array([b["class"] for b in boxes], numpy.int64),
            "crowd": numpy.array([b["crowd"] for b in boxes], bool),
        }

    return [arrays(boxes) for boxes in labels["boxes"]], index["images"]


class Metric:
    """A function as the jobs call it."""

    def __init__(self, function):
        self.function = function
        #: What it is called in reports.
        self.name = getattr(function, "__name__", type(function).__name__)
        self.wanted = self._wanted()

    def _wanted(self):
        """Which of its parameters besides the outputs it has."""
        known = {"original", "labels", "images"}
        try:
            parameters = list(inspect.signature(self.function).parameters.values())
        except (TypeError, ValueError):
            return set()
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            return known
        return {p.name for p in parameters[1:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)} & known

    def __call__(self, outputs, original, about):
        """The number for the outputs in a folder; raises ``ValueError`` where it is none."""
        labels, images = samples(about)
        given = {"labels": labels, "images": images}
        if "original" in self.wanted:
            given["original"] = loaded(original)
        found = self.function(loaded(outputs), **{name: value for name, value in given.items() if name in self.wanted})
        try:
            number = float(found)
        except (TypeError, ValueError):
            raise ValueError(f"{self.name} gave {found!r}, which is no number; it must return one, the greater the better") from None
        if not math.isfinite(number):
            raise ValueError(f"{self.name} gave {number}, which nothing can be held against")
        return number


def called(metric):
    """What the jobs call for a metric from Python; ``None`` where it is none, or the name of one in a file."""
    if metric is None or isinstance(metric, str):
        return None
    if not callable(metric):
        raise TypeError(f"a metric is a function or 'FILE.py:function', not {metric!r}")
    return Metric(metric)


def _answers():
    """Serves requests from standard input. What the function prints goes to standard error."""
    import traceback

    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # The interpreter's own copy would hold back what is printed.
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)

    def say(answer):
        out.write(json.dumps(answer) + "\n")
        out.flush()

    path, name = sys.argv[1:3]
    requests = sys.stdin
    try:
        # What its file imports may lie beside it; nothing else is taken from the current folder.
        sys.path[:] = [os.path.dirname(path), *(p for p in sys.path if p)]
        # It does not read what is asked here.
        sys.stdin = open(os.devnull, encoding="utf-8")
        import importlib.util

        spec = importlib.util.spec_from_file_location(os.path.splitext(os.path.basename(path))[0], path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        function = getattr(module, name, None)
        if not callable(function):
            raise AttributeError(f"{path} has no function {name}")
        metric = Metric(function)
    except BaseException:
        say({"error": traceback.format_exc()})
        return
    say("ready")
    for line in requests:
        asked = json.loads(line)
        try:
            say({"score": metric(asked["outputs"], asked["original"], asked["samples"])})
        except BaseException:
            say({"error": traceback.format_exc()})
            return


if __name__ == "__main__":
    _answers()
