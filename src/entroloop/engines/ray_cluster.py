"""A Ray cluster: starting or joining one, waiting for room on it, and what its errors mean."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import suppress
from typing import Any

from entroloop.errors import InputError, one_line
from entroloop.system.signals import hearing_kept

PATIENCE = 60.0  # seconds until what the cluster has must be free


def import_ray(*, local: bool) -> Any:
    """Return the module; raises InputError with the install command where it is missing."""
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


def start(ray: Any, address: str | None, workers: int | None, cpus: float) -> None:
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
        with hearing_kept():
            ray.init("local", num_cpus=found, include_dashboard=False, **common)
        return
    _check_reachable(address)
    try:
        with hearing_kept():
            ray.init(address, **common)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"--address {address}: {one_line(error, 200)}") from None


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


def wait_for(ray: Any, waiting: list[Any]) -> None:
    """Wait until work has found room; raises InputError where it finds none."""
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


def error_of(failed: Any) -> Exception:
    """Return what went wrong in a worker: bad input in its one line, a defect with its trace."""
    if isinstance(failed.cause, InputError):
        return InputError(str(failed.cause))
    return RuntimeError(f"a worker failed:\n{failed}")
