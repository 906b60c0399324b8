"""`--engine`, which `run` and `select` share: where the work runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from entroloop.errors import InputError

if TYPE_CHECKING:
    from entroloop.engines.ray import RayEngine


def check_engine(engine: str, address: str | None) -> None:
    """Refuse an engine that does not exist, and an address without Ray."""
    if engine not in ("local", "ray"):
        raise InputError(f"--engine {engine} is unknown; valid: local, ray")
    if address is not None and engine != "ray":
        raise InputError("--address names a Ray cluster; add --engine ray")


@contextmanager
def cluster_for(
    engine: str, address: str | None, workers: int | None, needs: dict[str, Any]
) -> Iterator[RayEngine | None]:
    """Yield the Ray cluster for --engine ray, or None for the local engine."""
    if engine == "local":
        yield None
        return
    from entroloop.engines.ray import RayEngine

    with RayEngine(workers, address=address, **needs) as cluster:
        yield cluster
