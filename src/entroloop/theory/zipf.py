"""Categories with a Zipf tail, drawn anew from the shares that were seen."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from entroloop.samples import Float64
from entroloop.theory.case import Case, Curve

N, CATEGORIES, EXPONENT, GENERATIONS = 100, 300, 1.5, 12
LEFT = "categories that still occur"
LOST = "real probability of the categories that are lost"
DIFFER = "chance that two draws differ"

_ranks = np.arange(1, CATEGORIES + 1)
_p = _ranks**-EXPONENT / (_ranks**-EXPONENT).sum()


def _simulate(rng: np.random.Generator, loops: int) -> Float64:
    counts = rng.multinomial(N, _p, size=loops)
    pool = counts.copy()
    found = np.empty((5, GENERATIONS, loops))
    for g in range(GENERATIONS):
        if g:
            pool += rng.multinomial(N, pool / (N * g))
            counts = rng.multinomial(N, counts / N)
        found[0, g], found[1, g] = (counts > 0).sum(axis=1), (pool > 0).sum(axis=1)
        found[2, g] = (counts == 0) @ _p
        found[3, g] = 1 - np.square(counts / N).sum(axis=1)
        found[4, g] = 1 - np.square(pool / (N * (g + 1))).sum(axis=1)
    return found


def _gone() -> Float64:
    """Return the probability that a category is lost by each generation, (generations, categories).

    The count of one category is a Markov chain on 0 … n of binomial steps, and 0 keeps it.
    """
    counts = np.arange(N + 1)
    step = binom.pmf(counts, N, counts[:, None] / N)
    state = binom.pmf(counts, N, _p[:, None])
    found = []
    for _ in range(GENERATIONS):
        found.append(state[:, 0])
        state = state @ step
    return np.array(found)


_at = np.arange(1.0, GENERATIONS + 1)
_lost = _gone()
_apart = 1 - np.square(_p).sum()

ZIPF = Case(
    "zipf", "Categories with a Zipf tail",
    f"{N} draws a generation of {CATEGORIES} categories, the k-th with probability ∝ "
    f"k^−{EXPONENT}: rare ones are lost one after the other where draws are replaced; "
    "accumulated, none is lost after the first generation.",
    ("2305.17493", "2402.07043"), "generation", _at,
    (
        Curve(LEFT, "replace", "Σ_k (1 − P(N_T = 0)), by powers of the chain", (1 - _lost).sum(1)),
        Curve(LEFT, "accumulate", "Σ_k (1 − (1 − p_k)^n)",
              np.full(GENERATIONS, (1 - _lost[0]).sum())),
        Curve(LOST, "replace", "Σ_k p_k P(N_T = 0)", _lost @ _p),
        Curve(DIFFER, "replace", "(1 − Σp²)(1 − 1/n)^T", _apart * (1 - 1 / N) ** _at),
        Curve(DIFFER, "accumulate", "(1 − Σp²) ∏_{t≤T} (1 − 1/(n t²))",
              _apart * np.cumprod(1 - 1 / (N * _at**2))),
    ),
    _simulate,
)  # fmt: skip
