"""A generator that knows nothing but its training rows: it draws them with replacement."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict


class Bootstrap(BaseModel):
    """Settings: none. Its samples are copies, the extreme of memorization."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    SAMPLING: ClassVar[tuple[str, ...]] = ()  # settings that matter to sampling alone
    needs_previous: ClassVar[bool] = False  # does training start from the model before?
    name: Literal["bootstrap"] = "bootstrap"

    def fit(self, training_set, *, progress, **_: Any):
        progress(1, 1)
        return BootstrapModel(np.asarray(training_set.data))

    def load(self, folder, **_: Any):
        return BootstrapModel(np.load(folder / "rows.npy", allow_pickle=False))

    def stored_bytes(self, shape, rows):
        return 8 * rows * int(np.prod(shape))


@dataclass(frozen=True)
class BootstrapModel:
    """The training rows."""

    rows: np.ndarray
    class_shares: ClassVar[None] = None  # its samples have no labels
    batch: ClassVar[int] = 1024  # seeds that `sample` is given at a time

    def sample(self, seeds, labels=None):
        drawn = [np.random.default_rng(seed).integers(len(self.rows)) for seed in seeds]
        return self.rows[drawn]

    def save(self, folder):
        np.save(folder / "rows.npy", self.rows)
