"""What a tracker does: one file per tracker has a class of this form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class TrackedRun:
    """One arm at one seed, as a run of a tracker.

    study: its name, for what a tracker calls a project or an experiment. key: tells runs of equal
    names but other settings apart. settings: of the arm, as text by name.
    """

    study: str
    arm: str
    seed: int
    key: str
    settings: Mapping[str, str]

    @property
    def name(self) -> str:
        """What people see."""
        return f"{self.arm} seed {self.seed}"


class Tracker(Protocol):
    """Writes runs to a folder of its own; runs of several arms may be open at a time."""

    def __init__(self, folder: Path) -> None: ...

    def log(self, run: TrackedRun, generation: int, values: Mapping[str, float]) -> None:
        """Write the values of one generation; a run begins with its first."""

    def close(self) -> None:
        """Write what is left and end."""
