"""The shards of a pool in Ray actors, one in each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from entroloop.engines.ray_cluster import error_of, wait_for
from entroloop.pools.hosts import LOST
from entroloop.pools.rows import Rows
from entroloop.pools.shard import Call, Shard


class RayHosts:
    """See `Hosts`; each: what an actor claims of the cluster."""

    def __init__(self, ray: Any, rows: Rows, bounds: Sequence[int], each: dict[str, float]) -> None:
        self.bounds = bounds
        self._ray = ray
        self._actor = ray.remote(**each)(Shard)
        self._rows = [ray.put(rows.between(start, stop)) for start, stop in pairwise(bounds)]
        self._actors = [self._made(i) for i in range(len(self._rows))]
        wait_for(self._ray, [actor.answer.remote([]) for actor in self._actors])

    def _made(self, i: int) -> Any:
        return self._actor.remote(self._rows[i], self.bounds[i])

    def ask(self, requests: dict[int, list[Call]]) -> dict[int, Any]:
        """See `Hosts`."""
        waiting = {i: self._actors[i].answer.remote(calls) for i, calls in requests.items()}
        return {i: self._answer(reference) for i, reference in waiting.items()}

    def _answer(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error_of(error) from None
        except self._ray.exceptions.RayError:
            return LOST

    def rebuild(self, i: int) -> None:
        """See `Hosts`."""
        self._actors[i] = self._made(i)
        wait_for(self._ray, [self._actors[i].answer.remote([])])

    def close(self) -> None:
        """See `Hosts`."""
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = []
