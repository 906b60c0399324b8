"""One update of a monitor, and its status: what was measured, in words, numbers and columns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from entroloop.metrics.measure import Measurement
from entroloop.monitor.onset import Gap
from entroloop.system.numbers import percent, with_interval


@dataclass(frozen=True)
class Update:
    """What a monitor measured at one step.

    n: number of samples. seconds: what the update took, sampling included where `due` was asked.
    found: measurements by metric. gaps: how far samples are memorized beyond held-out rows, by
    metric, with the error of that.
    """

    step: int
    n: int
    seconds: float
    found: dict[str, Measurement]
    gaps: dict[str, Gap] = field(default_factory=dict)

    def row(self) -> dict[str, float]:
        """Return the update as columns: the metrics, `…_low` and `…_high` of their intervals, and
        `…_gap` with `…_gap_error`; NaN where there is none.
        """
        columns: dict[str, float] = {"step": self.step, "n": self.n, "seconds": self.seconds}
        for name, found in self.found.items():
            low, high = found.interval or (math.nan, math.nan)
            columns |= {name: found.value, f"{name}_low": low, f"{name}_high": high}
        for name, gap in self.gaps.items():
            columns |= {f"{name}_gap": gap.size, f"{name}_gap_error": gap.error}
        return columns

    @classmethod
    def of_row(cls, row: dict[str, Any], metrics: list[str]) -> Update:
        """Return the update that has these columns."""
        found = {}
        for name in metrics:
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            interval = None if math.isnan(low) else (low, high)
            found[name] = Measurement(row[name], interval, "")
        gaps = {
            name: Gap(row[f"{name}_gap"], row[f"{name}_gap_error"])
            for name in metrics
            if f"{name}_gap" in row
        }
        return cls(int(row["step"]), int(row["n"]), row["seconds"], found, gaps)


@dataclass(frozen=True)
class Status:
    """Where a training stands.

    last: the last update. held_out: by metric, what real rows have in the place of samples.
    set_in: by the metric that tells it, the step at which memorization set in, or None
    (`entroloop.monitor.onset`). share: of the time, what the monitor takes. note: on the space.
    """

    last: Update
    updates: int
    held_out: dict[str, Measurement]
    set_in: dict[str, int | None]
    share: float
    note: str = ""

    @property
    def step(self) -> int:
        """The step of the last update."""
        return self.last.step

    def __getitem__(self, metric: str) -> Measurement:
        """Return the last measurement of a metric."""
        return self.last.found[metric]

    def log(self) -> dict[str, float]:
        """Return numbers for a tracker: the metrics, held-out rows' as `…_held_out`, gaps with
        their errors, and `…_set_in` once memorization has.
        """
        numbers = {k: v for k, v in self.last.row().items() if k not in ("step", "n")}
        numbers |= {f"{name}_held_out": found.value for name, found in self.held_out.items()}
        numbers |= {f"{k}_set_in": float(v) for k, v in self.set_in.items() if v is not None}
        return {
            f"monitor/{name}": float(value)
            for name, value in numbers.items()
            if math.isfinite(value)
        }

    def lines(self) -> list[tuple[str, str, str]]:
        """Return (metric, value with interval, that of held-out rows) as text, one per metric."""
        told = []
        for name, found in self.last.found.items():
            beside = self.held_out.get(name)
            told.append((name, _text(found), _text(beside) if beside is not None else ""))
        return told

    def verdict(self) -> str:
        """Say in one sentence whether and when memorization set in."""
        score, copies = (self.set_in.get(n) for n in ("generalization_score", "memorized_fraction"))
        if copies is not None:
            nearer = f"; samples nearer than held-out rows from step {score}" if score else ""
            return f"memorization set in at step {copies}: copies of training rows{nearer}"
        if score is not None:
            return (
                f"from step {score} samples lie nearer to training rows than held-out rows do; no "
                "copies beyond chance: early memorization, or samples with too little variety"
            )
        return "no memorization beyond chance"

    def __str__(self) -> str:
        head = f"step {self.step}, {self.updates} updates of {self.last.n} samples: "
        lines = [f"  {name} {value}; held-out {real}" for name, value, real in self.lines()]
        share = f"  the monitor takes {percent(self.share)} of the time"
        notes = [f"  {self.note}"] if self.note else []
        return "\n".join([head + self.verdict(), *lines, *notes, share])


def _text(found: Measurement) -> str:
    return with_interval(found.value, found.interval)
