"""scikit-learn's 1,797 real handwritten digits, 8×8, as float32 vectors x/8 − 1."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from entroloop.samples import RealData


class Digits(BaseModel):
    """Settings: the sizes of the split."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: Literal["digits"] = "digits"
    n_train: int = Field(ge=2)
    n_reference: int = Field(ge=2)

    def load(self) -> RealData:
        """Return (1797, 64) float32 in [−1, 1] with labels 0 … 9; scikit-learn ships the data."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        data = (digits.data / 8 - 1).astype(np.float32)
        return RealData(data, digits.target.astype(np.int64), (8, 8))
