"""Monitor: what a model in training makes, measured against the real rows as it trains."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from entroloop.data.inputs.arrays import as_array
from entroloop.errors import InputError
from entroloop.features import extractor_for
from entroloop.metrics.sets import Sets
from entroloop.monitor.interval import Interval
from entroloop.monitor.onset import SIGNS, onset
from entroloop.monitor.real import Real, check_metrics
from entroloop.monitor.rows import RowFormat
from entroloop.monitor.update import Status, Update
from entroloop.samples import Array, as_vectors, check_rows
from entroloop.system.devices import device_for

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_METRICS = (
    "entropy_samples", "generalization_score", "memorized_fraction", "frechet_distance",
)  # fmt: skip


class Monitor:
    """Measure the samples of a model in training against the real rows, update by update.

    train, reference: real rows that the model is trained on, and held-out ones: vectors (n, d), or
    images, uint8 or float, (n, h, w, c) or (n, c, h, w), as arrays, torch tensors or PIL images.
    features: the space, as for `measure`, or a function from uint8 images (n, h, w, c), or from
    vectors, to (n, d). values: the range of float images, (0, 1) or (-1, 1); channels: "first" or
    "last", where shapes do not tell. metrics: names of `METRICS` that take generated rows. every:
    steps between updates (`due`). budget: the share of the time that sampling and measuring may
    take before updates become rarer; None: never. n_samples: the number of samples of an update
    (default: that of the first; callbacks take 256). device: where distances and features are
    computed.

    What is known of the real rows (features, neighbours, moments, what held-out rows score) is
    found once and kept. Values are those of `measure` of the same rows and seed.

    Raises InputError for rows that cannot be compared, and unclear ranges or layouts.

    >>> rng = np.random.default_rng(0)
    >>> m = Monitor(train=rng.normal(size=(50, 2)), reference=rng.normal(size=(50, 2)))
    >>> m.update(rng.normal(size=(40, 2)), step=100).step
    100
    """

    def __init__(
        self,
        *,
        train: Any,
        reference: Any,
        features: str | Callable[[Array], Any] = "raw",
        values: tuple[float, float] | None = None,
        channels: str | None = None,
        metrics: Sequence[str] = DEFAULT_METRICS,
        every: int = 1000,
        budget: float | None = 0.05,
        n_samples: int | None = None,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        self.metrics = check_metrics(metrics)
        self.seed, self.n_samples = seed, n_samples
        self.interval = Interval(every, budget)
        self.history: list[Update] = []
        self._format = RowFormat(values, channels)
        rows = {
            "train": self._format.rows(train, "train"),
            "reference": self._format.rows(reference, "reference"),
        }
        self._shape = rows["train"].shape[1:]
        for role, x in rows.items():
            if len(x) < 2:
                raise InputError(f"{role} holds {len(x)} rows; at least 2 are needed")
            self._check_shape(x, role)
        if isinstance(features, str):
            self.features = features
            self._map: Callable[[Array], Any] = extractor_for(features, device).fitted_to(
                rows["reference"]
            )
        else:
            self.features = getattr(features, "__qualname__", type(features).__name__)
            self._map = features
        self._sets = Sets(
            **{role: self._mapped(x, role) for role, x in rows.items()},
            seed=seed,
            device=device_for(device),
        )
        self._real: Real | None = None

    def due(self, step: int) -> bool:
        """Return whether samples are to be made at this step.

        True every `every` steps; later, and with one warning, where sampling and measuring would
        take more than the budget of the time.
        """
        return self.interval.due(step)

    def update(self, samples: Any, step: int) -> Update:
        """Measure samples made at a step, and return what was found; it joins the history.

        samples: in the form of the real rows. Raises InputError for samples that cannot be read or
        hold NaN, fewer than before, and a step that does not come after the last.
        """
        if not isinstance(step, int | np.integer):
            raise InputError(f"step must be a whole number; got {step!r}")
        self.interval.start()
        try:
            update = self._updated(samples, step)
        except BaseException:
            self.interval.abandon(step)
            raise
        self.history.append(update)
        return update

    def _updated(self, samples: Any, step: int) -> Update:
        if self.history and step <= self.history[-1].step:
            raise InputError(
                f"step {step} does not come after step {self.history[-1].step}; after going back "
                "to a checkpoint call forget_after(step)"
            )
        x = self._format.rows(samples, "samples")
        self._check_shape(x, "samples")
        x = x[: self._checked_number(len(x))]
        began = time.perf_counter()
        real = self._compared()
        once = time.perf_counter() - began
        found, gaps = real.compare(self._mapped(x, "samples"))
        return Update(int(step), len(x), self.interval.end(step, free=once), found, gaps)

    @property
    def status(self) -> Status:
        """Where the training stands; raises InputError before the first update."""
        if not self.history:
            raise InputError("the monitor has no updates yet; call update(samples, step)")
        real = self._compared()
        return Status(
            last=self.history[-1],
            updates=len(self.history),
            held_out=real.held_out,
            set_in=self.set_in(),
            share=self.interval.share,
            note=real.note,
        )

    def set_in(self) -> dict[str, int | None]:
        """Return, by the metric that tells it, the step at which memorization set in, or None.

        See `entroloop.monitor.onset` for the definition.
        """
        steps = [update.step for update in self.history]
        return {
            name: onset(steps, [update.gaps[name].beyond for update in self.history])
            for name in SIGNS
            if name in self.metrics
        }

    def forget_after(self, step: int) -> None:
        """Forget the updates after a step, where a training goes on from its checkpoint."""
        self.history = [update for update in self.history if update.step <= step]
        self.interval.resume_at(self.history[-1].step if self.history else 0)

    def to_pandas(self) -> pd.DataFrame:
        """Return the history as a data frame, one row per update, with the columns of `Update`."""
        import pandas as pd

        return pd.DataFrame([update.row() for update in self.history])

    def save(self, path: str | Path) -> None:
        """Write the history to a parquet file, as a whole or not at all.

        Raises InputError where the file is something else than a monitor's history.
        """
        from entroloop.monitor.saved import write_history

        write_history(Path(path), [update.row() for update in self.history], self._identity())

    def load(self, path: str | Path) -> None:
        """Take up the history that `save` wrote, of the same rows, features and metrics.

        Raises InputError where it is of other ones, or no history.
        """
        from entroloop.monitor.saved import read_history

        rows = read_history(Path(path), self._identity())
        self.history = [Update.of_row(row, self.metrics) for row in rows]
        if self.history:
            self.n_samples, self._real = self.history[-1].n, None
            self.interval.resume_at(self.history[-1].step)

    def _repr_html_(self) -> str:
        from entroloop.monitor.notebook import html

        return html(self.history, self.status) if self.history else "<p>no updates yet</p>"

    def _mapped(self, x: Array, role: str) -> Array:
        """Return rows in the feature space."""
        rows = as_vectors(as_array(self._map(x), f"{role} (features {self.features})"))
        if len(rows) != len(x):
            raise InputError(f"features returned {len(rows)} rows for {len(x)} {role}")
        check_rows(rows, f"{role} (features {self.features})")
        return rows

    def _check_shape(self, x: Array, role: str) -> None:
        if x.shape[1:] != self._shape:
            raise InputError(
                f"{role} are rows of shape {x.shape[1:]}, the training rows of {self._shape}"
            )

    def _checked_number(self, n: int) -> int:
        """Return the number of samples that an update takes; the first one sets it."""
        wanted = n if self.n_samples is None else self.n_samples
        if wanted < 2 or n < wanted:
            raise InputError(
                f"{n} samples where each update has {max(wanted, 2)}: figures depend on their "
                "number; make as many each time"
            )
        self.n_samples = wanted
        return wanted

    def _compared(self) -> Real:
        """Return what samples are compared with; found once, at the first update."""
        if self._real is None:
            assert self.n_samples is not None
            self._real = Real(self._sets, self.metrics, self.n_samples)
        return self._real

    def _identity(self) -> str:
        """Return what histories must share: rows, features and metrics."""
        told = [self.features, *self.metrics, str(self.seed)]
        digest = hashlib.sha256("\n".join(told).encode())
        for role in ("train", "reference"):
            rows = self._sets[role]
            digest.update(f"{rows.shape} {rows.dtype}".encode())
            digest.update(np.ascontiguousarray(rows).data)
        return digest.hexdigest()
