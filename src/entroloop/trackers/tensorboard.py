"""TensorBoard: event files, one folder per arm and seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from entroloop.trackers.tracker import TrackedRun


class TensorBoard:
    """See `Tracker`; `tensorboard --logdir trackers/tensorboard` shows the curves."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, Any] = {}

    def log(self, run: TrackedRun, generation: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        from torch.utils.tensorboard import SummaryWriter

        if run.key not in self._writers:
            place = self._folder / run.arm / f"seed-{run.seed}-{run.key[:8]}"
            writer = self._writers[run.key] = SummaryWriter(str(place))
            lines = [f"    {name}: {value}" for name, value in run.settings.items()]
            writer.add_text("settings", "\n".join(lines))
        writer = self._writers[run.key]
        for name, value in values.items():
            writer.add_scalar(name, value, global_step=generation)
        writer.flush()

    def close(self) -> None:
        """See `Tracker`."""
        for writer in self._writers.values():
            writer.close()
