"""A uniform distribution, fitted by its largest row: a case where accumulating is safe."""

from __future__ import annotations

import numpy as np

from entroloop.samples import Float64
from entroloop.theory.case import Case, Curve

N, GENERATIONS = 20, 10
LENGTH = "fitted length, real = 1"


def _simulate(rng: np.random.Generator, loops: int) -> Float64:
    replaced = rng.random((loops, N)).max(axis=1)
    pooled = replaced
    lengths = [(replaced, pooled)]
    for _ in range(GENERATIONS - 1):
        replaced = replaced * rng.random((loops, N)).max(axis=1)
        pooled = np.maximum(pooled, pooled * rng.random((loops, N)).max(axis=1))
        lengths.append((replaced, pooled))
    return np.array(lengths).transpose(1, 0, 2)


_at = np.arange(1.0, GENERATIONS + 1)

UNIFORM = Case(
    "uniform", "Accumulating is safe: the length of an interval",
    f"{N} rows a generation of U[0, θ], fitted by maximum likelihood: accumulated, the error stays "
    "for ever what the real rows alone leave.",
    ("2404.01413", "2505.19046"), "generation", _at,
    (
        Curve(LENGTH, "replace", "(n/(n + 1))^T", (N / (N + 1)) ** _at),
        Curve(LENGTH, "accumulate", "n/(n + 1)", np.full(GENERATIONS, N / (N + 1))),
    ),
    _simulate,
)  # fmt: skip
