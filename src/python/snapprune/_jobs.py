"""The jobs: Python's arguments become the flags of the command line."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from . import _native
from ._data import Labels, Samples, labels_file, to_file
from ._interpreter import named
from ._metric import called
from ._progress import Progress, shown
from ._results import Applied, LatencySteps, Plan, Profile, Report, Result
from ._runtime import library

if TYPE_CHECKING:
    import onnx

#: A path, an ONNX file's bytes, or a message of the ``onnx`` package.
Model = Union[str, "os.PathLike[str]", bytes, "onnx.ModelProto"]
#: Gives a number for a model's outputs, the greater the better: see :func:`optimize`.
Metric = Callable[..., float]
#: A number is a share of the original's (0.7); a string is as on the command line ("0.7x", "3.2ms", "80M").
Amount = Union[str, float]


def optimize(
    model: Model,
    *,
    gpu: int | None = None,
    cpu: bool = False,
    threads: int | None = None,
    nhwc: bool = False,
    cuda_graph: bool = False,
    settings: str = "given",
    ep: str | None = None,
    ep_device: str | None = None,
    ep_options: Mapping[str, str] | None = None,
    ep_library: str | os.PathLike[str] | None = None,
    ep_name: str | None = None,
    ep_timeout: str | float | None = None,
    batch: int | str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    dims: Mapping[str, int | str] | None = None,
    external_data_dir: str | os.PathLike[str] | None = None,
    fix_weights: bool = False,
    calib: Samples | None = None,
    calib_samples: int = 1024,
    requantize: str | None = None,
    distill: int = 0,
    eval: Samples | None = None,
    labels: Labels | None = None,
    metric: Metric | str | None = None,
    resize: str | None = None,
    pad_value: int | None = None,
    layout: str | None = None,
    channels: str | None = None,
    pixel_range: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    task: str | None = None,
    loss: Mapping[str, float] | None = None,
    alphabet: str | os.PathLike[str] | None = None,
    target_latency: Amount | None = None,
    target_macs: Amount | None = None,
    max_params: Amount | None = None,
    max_memory: Amount | None = None,
    max_drop: str | float | None = None,
    allow_slower: bool = False,
    allow: str | Sequence[str] = "widths,rotation,zero",
    min_width: int | None = None,
    keep: Iterable[str] = (),
    grow: str = "faster",
    grow_init: str = "zero",
    deploy_dtype: str | None = None,
    dynamic: str = "auto",
    dynamic_drop: str | float | None = None,
    dynamic_keep: str | float | None = None,
    profile: Profile | str | os.PathLike[str] | None = None,
    time_budget: str | float | None = None,
    staircases: str | float = "10s",
    seed: int = 0,
    db: str | os.PathLike[str] | None = None,
    shared_db: Iterable[str | os.PathLike[str]] = (),
    allow_mismatch: bool = False,
    no_wait: bool = False,
    remeasure: bool = False,
    ort_lib: str | os.PathLike[str] | None = None,
    progress: bool | Progress = True,
) -> Result:
    """Makes a model faster on the device that it will run on.

    Without goals its outputs stay the same within float tolerance. With ``target_latency``, ``target_macs``, ``max_params``,
    ``max_memory`` or ``max_drop`` it also becomes narrower, and what is left is fitted to ``calib`` samples. Nothing is given that was not
    measured to be faster: then ``result.model`` is ``None`` and ``result.report.declined`` says why.

    Args:
        model: a path, an ONNX file's bytes, or an ``onnx.ModelProto``.
        gpu: the NVIDIA GPU to time on (default: GPU 0 if there is one, else the CPU).
        cpu: time on the CPU.
        threads: threads within a node on the CPU (default: as many as an ``onnxruntime.InferenceSession`` has here).
        nhwc: convolutions in channels-last layout (GPU).
        cuda_graph: capture each model once as a CUDA graph and replay it (GPU).
        settings: ``"auto"`` takes the fastest of the provider's other settings (channels-last layout, graph capture); ``"given"`` keeps
            those given and notes what the others would give, ``"off"`` tries none (GPU).
        ep, ep_device, ep_options: a provider that is installed as a plug-in of ONNX Runtime (``"openvino"``), its processor (``"CPU"``,
            ``"GPU"`` or ``"NPU"``) and its options, by name.
        ep_library, ep_name: the library of any other plug-in, and its provider's name.
        ep_timeout: give a plug-in up when it has not told its devices after so many seconds (default: 60).
        batch: extent of a symbolic first axis; several with their shares of the traffic as ``"1:0.7,8:0.3"``.
        shapes: input shapes, by name.
        dims: symbolic extents, by name.
        external_data_dir: the folder that weights in other files are read from (default: the model's own; bytes and messages have
            none). Links in it are followed: you vouch for it.
        fix_weights: make weights that are graph inputs too, which callers may replace, constants.
        calib: samples to fit weights on, without labels: a file or folder; an array with samples first (uint8 NxHxWxC images, or
            floats as the input takes them); arrays by input name; or an iterable of samples or batches, such as a data loader.
        calib_samples: take at most so many (0: all).
        requantize: choose the scales of a quantized model's activations anew from ``calib``, where the narrower model loses less with them:
            by ``"min-max"``, ``"percentile"`` or ``"entropy"`` (default: they stay).
        distill: train all weights of the narrower model together on ``calib`` for at most so many gradient steps, with the original as the
            teacher; taken where the model then loses less.
        eval: samples to compare the models on; with labels as ``(samples, labels)``, or from a data loader that gives both.
        labels: labels of ``eval`` that do not come with it: a COCO file (``.json``; images are found by file name), a folder of PNG
            masks with the images' names, a text file, an ``.npz`` with ``labels``, or a list of texts.
        metric: a number of your own that is judged on ``eval``, the greater the better; ``max_drop`` then limits what it may lose
            (``metric(original) - metric(new)``). A function of the outputs, by name an array with all samples along the first axis, or
            a list with an array for each run of the model where that cannot be; parameters called ``original``, ``labels`` and ``images`` get
            the original's outputs, the labels (``None`` without) and where images lie in the input. Or ``"FILE.py:function"``.
        resize: how images are brought to the input's height and width: ``"letterbox"`` (in the middle), ``"letterbox-corner"``,
            ``"stretch"`` or ``"crop"`` (default: files are cropped, arrays must have them).
        pad_value: what is around a letterboxed image (114).
        layout: where the input has its channels: ``"nchw"`` or ``"nhwc"`` (default: told by its shape).
        channels: the channels of the input: ``"rgb"``, ``"bgr"`` or ``"gray"``; images are RGB.
        pixel_range: the range that pixels are brought to first: ``"0..1"``, ``"0..255"`` or ``"-1..1"`` (``"0..1"``; pixels as they
            are for inputs of uint8).
        mean, std: how 8-bit images become inputs: (x - mean) / std, channel by channel in the input's order, where x has the
            range of ``pixel_range``.
        task: what the model is for: ``"classify"``, ``"detect"``, ``"segment"``, ``"embed"``, ``"ctc"`` or ``"regress"`` (default:
            recognized).
        loss: how much the losses of outputs count, by name; 0 leaves one out.
        alphabet: the letters of a sequence model's classes, in their order and without the blank, for labels that are texts: a file, or the
            letters themselves.
        target_latency, target_macs, max_params, max_memory: goals; a number is a share of the original's. Multiply-accumulates are
            those for one sample; memory is that of the activations alive at once, such as ``"64MiB"``.
        max_drop: what may be lost on ``eval``: a share of the task's own number (top-1, mAP50, mIoU, cosine,
            equal strings or R²), or this much of ``metric``.
        allow_slower: a model that reaches ``target_macs``, ``max_params`` or ``max_memory`` is wanted also where it was not
            measured to be faster.
        allow: what a plan for a goal may do: some of ``"widths"`` (take channels out), ``"rotation"`` (take principal directions out
            of linear trunks), ``"zero"`` (take residual branches out as a whole) and ``"rank"`` (make two layers of one).
        min_width: no layer becomes narrower than this.
        keep: names of layers whose widths stay.
        grow: ``"none"``, ``"faster"`` or ``"free"``.
        deploy_dtype: choose widths by the times of the model as it will be deployed: ``"int8"``, ``"fp16"`` or ``"bf16"``.
        grow_init: what new channels hold: ``"zero"`` or ``"split"``.
        dynamic: the dynamic variant: ``"auto"``, ``"tiles"``, ``"channels"``, ``"mask"``, ``"fused"`` or ``"off"``.
        dynamic_drop: the share of samples whose class it may change (0.005).
        dynamic_keep: compute this share of every block where that pays.
        profile: times recorded earlier.
        time_budget: end every step after so many seconds, and go on with what has been found.
        staircases: seconds for timing further widths for the report alone.
        seed: seed of the random inputs.
        db, shared_db, allow_mismatch: latency databases: the own one, others to read, and whether other devices' times serve.
        no_wait: fail where another job times on the device, in place of waiting until it is done.
        remeasure: time again what is known.
        ort_lib: ONNX Runtime's shared library (default: that of this environment).
        progress: a bar, a function ``(step or None, done, total)``, or ``False``.

    Raises:
        snapprune.Error: one of :mod:`snapprune.errors`.
        KeyboardInterrupt: what was measured is kept; a second call goes on from there.
    """
    with _call(model, ort_lib, progress) as call:
        flags = call.flags(
            gpu=gpu, cpu=cpu, threads=threads, nhwc=nhwc, cuda_graph=cuda_graph, settings=settings, batch=batch,
            ep=ep, ep_device=ep_device, ep_option=_options(ep_options), ep_library=ep_library, ep_name=ep_name, ep_timeout=ep_timeout,
            labels=call.labels(labels), metric=call.metric_flag(metric), resize=resize, pad_value=pad_value, layout=layout, channels=channels, pixel_range=pixel_range,
            mean=mean, std=std, task=task, loss=_losses(loss), alphabet=alphabet, target_latency=_share(target_latency), target_macs=_share(target_macs), max_params=_share(max_params),
            max_memory=_share(max_memory), max_drop=max_drop, allow_slower=allow_slower, allow=_listed(allow), min_width=min_width,
            keep=list(keep), grow=grow, grow_init=grow_init, deploy_dtype=deploy_dtype, dynamic=dynamic,
            dynamic_drop=dynamic_drop, dynamic_keep=dynamic_keep, time_budget=time_budget, staircases=staircases, seed=seed,
            db=db, shared_db=list(shared_db), allow_mismatch=allow_mismatch, shape=_shapes(shapes), dim=_dims(dims),
            external_data_dir=external_data_dir, fix_weights=fix_weights,
            calib=call.samples(calib, "calib", calib_samples), calib_samples=calib_samples, requantize=requantize, distill=distill or None,
            eval=call.samples(eval, "eval"), profile=call.profile(profile), no_wait=no_wait, remeasure=remeasure,
        )  # fmt: skip
        static, gated, text, page = _native.optimize(call.model, [*flags, "--quiet"], call.progress, called(metric))
    return Result(static, gated, Report(json.loads(text), page))


def profile(
    model: Model,
    *,
    gpu: int | None = None,
    cpu: bool = False,
    threads: int | None = None,
    nhwc: bool = False,
    ep: str | None = None,
    ep_device: str | None = None,
    ep_options: Mapping[str, str] | None = None,
    ep_library: str | os.PathLike[str] | None = None,
    ep_name: str | None = None,
    ep_timeout: str | float | None = None,
    batch: int | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    dims: Mapping[str, int] | None = None,
    external_data_dir: str | os.PathLike[str] | None = None,
    fix_weights: bool = False,
    step: int | None = None,
    reach: float = 1.34,
    db: str | os.PathLike[str] | None = None,
    shared_db: Iterable[str | os.PathLike[str]] = (),
    no_wait: bool = False,
    remeasure: bool = False,
    ort_lib: str | os.PathLike[str] | None = None,
    progress: bool | Progress = True,
) -> Profile:
    """Times the nodes of the model as they run, and every convolution at output widths from the ``reach``-th part of its own to
    ``reach`` times it.

    Args:
        step: time every multiple of it (default: search for the steps with a tenth of the widths).
        reach: how far around the present width.

    The other arguments are those of :func:`optimize`.
    """
    with _call(model, ort_lib, progress) as call:
        flags = call.flags(
            gpu=gpu, cpu=cpu, threads=threads, nhwc=nhwc, batch=batch,
            ep=ep, ep_device=ep_device, ep_option=_options(ep_options), ep_library=ep_library, ep_name=ep_name, ep_timeout=ep_timeout,
            step=step, reach=reach, db=db,
            shared_db=list(shared_db), shape=_shapes(shapes), dim=_dims(dims), no_wait=no_wait, remeasure=remeasure,
            external_data_dir=external_data_dir, fix_weights=fix_weights,
        )  # fmt: skip
        text, report, page = _native.profile(call.model, ["profile", "-", *flags, "--quiet"], call.progress)
    data = json.loads(report)
    steps = [LatencySteps._of(s) for s in data["latency_steps"]]
    return Profile(steps, text, page, data["nodes"], data["limits"], data["totals"])


def plan(
    model: Model,
    *,
    gpu: int | None = None,
    cpu: bool = False,
    threads: int | None = None,
    nhwc: bool = False,
    ep: str | None = None,
    ep_device: str | None = None,
    ep_options: Mapping[str, str] | None = None,
    ep_library: str | os.PathLike[str] | None = None,
    ep_name: str | None = None,
    ep_timeout: str | float | None = None,
    batch: int | str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    dims: Mapping[str, int | str] | None = None,
    external_data_dir: str | os.PathLike[str] | None = None,
    fix_weights: bool = False,
    calib: Samples | None = None,
    calib_samples: int = 1024,
    requantize: str | None = None,
    distill: int = 0,
    eval: Samples | None = None,
    labels: Labels | None = None,
    metric: Metric | str | None = None,
    resize: str | None = None,
    pad_value: int | None = None,
    layout: str | None = None,
    channels: str | None = None,
    pixel_range: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    task: str | None = None,
    loss: Mapping[str, float] | None = None,
    alphabet: str | os.PathLike[str] | None = None,
    target_latency: Amount | None = None,
    target_macs: Amount | None = None,
    max_params: Amount | None = None,
    max_memory: Amount | None = None,
    max_drop: str | float | None = None,
    allow_slower: bool = False,
    allow: str | Sequence[str] = "widths,rotation,zero",
    min_width: int | None = None,
    keep: Iterable[str] = (),
    grow: str = "faster",
    profile: Profile | str | os.PathLike[str] | None = None,
    time_budget: str | float | None = None,
    seed: int = 0,
    db: str | os.PathLike[str] | None = None,
    shared_db: Iterable[str | os.PathLike[str]] = (),
    allow_mismatch: bool = False,
    no_wait: bool = False,
    remeasure: bool = False,
    ort_lib: str | os.PathLike[str] | None = None,
    progress: bool | Progress = True,
) -> Plan | None:
    """The plan that :func:`optimize` would apply; ``None`` if no plan is faster. Arguments as there."""
    with _call(model, ort_lib, progress) as call:
        flags = call.flags(
            gpu=gpu, cpu=cpu, threads=threads, nhwc=nhwc, batch=batch,
            ep=ep, ep_device=ep_device, ep_option=_options(ep_options), ep_library=ep_library, ep_name=ep_name, ep_timeout=ep_timeout,
            labels=call.labels(labels), metric=call.metric_flag(metric), resize=resize, pad_value=pad_value, layout=layout, channels=channels, pixel_range=pixel_range,
            mean=mean, std=std, task=task, loss=_losses(loss), alphabet=alphabet,
            target_latency=_share(target_latency), target_macs=_share(target_macs), max_params=_share(max_params),
            max_memory=_share(max_memory), max_drop=max_drop, allow_slower=allow_slower, allow=_listed(allow), min_width=min_width,
            keep=list(keep), grow=grow, time_budget=time_budget, seed=seed, db=db,
            shared_db=list(shared_db), allow_mismatch=allow_mismatch, shape=_shapes(shapes), dim=_dims(dims),
            external_data_dir=external_data_dir, fix_weights=fix_weights,
            calib=call.samples(calib, "calib", calib_samples), calib_samples=calib_samples, requantize=requantize, distill=distill or None,
            eval=call.samples(eval, "eval"), profile=call.profile(profile), no_wait=no_wait, remeasure=remeasure,
        )  # fmt: skip
        text, _ = _native.plan(call.model, ["plan", "-", "-o", "-", *flags, "--quiet"], call.progress, called(metric))
    return None if text is None else Plan(json.loads(text))


def apply(
    model: Model,
    plan: Plan | str | os.PathLike[str],
    *,
    calib: Samples | None = None,
    calib_samples: int = 1024,
    requantize: str | None = None,
    distill: int = 0,
    eval: Samples | None = None,
    labels: Labels | None = None,
    metric: Metric | str | None = None,
    resize: str | None = None,
    pad_value: int | None = None,
    layout: str | None = None,
    channels: str | None = None,
    pixel_range: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    task: str | None = None,
    loss: Mapping[str, float] | None = None,
    alphabet: str | os.PathLike[str] | None = None,
    batch: int | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    dims: Mapping[str, int] | None = None,
    external_data_dir: str | os.PathLike[str] | None = None,
    fix_weights: bool = False,
    other_weights: bool = False,
    distill_budget: str | None = None,
    seed: int = 0,
    gpu: int | None = None,
    threads: int | None = None,
    ort_lib: str | os.PathLike[str] | None = None,
    progress: bool | Progress = True,
) -> Applied:
    """Applies a plan, measured or edited, without timing anything; with ``calib`` samples weights are fitted.

    Args:
        plan: a :class:`Plan`, or the file of one; the JSON report of a job does, too.
        other_weights: the model is the network that the plan was made for, with other weights.
        distill_budget: plan as many gradient steps as this time allows, such as ``"5m"``; all of them otherwise.
        gpu: fit weights and run models on this NVIDIA GPU, not on the CPU.

    The other arguments are those of :func:`optimize`.
    """
    with _call(model, ort_lib, progress) as call:
        flags = call.flags(
            labels=call.labels(labels), metric=call.metric_flag(metric), resize=resize, pad_value=pad_value, layout=layout, channels=channels, pixel_range=pixel_range,
            batch=batch, mean=mean, std=std, task=task, loss=_losses(loss), alphabet=alphabet, shape=_shapes(shapes), dim=_dims(dims),
            external_data_dir=external_data_dir, fix_weights=fix_weights, other_weights=other_weights, distill_budget=distill_budget, seed=seed, gpu=gpu, threads=threads,
            calib=call.samples(calib, "calib", calib_samples), calib_samples=calib_samples, requantize=requantize, distill=distill or None, eval=call.samples(eval, "eval"),
        )  # fmt: skip
        file = call.plan(plan)
        words = ["apply", "-", file, "-o", "-", *flags, "--quiet"]
        made, text = _native.apply(call.model, words, call.progress, called(metric))
    return Applied(made, **json.loads(text))


def custom_ops_library() -> str:
    """The library for ``onnxruntime.SessionOptions.register_custom_ops_library``, which models with fused gates need."""
    return str(_native.__file__)


class _Call:
    """One call: the model, a folder for what has to lie in files, and the progress."""

    def __init__(self, model: Any, folder: Path, ort_lib: Any, progress: Progress | None) -> None:
        self.folder = folder
        self.progress = progress
        self.ort_lib = ort_lib if ort_lib is not None or "ORT_DYLIB_PATH" in os.environ else library()
        if isinstance(model, (str, os.PathLike)):
            self.model: Any = os.fspath(model)
        elif isinstance(model, (bytes, bytearray, memoryview)):
            self.model = ("model.onnx", bytes(model))
        elif hasattr(model, "SerializeToString"):
            name = "".join(c if c.isalnum() or c in "-_." else "_" for c in model.graph.name) or "model"
            self.model = (f"{name}.onnx", model.SerializeToString())
        else:
            raise TypeError(f"a model is a path, bytes or an onnx.ModelProto, not {type(model).__name__}")

    def samples(self, samples: Samples | None, name: str, most: int = 0) -> str | None:
        return None if samples is None else to_file(samples, _native.inputs(self.model), self.folder, name, most)

    def metric_flag(self, metric: Metric | str | None) -> str | None:
        """The flag's value; functions go another way."""
        if not isinstance(metric, str):
            return None
        named()
        return metric

    def labels(self, labels: Labels | None) -> str | None:
        return None if labels is None else labels_file(labels, self.folder)

    def profile(self, given: Profile | str | os.PathLike[str] | None) -> str | None:
        return self._file(given, Profile, "profile.json")

    def plan(self, given: Plan | str | os.PathLike[str]) -> str:
        return str(self._file(given, Plan, "plan.json"))

    def _file(self, given: Any, kind: type[Profile] | type[Plan], name: str) -> str | None:
        if isinstance(given, kind):
            given.save(self.folder / name)
            return str(self.folder / name)
        return None if given is None else os.fspath(given)

    def flags(self, **values: Any) -> list[str]:
        """``name=value`` as ``--name=value``: nothing for ``None`` and ``False``, several for a list."""
        flags = []
        for name, value in {**values, "ort_lib": self.ort_lib}.items():
            flag = "--" + name.replace("_", "-")
            if value is True:
                flags.append(flag)
            elif name in ("mean", "std") and value is not None:
                flags.append(f"{flag}={','.join(str(float(v)) for v in value)}")
            elif isinstance(value, list):
                flags.extend(f"{flag}={os.fspath(v)}" for v in value)
            elif value is not None and value is not False:
                flags.append(f"{flag}={value}")
        return flags


@contextmanager
def _call(model: Any, ort_lib: Any, progress: bool | Progress) -> Iterator[_Call]:
    with tempfile.TemporaryDirectory(prefix="snapprune-") as folder, shown(progress) as tell:
        yield _Call(model, Path(folder), ort_lib, tell)


def _listed(words: str | Sequence[str]) -> str:
    return words if isinstance(words, str) else ",".join(words)


def _share(amount: Amount | None) -> str | None:
    return f"{amount}x" if isinstance(amount, (int, float)) else amount


def _shapes(shapes: Mapping[str, Sequence[int]] | None) -> list[str]:
    return [f"{name}:{','.join(str(int(n)) for n in dims)}" for name, dims in (shapes or {}).items()]


def _options(options: Mapping[str, str] | None) -> list[str]:
    return [f"{name}={value}" for name, value in (options or {}).items()]


def _losses(weights: Mapping[str, float] | None) -> list[str]:
    return [f"{name}={float(weight)}" for name, weight in (weights or {}).items()]


def _dims(dims: Mapping[str, int | str] | None) -> list[str]:
    return [f"{name}={extent}" for name, extent in (dims or {}).items()]
