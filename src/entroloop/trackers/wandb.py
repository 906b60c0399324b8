"""Weights & Biases, offline: runs as files, which `wandb sync` sends where the user wants that."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from entroloop.trackers.tracker import TrackedRun


class WeightsAndBiases:
    """See `Tracker`; a run that goes on has the id of before, so that a sync joins the parts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs: dict[str, Any] = {}

    def log(self, run: TrackedRun, generation: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        if run.key not in self._runs:
            self._runs[run.key] = self._begun(run)
        self._runs[run.key].log(dict(values), step=generation)

    def close(self) -> None:
        """See `Tracker`."""
        for run in self._runs.values():
            run.finish()

    def _begun(self, run: TrackedRun) -> Any:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when wandb is imported
        import wandb

        self._folder.mkdir(parents=True, exist_ok=True)
        return wandb.init(
            project=run.study, name=run.name, group=run.arm, id=run.key, config=dict(run.settings),
            mode="offline", dir=str(self._folder), reinit="create_new",
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, disable_code=True,
                x_disable_stats=True,
            ),
        )  # fmt: skip
