"""The Ray engine: parts of pools in actors, generations of studies as tasks.

A local cluster is started where no address is given, on the loopback interface, and stopped at the
end. Actors and tasks that die are made again; what they make does not depend on how often.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from entroloop.engines import Listener, Schedule, StageProgress
from entroloop.errors import InputError
from entroloop.pools.hosts import LOST, cut
from entroloop.pools.rows import Rows
from entroloop.pools.shard import Call, Part
from entroloop.store.folder import Store
from entroloop.store.object_store import store_at
from entroloop.study.build import Built, build
from entroloop.study.config import StudyConfig
from entroloop.study.loop import run_generation
from entroloop.study.plan import Step, plan

ATTEMPTS = 3  # at one step, before a worker that keeps dying on it ends the study
PATIENCE = 60.0  # seconds until what the cluster has must be free


class RayEngine:
    """A Ray cluster whose actors hold the parts of a pool, and whose tasks make studies.

    workers: parts of a pool, and steps at once (default: the cluster's processors over `cpus`).
    address: of a running cluster; without one a local cluster is started, and stopped by `close`.
    cpus, gpus, memory (bytes): what each worker needs; gpus may be a fraction. ranks: processes
    that train each network of a study together, through accelerate, within what one worker has.

    Raises InputError where Ray is not installed, the address does not answer, or the cluster has
    too little.
    """

    name = "ray"

    def __init__(
        self,
        workers: int | None = None,
        *,
        address: str | None = None,
        cpus: float = 1,
        gpus: float = 0,
        memory: int = 0,
        ranks: int = 1,
    ) -> None:
        whole = {"workers": workers, "ranks": ranks}
        for name, value in whole.items():
            if value is not None and (isinstance(value, bool) or value != int(value) or value < 1):
                raise InputError(f"{name} must be a whole number of at least 1; got {value}")
        if not cpus > 0 or gpus < 0 or memory < 0:
            raise InputError("cpus must be above 0, gpus and memory not below 0")
        self._ray = _imported(local=address is None)
        self._own = not self._ray.is_initialized()
        if self._own:
            _start(self._ray, address, workers, cpus)
        there = self._ray.cluster_resources()
        self.workers = workers or max(1, int(there.get("CPU", 1) / cpus))
        self._each = {"num_cpus": cpus, "num_gpus": gpus, "memory": memory}
        self._ranks = ranks
        try:
            self._check(there)
        except InputError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the cluster, or leave one that was there before."""
        if self._own:
            self._ray.shutdown()

    def _check(self, there: dict[str, float]) -> None:
        names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
        for key, name in names.items():
            asked, found = self._each[key] * self.workers, there.get(name, 0)
            if asked > found:
                raise InputError(
                    f"{self.workers} workers ask for {asked:g} {name} in all, the cluster has "
                    f"{found:g}; lower --workers"
                )

    def hold(self, rows: Rows) -> RayPlaces:
        """Spread rows over one actor a worker."""
        bounds = cut(rows.shape[0], min(self.workers, rows.shape[0]))
        return RayPlaces(self._ray, rows, bounds, self._each)

    def run_steps(
        self,
        schedule: Schedule,
        config: StudyConfig,
        store: Store,
        real_key: str,
        device: str,
        listen: Listener,
    ) -> Iterator[list[Step]]:
        """Make all steps of the schedule; yield the steps that are complete as they become so."""
        ray = self._ray
        _wait_for(ray, [ray.remote(**self._each)(_nothing).remote()])
        task = ray.remote(max_retries=0, **self._each)(_make_step)
        told = (config.model_dump_json(), store.url, real_key, device, self._ranks)
        running: dict[Any, tuple[int, int]] = {}  # reference -> step, place
        attempts: dict[int, int] = {}
        try:
            while len(schedule):
                for number in schedule.ready():
                    free = set(range(self.workers)) - {place for _, place in running.values()}
                    if not free:
                        break
                    schedule.start(number)
                    attempts[number] = attempts.get(number, 0) + 1
                    place = min(free)
                    running[task.remote(*told, number)] = (number, place)
                    listen(StageProgress(place, schedule.steps[number], "training_set", 0.0))
                done, _ = ray.wait(list(running), num_returns=1)
                number, _ = running.pop(done[0])
                try:
                    ray.get(done[0])
                except ray.exceptions.RayTaskError as error:
                    raise _told(error) from None
                except ray.exceptions.RayError as error:  # its process or machine is gone
                    if attempts[number] >= ATTEMPTS:
                        step = schedule.steps[number]
                        raise RuntimeError(
                            f"a worker died {ATTEMPTS} times over generation {step.generation} of "
                            f"arm '{step.arm.name}': {error}"
                        ) from None
                    schedule.again(number)
                    continue
                yield schedule.done(number)
        finally:
            # With a cluster of our own they end, and cancelling what is about to end on its own can
            # meet a check inside Ray (task_manager.cc) that ends this process.
            if ray.is_initialized() and not self._own:
                for reference in running:
                    ray.cancel(reference, force=True)


class RayPlaces:
    """The parts of a pool, one in each actor."""

    def __init__(self, ray: Any, rows: Rows, bounds: Sequence[int], each: dict[str, float]) -> None:
        self.bounds = bounds
        self._ray = ray
        self._actor = ray.remote(**each)(Part)
        self._parts = [ray.put(rows.part(start, stop)) for start, stop in pairwise(bounds)]
        self._actors = [self._open(i) for i in range(len(self._parts))]
        _wait_for(self._ray, [actor.answer.remote([]) for actor in self._actors])

    def _open(self, i: int) -> Any:
        return self._actor.remote(self._parts[i], self.bounds[i])

    def ask(self, requests: dict[int, list[Call]]) -> dict[int, Any]:
        """See `Places`."""
        waiting = {i: self._actors[i].answer.remote(calls) for i, calls in requests.items()}
        return {i: self._answer(reference) for i, reference in waiting.items()}

    def _answer(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise _told(error) from None
        except self._ray.exceptions.RayError:
            return LOST

    def rebuild(self, i: int) -> None:
        """See `Places`."""
        self._actors[i] = self._open(i)
        _wait_for(self._ray, [self._actors[i].answer.remote([])])

    def close(self) -> None:
        """See `Places`."""
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = []


def _imported(*, local: bool) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the machine
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if local:  # on the loopback interface alone: Ray's switch for it, read when it is imported
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError:
        raise InputError(
            "the engine ray needs Ray: python -m pip install 'entroloop[ray]'"
        ) from None
    return ray


def _start(ray: Any, address: str | None, workers: int | None, cpus: float) -> None:
    """Start a local cluster, or join the one at an address."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    common = {"logging_level": "ERROR", "log_to_driver": False, "configure_logging": False}
    if address is None:
        needed = None if workers is None else max(int(-(-workers * cpus // 1)), 1)
        found = os.cpu_count() or 1
        if needed is not None and needed > found:
            raise InputError(
                f"{workers} workers ask for {needed} CPU in all, this machine has {found}; lower "
                "--workers"
            )
        ray.init("local", num_cpus=found, include_dashboard=False, **common)
        return
    _check_reachable(address)
    try:
        ray.init(address, **common)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"--address {address}: {' '.join(str(error).split())[:200]}") from None


def _check_reachable(address: str) -> None:
    """Refuse an address that does not answer, before Ray tries it for a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit():
        raise InputError(f"--address must be HOST:PORT or auto; got {address}")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise InputError(
            f"--address {address} does not answer ({error}); is a cluster running there?"
        ) from None


def _wait_for(ray: Any, waiting: list[Any]) -> None:
    """Wait until work has found its place; raises InputError where it finds none."""
    _, missing = ray.wait(waiting, num_returns=len(waiting), timeout=PATIENCE)
    if missing:
        for reference in missing:
            with suppress(ValueError, TypeError):  # an actor's: it goes with the actor
                ray.cancel(reference)
        free = ray.available_resources()
        raise InputError(
            f"{len(missing)} of {len(waiting)} workers found no place within {PATIENCE:.0f} s; "
            f"free are {free.get('CPU', 0):g} CPU and {free.get('GPU', 0):g} GPU: wait for other "
            "work to end, or lower --workers"
        )


def _nothing() -> None:
    return


def _told(error: Any) -> Exception:
    """Return what went wrong in a worker: bad input in its one line, a defect with its trace."""
    if isinstance(error.cause, InputError):
        return InputError(str(error.cause))
    return RuntimeError(f"a worker failed:\n{error}")


def _make_step(
    config: str, store_url: str, real_key: str, device: str, ranks: int, number: int
) -> None:
    """Make one step of a study, in a task."""
    store = store_at(store_url)
    identity = store.identity()
    if identity is None or identity["real"] != real_key:
        raise InputError(
            f"a worker on {socket.gethostname()} does not see the study in {store_url}; put it on "
            "a path that all machines share, or in an object store"
        )
    if ranks == 1:
        built, steps = _planned(config, real_key, device)
        run_generation(steps[number], built, store, device, _say_nothing)
        return
    told = {"config": json.loads(config), "store": store_url, "real": real_key, "device": device,
            "step": number}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "step.json"
        file.write_text(json.dumps(told))
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks),
                   "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0",
                   "-m", "entroloop.engines.together", str(file)]  # fmt: skip
        # All on this machine: they need not find each other over its network.
        own = {"GLOO_SOCKET_IFNAME": "lo"} if Path("/sys/class/net/lo").exists() else {}
        made = subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | own
        )
    if made.returncode:
        raise RuntimeError(f"{ranks} processes that train together failed:\n{made.stderr[-3000:]}")


@cache
def _planned(config: str, real_key: str, device: str) -> tuple[Built, list[Step]]:
    built = build(StudyConfig.model_validate_json(config))
    return built, plan(built, real_key, device)


def _say_nothing(stage: str, share: float) -> None:  # noqa: ARG001
    return
