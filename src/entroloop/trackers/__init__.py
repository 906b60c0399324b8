"""Trackers: records as curves in programs that draw them. One file per tracker.

All write files beside the study; none sends anything. `log.py` says what is logged, and once. The
tracker classes of accelerate hold one run a process (MLflow's is the process's active run), where
the arms and seeds of a study are several at a time and go on in another process.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from entroloop.errors import InputError

# Name -> the class that writes it. Its package and its extra have the same name.
TRACKERS = {
    "tensorboard": "entroloop.trackers.tensorboard:TensorBoard",
    "wandb": "entroloop.trackers.wandb:WeightsAndBiases",
    "mlflow": "entroloop.trackers.mlflow:MLflow",
}

__all__ = ["TRACKERS", "check_installed"]


def check_installed(names: Sequence[str]) -> None:
    """Raise InputError for a tracker whose package is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise InputError(
                f"the tracker {name} is not installed: python -m pip install 'entroloop[{name}]'"
            )
