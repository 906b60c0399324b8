"""When a monitor is due: every so many steps, and within its share of the time."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

from entroloop.errors import InputError, Notice


class Interval:
    """Tell when the next update is due, and what updates have cost.

    every: steps between updates. budget: the share of all time since the first question that
    sampling and measuring may take; None: no bound. An update costs the time from the question
    that was answered with True to its end.
    """

    def __init__(
        self, every: int, budget: float | None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        if every < 1:
            raise InputError(f"every must be at least 1 step; got {every}")
        if budget is not None and not 0 < budget < 1:
            raise InputError(f"budget must lie between 0 and 1, such as 0.05; got {budget}")
        self.every, self.budget, self._clock = every, budget, clock
        self.spent = 0.0
        self._last_step, self._last_cost = 0, 0.0
        self._began: float | None = None
        self._started: float | None = None  # the update that is being made
        self._ended = 0.0
        self._warned = False

    def due(self, step: int) -> bool:
        """Return whether an update is due at this step; if so, its time begins."""
        now = self._clock()
        if self._began is None:
            self._began = self._ended = now
        if step - self._last_step < self.every:
            return False
        if now - self._ended < self._least_pause():
            self._warn(step)
            return False
        self._started = now
        return True

    def start(self) -> None:
        """Begin an update, unless a question has begun it."""
        now = self._clock()
        self._began = now if self._began is None else self._began
        self._started = now if self._started is None else self._started

    def end(self, step: int, free: float = 0.0) -> float:
        """End an update and return its seconds; free: of these, what is done only once."""
        assert self._started is not None
        self._ended = self._clock()
        self._last_cost = max(self._ended - self._started - free, 0.0)
        self._last_step, self._started = step, None
        self.spent += self._last_cost
        return self._last_cost

    def abandon(self, step: int) -> None:
        """End an update that failed, if one is being made: the next try is an interval later."""
        if self._started is not None:
            self.end(max(step, self._last_step))

    def resume_at(self, step: int) -> None:
        """Count the steps from here: the last update was made at this one."""
        self._last_step = step

    @property
    def share(self) -> float:
        """The share of the time since the first question that updates have taken."""
        if self._began is None:
            return 0.0
        return self.spent / max(self._clock() - self._began, 1e-12)

    def _least_pause(self) -> float:
        """Return how long to wait after an update, so that another like it stays in the budget."""
        if self.budget is None:
            return 0.0
        return self._last_cost * (1 - self.budget) / self.budget

    def _warn(self, step: int) -> None:
        if self._warned:
            return
        self._warned = True
        warnings.warn(
            f"the monitor took {self._last_cost:.3g} s for an update, more than "
            f"{self.budget:.0%} of the time of {self.every} steps: from step {step} on it measures "
            "less often (budget=None keeps the interval; fewer samples or sampling steps make it "
            "cheaper)",
            Notice,
            stacklevel=4,
        )
