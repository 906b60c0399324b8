"""Drift of fidelity, coverage and novelty against held-out rows; spikiness and hubness."""

from __future__ import annotations

import math

import numpy as np

from entroloop.distances.neighbors import distinct_rows
from entroloop.errors import InputError
from entroloop.metrics.entropy import knn_entropy
from entroloop.metrics.moments import centred
from entroloop.metrics.neighbourhood import nearest_distances_of
from entroloop.metrics.sets import Sets
from entroloop.samples import Array, as_vectors, check_rows

COMPONENTS = 2
HUB_NEIGHBOURS = 10


def drift_fidelity(*, generated: Array, train: Array, reference: Array) -> float:
    """Return ln of (mean distance generated → reference)/(mean distance reference → train).

    0 for a perfect generator with equally many rows in each set; above 0 if generated rows lie
    away from the real ones. docs/metrics.md derives the three parts.
    """
    return drift_fidelity_of(Sets(generated=generated, train=train, reference=reference))


def drift_coverage(*, generated: Array, train: Array, reference: Array) -> float:
    """Return ln of (mean distance reference → generated)/(mean distance reference → train).

    0 for a perfect generator; above 0 if real rows have no generated row near them.
    """
    return drift_coverage_of(Sets(generated=generated, train=train, reference=reference))


def drift_novelty(*, generated: Array, train: Array, reference: Array) -> float:
    """Return ln of (mean distance generated → reference)/(mean distance generated → train).

    0 for a perfect generator; above 0 if generated rows stay close to the training rows. With GS
    the generalization score and GS_ref that of reference rows, ln(GS/GS_ref) = fidelity − novelty.
    """
    return drift_novelty_of(Sets(generated=generated, train=train, reference=reference))


def drift_fidelity_of(sets: Sets) -> float:
    """See `drift_fidelity`."""
    return _log_ratio(sets, ("generated", "reference"), ("reference", "train"))


def drift_coverage_of(sets: Sets) -> float:
    """See `drift_coverage`."""
    return _log_ratio(sets, ("reference", "generated"), ("reference", "train"))


def drift_novelty_of(sets: Sets, held_out: str = "reference") -> float:
    """See `drift_novelty`; +inf if every generated row is a copy. held_out: the role to compare."""
    return _log_ratio(sets, ("generated", held_out), ("generated", "train"))


def _log_ratio(sets: Sets, above: tuple[str, str], below: tuple[str, str]) -> float:
    a, b = (float(nearest_distances_of(sets, *pair).mean()) for pair in (above, below))
    if a == b:
        return 0.0
    if b == 0 or a == 0:
        return math.inf if b == 0 else -math.inf
    return math.log(a / b)


def spikiness(x: Array, components: int = COMPONENTS) -> float:
    """Return the mean negentropy, in nats, of rows x (n, d) along their first principal components.

    J = ½ ln(2πe s²) − Ĥ₁, s² the variance and Ĥ₁ the Kozachenko–Leonenko entropy of a projection
    (negentropy: Comon 1994), both of the distinct rows: `duplicate_fraction` reports the copies.
    About 0 for a Gaussian of any scale; larger the more the set clusters in spikes.

    Raises InputError if the rows vary in too few directions, or fewer than 3 are distinct.
    """
    x = as_vectors(np.asarray(x))
    check_rows(x, "x", minimum=3)
    x64 = centred(x[distinct_rows(x)[0]])
    if len(x64) < 3:
        raise InputError(f"only {len(x64)} rows are distinct; spikiness needs 3")
    if x64.shape[1] <= len(x64):
        values, vectors = np.linalg.eigh(x64.T @ x64 / (len(x64) - 1))
    else:  # same directions, without a d × d matrix
        values, left = np.linalg.eigh(x64 @ x64.T / (len(x64) - 1))
        vectors = x64.T @ left / np.sqrt(np.maximum(values * (len(x64) - 1), 1e-300))
    count = min(components, x.shape[1])
    if not values[-count] > 1e-12 * max(values[-1], 1e-300):
        raise InputError(f"the rows vary in fewer than {count} directions: nothing to project on")
    found = []
    for j in range(1, count + 1):
        line = x64 @ vectors[:, -j]
        gaussian = 0.5 * math.log(2 * math.pi * math.e * values[-j])
        found.append(gaussian - knn_entropy(line[:, None]).nats)
    return float(np.mean(found))


def hubness(x: Array, k: int = HUB_NEIGHBOURS) -> float:
    """Return the skewness of how often each of n > k rows is among another's k nearest.

    Above about 1, a few rows are everyone's neighbours, and metrics based on neighbours say
    little in this feature space (Radovanović et al. 2010).
    """
    return hubness_of(Sets(generated=x), "generated", k)


def hubness_of(sets: Sets, role: str, k: int = HUB_NEIGHBOURS) -> float:
    """See `hubness`; exact copies count once."""
    own = sets.own(role)
    if own.k < k or len(own.first) < 4 * k:
        raise InputError(
            f"hubness needs at least {4 * k} distinct rows (and k ≤ {own.k}); {role} has "
            f"{len(own.first)}"
        )
    indices = own.neighbors.indices[:, :k]
    counts = np.bincount(indices.ravel(), minlength=len(own.first)).astype(np.float64)
    spread = counts.std()
    return 0.0 if spread == 0 else float(((counts - counts.mean()) ** 3).mean() / spread**3)
