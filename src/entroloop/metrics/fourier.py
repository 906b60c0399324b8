"""Spectra of the Gaussian kernel by random Fourier features: FKEA, KEN, and the modes behind them.

The kernel matrix of n rows has the non-zero eigenvalues of a covariance of features, whose size
does not depend on n (Rahimi & Recht 2007): a million rows pass through in blocks, memory maps
included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.neighbors import nearest
from entroloop.errors import InputError
from entroloop.metrics.sets import Sets
from entroloop.samples import Array, Float64, as_vectors, check_rows
from entroloop.seeding import rng_for

FREQUENCIES = 512  # each with a cosine and a sine
BLOCK = 4096  # rows whose features are held at once
SCALE_ROWS = 500  # of the reference, among which the bandwidth is taken
NOTHING = 1e-12  # an eigenvalue that is rounding
GROUPS = 20  # of rows, one of which is left out at a time
RATIO = 2.0  # a mode is new where it is more than so many times as frequent


def bandwidth(x: Array, *, seed: int = 0) -> float:
    """Return the median distance among rows x (n, d), of a seeded draw of 500 of them.

    The median over rows of the median distance to the others, by exact neighbours. KEN takes it
    as it is, FKEA, which is to tell modes of one set apart, half of it.

    Raises InputError for fewer than 3 rows, or if most rows are equal.
    """
    x = as_vectors(np.asarray(x))
    check_rows(x, "x", minimum=3)
    if len(x) > SCALE_ROWS:
        drawn = rng_for(seed, 0, "bandwidth").choice(len(x), SCALE_ROWS, replace=False)
        x = x[np.sort(drawn)]
    found = nearest(x, x, len(x) // 2, exclude_same_index=True).distances[:, -1]
    width = float(np.median(found))
    if width == 0:
        raise InputError("most rows are equal, so that they give a kernel no bandwidth")
    return width


def fkea(
    x: Array, *, bandwidth: float, order: int = 1, frequencies: int = FREQUENCIES, seed: int = 0
) -> float:
    """Return the entropy in nats of the Gaussian kernel's spectrum over rows x (n, d).

    −Σ λ ln λ (order 1) or −ln Σ λ² (order 2, RKE), λ the eigenvalues of K/n with K_ij =
    exp(−|x_i − x_j|²/(2σ²)), by random Fourier features (Ospanov et al. 2024, arXiv 2407.02961);
    its exponential is a Vendi score. bandwidth: σ. frequencies: how many; order 1 cannot exceed
    ln(2 · frequencies). Order 2 multiplies kernels of two independent halves of the frequencies,
    so that Σ λ² has no bias.

    Raises InputError for another order, or a bandwidth or number of frequencies that is too small.
    """
    if order not in (1, 2):
        raise InputError(f"order must be 1 or 2; got {order}")
    x = as_vectors(np.asarray(x))
    check_rows(x, "x")
    waves = _waves(x.shape[1], bandwidth, frequencies, seed)
    if order == 2:
        return float(-np.log(_squares(x, waves).mean()))
    # Of few rows their matrix is smaller than that of features, and says the same.
    return _entropy(_kernel(x, waves) if len(x) <= frequencies else _products(x, waves))


def fkea_error(
    x: Array, *, bandwidth: float, order: int = 1, frequencies: int = FREQUENCIES, seed: int = 0
) -> float:
    """Return the standard error of `fkea` over new rows, bandwidth and frequencies as given.

    Order 1: by leaving out a twentieth of the rows at a time (the jackknife by groups; Efron 1982).
    Halves would see too little: most eigenvalues of n rows are near 1/n, where −λ ln λ is steeper
    the larger n is. Order 2: of −ln S, S the mean of K² over pairs, whose first order is a mean
    over rows of −2 r_i/S, r_i the mean of row i.

    Raises InputError as `fkea`, and for fewer rows than groups.
    """
    x = as_vectors(np.asarray(x))
    check_rows(x, "x", minimum=GROUPS)
    waves = _waves(x.shape[1], bandwidth, frequencies, seed)
    if order == 2:
        means = _squares(x, waves)
        return float(2 * means.std(ddof=1) / means.mean() / np.sqrt(len(x)))
    groups = np.array_split(rng_for(seed, 0, "fourier/groups").permutation(len(x)), GROUPS)
    left: list[float] = []
    if len(x) <= frequencies:
        kernel = _kernel(x, waves) * len(x)
        for group in groups:
            kept = np.delete(np.arange(len(x)), group)
            left.append(_entropy(kernel[np.ix_(kept, kept)] / len(kept)))
    else:
        sums = [_products(x[group], waves) * len(group) for group in groups]
        total = np.sum(sums, axis=0)
        left = [_entropy((total - own) / (len(x) - len(group)))
                for own, group in zip(sums, groups, strict=True)]  # fmt: skip
    return float(np.sqrt((GROUPS - 1) * np.var(left)))


def fkea_of(sets: Sets, order: int = 1, what: Callable[..., float] = fkea) -> float:
    """Return FKEA of the generated rows, or its error, at half the bandwidth of the reference."""
    width = bandwidth_of(sets) / 2
    return what(sets["generated"], bandwidth=width, order=order, seed=sets.seed)


def ken(
    *,
    generated: Array,
    reference: Array,
    bandwidth: float,
    ratio: float = RATIO,
    frequencies: int = FREQUENCIES,
    seed: int = 0,
) -> float:
    """Return the kernel entropy of novelty in nats: what generated rows have and real rows lack.

    Σ λ ln(S/λ) over the positive eigenvalues λ of C_G − ratio · C_R, which sum to S; C_G and C_R
    the covariances of the kernel's features (Zhang et al. 2024, arXiv 2402.17287). A mode counts
    by how much its share exceeds `ratio` times that among the reference. With the roles exchanged
    it tells the modes that are lost.

    Raises InputError as `fkea`, and for a ratio below 1.
    """
    return _Compared(generated, reference, bandwidth, ratio, frequencies, seed).novelty()


def ken_error(
    *,
    generated: Array,
    reference: Array,
    bandwidth: float,
    ratio: float = RATIO,
    frequencies: int = FREQUENCIES,
    seed: int = 0,
) -> float:
    """Return the standard error of `ken` over new rows of both sets, bandwidth as given.

    See `_Compared.error`; NaN where nothing is new. Raises InputError as `ken`.
    """
    return _Compared(generated, reference, bandwidth, ratio, frequencies, seed).error()


def ken_of(sets: Sets, of: str = "generated", beside: str = "reference") -> float:
    """Return KEN of one role beside another, at the bandwidth of the reference."""
    return _compared(sets, of, beside).novelty()


def ken_error_of(sets: Sets, of: str = "generated", beside: str = "reference") -> float:
    """Return the standard error of `ken_of`."""
    return _compared(sets, of, beside).error()


def _compared(sets: Sets, of: str, beside: str) -> _Compared:
    rows, others = sets[of], sets[beside]
    return sets.once(
        ("compared", id(rows), id(others)),
        lambda: _Compared(rows, others, bandwidth_of(sets), RATIO, FREQUENCIES, sets.seed),
    )


@dataclass(frozen=True)
class Mode:
    """A mode of some rows that others lack.

    weight: its share less `ratio` times that among the others. rows: indices of the rows that
    express it most strongly.
    """

    weight: float
    rows: NDArray[np.int64]


def modes(
    rows: Array,
    others: Array,
    *,
    bandwidth: float,
    count: int = 4,
    examples: int = 12,
    ratio: float = RATIO,
    frequencies: int = FREQUENCIES,
    seed: int = 0,
) -> list[Mode]:
    """Return the modes that rows (n, d) have and others (m, d) lack, the heaviest first.

    Eigenvectors v of the matrix of `ken` with positive eigenvalues; a row expresses one by
    (φ(x)·v)², φ its features.
    """
    compared = _Compared(rows, others, bandwidth, ratio, frequencies, seed)
    values, vectors = np.linalg.eigh(compared.difference)
    top = [i for i in np.argsort(-values)[:count] if values[i] > NOTHING]
    strength = np.square(compared.along(vectors[:, top])[0])
    return [
        Mode(float(values[i]), np.argsort(-strength[:, j], kind="stable")[:examples])
        for j, i in enumerate(top)
    ]


def bandwidth_of(sets: Sets) -> float:
    """Return the bandwidth of the reference, so that all sets are seen at one scale."""
    reference = sets["reference"]
    key = ("bandwidth", id(reference))
    return sets.once(key, lambda: bandwidth(reference, seed=sets.seed))


class _Compared:
    """Two sets of rows in the space of features, and the difference of their covariances.

    Few rows take coordinates among themselves, which have the same products as their features.
    """

    def __init__(
        self,
        first: Array,
        second: Array,
        bandwidth: float,
        ratio: float,
        frequencies: int,
        seed: int,
    ) -> None:
        if not ratio >= 1:
            raise InputError(f"ratio must be at least 1; got {ratio}")
        x, y = (as_vectors(np.asarray(rows)) for rows in (first, second))
        check_rows(x, "the first set")
        check_rows(y, "the second set")
        if x.shape[1] != y.shape[1]:
            raise InputError(f"one set has {x.shape[1]} values a row, the other {y.shape[1]}")
        self._ratio, self._rows = ratio, (x, y)
        self._waves = _waves(x.shape[1], bandwidth, frequencies, seed)
        self._coordinates: tuple[Float64, Float64] | None = None
        if len(x) + len(y) <= 2 * frequencies:
            # Features are φ = Rᵀ Qᵀ, Q orthogonal: lines of Rᵀ have the same products.
            both = _features(np.concatenate([x, y]), self._waves)
            placed = np.asarray(np.linalg.qr(both.T, mode="r")).T
            own, other = placed[: len(x)], placed[len(x) :]
            self._coordinates = own, other
            self.difference = own.T @ own / len(x) - ratio * other.T @ other / len(y)
        else:
            self.difference = _products(x, self._waves) - ratio * _products(y, self._waves)

    def novelty(self) -> float:
        """Return what `ken` says."""
        values = np.linalg.eigvalsh(self.difference)
        values = values[values > NOTHING]
        return float((values * np.log(values.sum() / values)).sum())

    def error(self) -> float:
        """Return the standard error of `novelty`, NaN where there is no positive eigenvalue.

        To first order a row of the first set adds φ·Mφ/n, one of the second takes ratio · φ·Mφ/m, φ
        its features, M = Σ ln(S/λ) v vᵀ over the positive eigenvalues λ and their eigenvectors v.
        """
        values, vectors = np.linalg.eigh(self.difference)
        vectors, values = vectors[:, values > NOTHING], values[values > NOTHING]
        if not len(values):
            return float("nan")
        weights = np.log(values.sum() / values)
        new, old = (np.square(part) @ weights for part in self.along(vectors))
        variance = new.var(ddof=1) / len(new) + self._ratio**2 * old.var(ddof=1) / len(old)
        return float(np.sqrt(variance))

    def along(self, vectors: Float64) -> tuple[Float64, Float64]:
        """Return the products of each row of both sets with vectors (…, k), as (n, k), (m, k)."""
        if self._coordinates is not None:
            own, other = self._coordinates
            return own @ vectors, other @ vectors
        own, other = (
            np.concatenate([_features(part, self._waves) @ vectors for part in _blocks(x)])
            for x in self._rows
        )
        return own, other


def _waves(d: int, bandwidth: float, frequencies: int, seed: int) -> Float64:
    if not bandwidth > 0:
        raise InputError(f"the bandwidth must be above 0; got {bandwidth}")
    if frequencies < 2:
        raise InputError(f"at least 2 frequencies are needed; got {frequencies}")
    waves: Float64 = rng_for(seed, 0, "fourier").standard_normal((d, frequencies)) / bandwidth
    return waves


def _features(x: Array, waves: Float64) -> Float64:
    """Return features (n, 2 · frequencies) of length 1, whose products approximate the kernel."""
    angles = x.astype(np.float64) @ waves
    both = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    found: Float64 = both / np.sqrt(waves.shape[1])
    return found


def _kernel(x: Array, waves: Float64) -> Float64:
    """Return the approximate kernel matrix of few rows over their number, (n, n)."""
    own = _features(x, waves)
    found: Float64 = own @ own.T / len(own)
    return found


def _products(x: Array, waves: Float64, others: Float64 | None = None) -> Float64:
    """Return the mean over rows of the outer product of their features, with those of others."""
    columns = waves if others is None else others
    found = np.zeros((2 * waves.shape[1], 2 * columns.shape[1]))
    for part in _blocks(x):
        left = _features(part, waves)
        found += left.T @ (left if others is None else _features(part, others))
    return found / len(x)


def _squares(x: Array, waves: Float64) -> Float64:
    """Return for each row the mean over all rows of the kernel's square, (n,), without bias: the
    product of two kernels, each by half of the frequencies.
    """
    halves = waves[:, ::2], waves[:, 1::2]
    if len(x) <= waves.shape[1]:
        squares: Float64 = np.prod([_kernel(x, own) for own in halves], axis=0).sum(axis=1) * len(x)
        return squares
    both = _products(x, *halves)
    return np.concatenate([
        ((_features(part, halves[0]) @ both) * _features(part, halves[1])).sum(axis=1)
        for part in _blocks(x)
    ])  # fmt: skip


def _entropy(matrix: Float64) -> float:
    """Return −Σ λ ln λ over the eigenvalues of a matrix of trace 1."""
    values = np.linalg.eigvalsh(matrix)
    values = values[values > 1e-15]
    return float(-(values * np.log(values)).sum())


def _blocks(x: Array) -> Iterator[Array]:
    for start in range(0, len(x), BLOCK):
        yield x[start : start + BLOCK]
