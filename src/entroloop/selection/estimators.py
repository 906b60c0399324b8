"""The strategies as scikit-learn estimators, for pipelines that choose rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from entroloop.samples import Array
from entroloop.selection import Selection, select


class _RowSelector(BaseEstimator):  # type: ignore[misc]
    """Chooses rows of X: `fit`, `get_support`, `transform`, `fit_transform`.

    n_rows: how many; a float in (0, 1] is a share of the rows of X.
    """

    def _arguments(self) -> dict[str, Any]:
        raise NotImplementedError

    def fit(self, X: Any, y: Any = None) -> _RowSelector:
        """Choose rows of X (m, d); y is not used."""
        X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=1)
        parameters = self.get_params()
        n = parameters["n_rows"]
        n = max(1, round(n * len(X))) if isinstance(n, float) else n
        self.selection_: Selection = select(
            X, n, metric=parameters["metric"], seed=parameters["seed"], **self._arguments()
        )
        self.n_rows_in_ = len(X)
        return self

    def get_support(self, indices: bool = False) -> Array:
        """Return a mask of the rows of X, or their indices in pick order."""
        check_is_fitted(self)
        if indices:
            return self.selection_.indices
        mask = np.zeros(self.n_rows_in_, dtype=bool)
        mask[self.selection_.indices] = True
        return mask

    def transform(self, X: Any) -> Array:
        """Return the chosen rows of the X that was fitted, in pick order."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        if len(X) != self.n_rows_in_:
            raise ValueError(
                f"X has {len(X)} rows; the selection was fitted on {self.n_rows_in_}: it says "
                "which of those to keep"
            )
        rows: Array = X[self.selection_.indices]
        return rows

    def fit_transform(self, X: Any, y: Any = None) -> Array:
        """Return the chosen rows of X."""
        return self.fit(X, y).transform(X)


class FarthestPointSelector(_RowSelector):
    """Greedy selection (farthest-point sampling) of rows.

    >>> FarthestPointSelector(2).fit([[0.0], [1.0], [9.0]]).get_support().sum()
    np.int64(2)
    """

    def __init__(
        self, n_rows: int | float = 0.5, *, metric: str = "euclidean", seed: int = 0
    ) -> None:
        self.n_rows, self.metric, self.seed = n_rows, metric, seed

    def _arguments(self) -> dict[str, Any]:
        return {"strategy": "greedy"}


class ThresholdDecaySelector(_RowSelector):
    """Threshold decay selection of rows; parameters as in the strategy `threshold_decay`."""

    def __init__(
        self,
        n_rows: int | float = 0.5,
        *,
        threshold: float | None = None,
        decay: float | None = None,
        strength: float | None = None,
        metric: str = "euclidean",
        seed: int = 0,
    ) -> None:
        self.n_rows, self.metric, self.seed = n_rows, metric, seed
        self.threshold, self.decay, self.strength = threshold, decay, strength

    def _arguments(self) -> dict[str, Any]:
        return {
            "strategy": "threshold_decay",
            "threshold": self.threshold,
            "decay": self.decay,
            "strength": self.strength,
        }
