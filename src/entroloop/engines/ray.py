"""The Ray engine: shards of pools in actors, generations of studies as tasks.

A local cluster is started where no address is given, on the loopback interface, and stopped at the
end. Actors and tasks that die are made again; what they make does not depend on how often.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from entroloop.engines.dispatch import Event, dispatch
from entroloop.engines.job import Assignment, Job
from entroloop.engines.ray_cluster import error_of, import_ray, start, wait_for
from entroloop.engines.ray_hosts import RayHosts
from entroloop.errors import InputError
from entroloop.pools.hosts import cut
from entroloop.pools.rows import Rows
from entroloop.study.plan import Step


class RayEngine:
    """A Ray cluster whose actors hold the shards of a pool, and whose tasks make studies.

    workers: shards of a pool, and steps at once (default: the cluster's processors over `cpus`).
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
        self._ray = import_ray(local=address is None)
        self._own = not self._ray.is_initialized()
        if self._own:
            start(self._ray, address, workers, cpus)
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

    def distribute(self, rows: Rows) -> RayHosts:
        """See `PoolEngine`: one actor a worker."""
        bounds = cut(rows.shape[0], min(self.workers, rows.shape[0]))
        return RayHosts(self._ray, rows, bounds, self._each)

    def run_steps(self, job: Job) -> Iterator[list[Step]]:
        """See `Engine`."""
        return dispatch(
            job, _Tasks(self._ray, job, self.workers, self._each, self._ranks, self._own)
        )


class _Tasks:
    """Tasks of a cluster, each for one step; own: the cluster ends with the engine."""

    def __init__(
        self, ray: Any, job: Job, slots: int, each: dict[str, float], ranks: int, own: bool
    ) -> None:
        self.slots = slots
        self._ray, self._own = ray, own
        wait_for(ray, [ray.remote(**each)(_nothing).remote()])
        self._task = ray.remote(max_retries=0, **each)(make_step)
        self._arguments = (job.assignment().to_json(), ranks)
        self._running: dict[Any, int] = {}  # reference -> slot

    def start(self, slot: int, number: int) -> None:
        """See `Crew`."""
        self._running[self._task.remote(*self._arguments, number)] = slot

    def wait(self) -> Event:
        """See `Crew`."""
        ray = self._ray
        [reference], _ = ray.wait(list(self._running), num_returns=1)
        slot = self._running.pop(reference)
        try:
            ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            found = error_of(error)
            if isinstance(found, InputError):
                return Event(slot, "refused", str(found))
            raise found from None
        except ray.exceptions.RayError as error:  # its process or machine is gone
            return Event(slot, "lost", str(error))
        return Event(slot, "done")

    def close(self) -> None:
        """See `Crew`."""
        # With a cluster of our own they end, and cancelling what is about to end on its own can
        # meet a check inside Ray (task_manager.cc) that ends this process.
        if self._ray.is_initialized() and not self._own:
            for reference in self._running:
                self._ray.cancel(reference, force=True)


def _nothing() -> None:
    return


def make_step(assignment: str, ranks: int, number: int) -> None:
    """Make one step of a study, in a task: alone, or by several processes together."""
    here = Assignment.workplace(assignment)
    identity = here.store.identity()
    if identity is None or identity["real"] != here.real_key:
        raise InputError(
            f"a worker on {socket.gethostname()} does not see the study in {here.store.url}; put "
            "it on a path that all machines share, or in an object store"
        )
    if ranks == 1:
        here.make(number)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "step.json"
        file.write_text(json.dumps({"assignment": assignment, "step": number}), "utf-8")
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks),
                   "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0",
                   "-m", "entroloop.engines.together", str(file)]  # fmt: skip
        # All on this machine: they need not find each other over its network.
        own = {"GLOO_SOCKET_IFNAME": "lo"} if Path("/sys/class/net/lo").exists() else {}
        made = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            env=os.environ | own,
        )
    if made.returncode:
        raise RuntimeError(f"{ranks} processes that train together failed:\n{made.stderr[-3000:]}")
