"""Who does the jobs of a zoo: threads of this process, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import _native
from ._work import Done, callable_again, contents, do, is_address

#: How often the wish to stop is looked at, seconds.
_PATIENCE = 0.5


class Engine:
    """What all engines share."""

    #: Told the name of a model whose journal was written.
    told: Callable[[str], object] | None = None

    def noted(self, name: str) -> None:
        if self.told is not None:
            self.told(name)


class Here(Engine):
    """This machine, for models that are fetched from elsewhere."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.processes: _native.Processes | None = None

    def slots(self, timed: bool) -> int:
        return 1 if timed else self.jobs

    def run(self, slot: int, job: str, reads: Sequence[Any], times: str, limit: float | None, wish: _native.Wish) -> Done:
        paths = [str(p) for p in reads]
        files = [f for p in paths if not is_address(p) for f in contents(p)]
        if self.processes is None:
            self.processes = _native.Processes(self.jobs, wish)
        return do(self.processes, slot, job, paths, files, times, limit)


class Ray(Engine):
    """A Ray cluster: a task for every job. What is timed has a GPU, or all cores of a node, for itself."""

    def __init__(
        self,
        address: str | None,
        gpu: bool | None,
        resources: Mapping[str, float] | None = None,
        retries: int = 3,
        runtime_env: Mapping[str, Any] | None = None,
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise ImportError("the engine 'ray' needs Ray: pip install snapprune[ray]") from error
        self.ray = ray
        if not ray.is_initialized():
            ray.init(address=address, log_to_driver=False, runtime_env=dict(runtime_env) if runtime_env else None)
        nodes = [n for n in ray.nodes() if n["Alive"]]
        gpus = int(sum(n["Resources"].get("GPU", 0) for n in nodes))
        #: Whether to time on GPUs.
        self.gpu = gpus > 0 if gpu is None else gpu
        cores = [int(n["Resources"].get("CPU", 0)) for n in nodes]
        cores = [c for c in cores if c > 0] or [1]
        self.timed, self.untimed = (gpus if self.gpu else len(cores)), sum(cores)
        # A node's cores, so that nothing runs beside what is timed; nodes with more have them to spare.
        self.whole = {"num_gpus": 1} if self.gpu else {"num_cpus": min(cores)}
        self.single = {"num_cpus": 1}
        self.options = {"max_retries": retries, "scheduling_strategy": "SPREAD", "resources": dict(resources or {})}
        self.task = ray.remote(_task)
        self.shared: dict[str, Any] = {}

    def slots(self, timed: bool) -> int:
        # One more than can run, so that none waits for the driver.
        return max(self.timed if timed else self.untimed, 1) + 1

    def run(self, slot: int, job: str, reads: Sequence[Any], times: str, limit: float | None, wish: _native.Wish) -> Done:
        ray, paths = self.ray, [str(p) for p in reads]
        local = [p for p in paths if not is_address(p)]
        names, data = [], []
        for k, path in enumerate(local):
            # The first is the model, if there is one; data is shared by many jobs.
            model = k == 0 and path.endswith(".onnx")
            for name, content in self._kept(path) if not model else contents(path):
                names.append(name)
                data.append(content if isinstance(content, ray.ObjectRef) else ray.put(content))
        is_timed = job.startswith('{"probe"') or (job.startswith('{"optimize"') and '"plan_only":true' not in job)
        device = self.gpu and job.startswith('{"device"')
        needs = self.whole if is_timed or device else self.single
        task = self.task.options(**needs, **self.options)
        ref = task.remote(_native.__version__, job, paths, names, times, limit, *data)
        while True:
            ready, _ = ray.wait([ref], timeout=_PATIENCE)
            if ready:
                return ray.get(ref)
            if wish.requested():
                ray.cancel(ref, force=True)
                return '"stopped"', "", "", {}

    def _kept(self, path: str) -> list[tuple[str, Any]]:
        if path not in self.shared:
            self.shared[path] = [(name, self.ray.put(content)) for name, content in contents(path)]
        return self.shared[path]


#: The processes of a Ray worker.
_processes: list[_native.Processes] = []


def _task(version: str, job: str, reads: list[str], names: list[str], times: str, limit: float | None, *data: bytes) -> Done:
    """What a Ray worker does."""
    if version != _native.__version__:
        raise RuntimeError(f"this node has snapprune {_native.__version__}, the driver {version}; install the same everywhere")
    # A Ray worker does one task at a time, and is there for the next one.
    if not _processes:
        callable_again()
        _processes.append(_native.Processes(1, _native.Wish()))
    return do(_processes[0], 0, job, reads, list(zip(names, data)), times, limit)
