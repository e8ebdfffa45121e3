"""A pass for Olive: snaps widths on the accelerator that the workflow is for. A model that gains nothing passes through unchanged.

    pip install olive-ai 'snapprune[cpu]'
    PYTHONPATH=examples/olive olive run --config examples/olive/workflow.json --package-config examples/olive/package.json
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import snapprune
from olive.hardware.accelerator import AcceleratorSpec, Device
from olive.model import ONNXModelHandler
from olive.model.utils import resolve_onnx_path
from olive.passes import Pass
from olive.passes.pass_config import BasePassConfig, PassConfigParam

logger = logging.getLogger(__name__)

#: Arguments of ``snapprune.optimize`` that are parameters of the pass: type, default, and what they are for.
ARGUMENTS: dict[str, tuple[Any, Any, str]] = {
    "target_latency": (str, None, "Narrow the model to this latency, such as 0.8x; without, the outputs stay the same."),
    "target_macs": (str, None, "Narrow the model to these multiply-accumulates, such as 0.7x."),
    "deploy_dtype": (str, None, "Choose widths by the times of the model as later passes will make it: int8, fp16 or bf16."),
    "max_params": (str, None, "Narrow the model to these parameters."),
    "max_memory": (str, None, "Narrow the model until its activations that are alive at once take at most this, such as 0.8x."),
    "calib": (str, None, "Samples to fit weights on: an .npz file or a folder of images."),
    "eval": (str, None, "Samples to compare the models on."),
    "mean": (list[float], None, "Means of the image channels."),
    "std": (list[float], None, "Standard deviations of the image channels."),
    "batch": (str, None, "The extent of a symbolic first axis, such as 8, or 1:0.7,8:0.3."),
    "threads": (int, None, "Threads within a node on the CPU."),
    "time_budget": (float, None, "Begin no more probes after so many seconds."),
}


class SnapPrune(Pass):
    """Snaps channel counts to widths that leave no tail on the device, by measuring."""

    @classmethod
    def is_accelerator_agnostic(cls, accelerator_spec: AcceleratorSpec) -> bool:
        """Widths are right for the device that they were measured on, and for no other."""
        return False

    @classmethod
    def _default_config(cls, accelerator_spec: AcceleratorSpec) -> dict[str, PassConfigParam]:
        return {
            **{
                name: PassConfigParam(type_=kind, default_value=default, description=what)
                for name, (kind, default, what) in ARGUMENTS.items()
            },
            "gpu_id": PassConfigParam(type_=int, default_value=0, description="The GPU to time on, where the workflow is for one."),
        }

    def _run_for_config(
        self, model: ONNXModelHandler, config: type[BasePassConfig], output_model_path: str
    ) -> ONNXModelHandler:
        on_gpu = self.accelerator_spec.accelerator_type == Device.GPU
        device = {"gpu": config.gpu_id} if on_gpu else {"cpu": True}
        given = {name: getattr(config, name) for name in ARGUMENTS}
        result = snapprune.optimize(model.model_path, dynamic="off", progress=False, **device, **given)
        path = Path(resolve_onnx_path(output_model_path, Path(model.model_path).name))
        path.parent.mkdir(parents=True, exist_ok=True)
        result.save(path)
        if result.model is None:
            logger.warning("%s stays as it is: %s", model.model_path, result.report.declined)
            return model
        logger.info("%s takes %.3f of its time", model.model_path, result.report.ratio)
        return ONNXModelHandler(model_path=str(path))
