"""What trackers get: the record of each generation once, over all runs of a study."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path

from entroloop.errors import Notice, with_kind
from entroloop.store.records import GenerationRecord
from entroloop.system.files import write_atomically
from entroloop.trackers import TRACKERS
from entroloop.trackers.tracker import TrackedRun, Tracker

FILE = "logged.json"  # which records each tracker has, by their keys
NOT_MEASURED = {"arm", "seed", "generation"}


class TrackerLog:
    """The trackers of a study; one that fails is told in a warning and left out from then on."""

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        self._folder = folder
        self._trackers: dict[str, Tracker] = {}
        for name in names:
            module, made_by = TRACKERS[name].split(":")
            self._trackers[name] = getattr(import_module(module), made_by)(folder / name)
        self._logged: dict[str, list[str]] = self._read() if names else {}

    def record(self, record: GenerationRecord, key: str, run: TrackedRun) -> None:
        """Log a record, unless a tracker has it; key: its stage's, which arms may share."""
        key = f"{run.key}/{key}"
        new = [name for name in self._trackers if key not in self._logged.setdefault(name, [])]
        if not new:
            return
        values = tracked_values(record)
        for name in new:
            act = partial(self._trackers[name].log, run, record.generation, values)
            if self._works(name, act):
                self._logged[name].append(key)
        with suppress(OSError):  # without it records are logged twice: no reason to end a study
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._folder / FILE, json.dumps(self._logged, indent=1))

    def close(self) -> None:
        """End all trackers."""
        for name in list(self._trackers):
            self._works(name, self._trackers[name].close)

    def _works(self, name: str, act: Callable[[], None]) -> bool:
        """Whether an act of a tracker succeeds; one that does not ends the tracker, not a study."""
        try:
            act()
        except Exception as error:  # whatever libraries of others raise
            self._trackers.pop(name, None)
            warnings.warn(
                f"the tracker {name} failed and gets no more records: {with_kind(error, 300)}",
                Notice,
                stacklevel=3,
            )
            return False
        return True

    def _read(self) -> dict[str, list[str]]:
        try:
            found = json.loads((self._folder / FILE).read_text("utf-8"))
            return {str(name): list(map(str, keys)) for name, keys in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}


def tracked_values(record: GenerationRecord) -> dict[str, float]:
    """Return the finite numbers of a record by column."""
    return {
        name: float(value)
        for name, value in record.row().items()
        if name not in NOT_MEASURED and isinstance(value, (int, float)) and math.isfinite(value)
    }
