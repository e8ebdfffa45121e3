"""Snaps the channel counts of an ONNX CNN to widths at which the machine wastes nothing.

>>> import snapprune
>>> result = snapprune.optimize("model.onnx", gpu=0)
>>> result.report.ratio
0.48
>>> result.save("model.snap.onnx")

Every function takes a model as a path, as ``bytes``, or as an ``onnx.ModelProto``, and times it on the device where it will run.
ONNX Runtime comes with ``pip install snapprune[cpu]`` or ``pip install snapprune[gpu]``.
"""

from . import errors
from ._jobs import apply, custom_ops_library, optimize, plan, profile
from ._native import __version__
from ._results import Applied, Gate, Group, Latency, LatencySteps, Plan, Profile, Report, Result, Step
from ._video import Played, Video
from ._zoo import Zoo, zoo
from .errors import Error

__all__ = [
    "Applied",
    "Error",
    "Gate",
    "Group",
    "Latency",
    "LatencySteps",
    "Plan",
    "Played",
    "Profile",
    "Report",
    "Result",
    "Step",
    "Video",
    "Zoo",
    "__version__",
    "apply",
    "custom_ops_library",
    "errors",
    "optimize",
    "plan",
    "profile",
    "zoo",
]
