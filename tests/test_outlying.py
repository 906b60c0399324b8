"""Picks that are outliers of real rows: none beyond chance among rows like them, planted strays."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import binom
from sklearn.neighbors import NearestNeighbors

from entroloop.distances.table import DISTANCES
from entroloop.selection.outlying import outlying

NONE = -np.ones(200, dtype=np.int64)


def rows_like_real(rng, n):
    return rng.standard_normal((n, 4)) * [4, 2, 1, 0.5]


def test_picks_drawn_like_the_real_rows_are_outliers_as_often_as_chance_has_it(rng):
    shares, told = [], []
    for seed in range(100):
        real, picks = rows_like_real(rng, 1000), rows_like_real(rng, 200)
        found = outlying(picks, real, NONE, DISTANCES["euclidean"], seed)
        shares.append(found.share)
        told.append(found.too_many)
    assert np.mean(shares) == pytest.approx(0.01, abs=0.003)
    assert sum(told) <= binom.ppf(0.999, len(told), 0.01)


def test_real_rows_among_the_picks_are_not_their_own_neighbours(rng):
    real = rows_like_real(rng, 1000)
    others = NearestNeighbors(n_neighbors=2).fit(real).kneighbors(real)[0][:, 1]
    order = np.argsort(others)
    for picks, low, high in ((order[-10:], 0.6, 1), (order[:500], 0, 0.01)):
        found = outlying(real[picks], real, picks, DISTANCES["euclidean"], 0)
        assert low <= found.share <= high
        assert found.too_many == (low > 0)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_planted_strays_are_outliers_whatever_the_metric(rng, metric):
    real, picks = rows_like_real(rng, 1000), rows_like_real(rng, 200)
    picks[:60] += 40
    found = outlying(picks, real, NONE, DISTANCES[metric], 0)
    assert 0.3 <= found.share < 0.35
    assert found.too_many
    assert (found.picks, found.real) == (200, 1000)


def test_the_distance_that_outliers_exceed_is_between_two_halves_of_the_real_rows(rng):
    real, picks = rows_like_real(rng, 301), rows_like_real(rng, 200)
    found = outlying(picks, real, NONE, DISTANCES["euclidean"], 7)
    order = np.random.default_rng(7).permutation(301)
    first, second = real[order[:150]], real[order[150:]]
    apart = cdist(first, second)
    among = np.sort(np.concatenate([apart.min(axis=0), apart.min(axis=1)]))
    assert found.distance == pytest.approx(among[297])  # the 298th: ⌈0.99 · 301⌉
    assert found.share == (cdist(picks, second).min(axis=1) > among[297]).mean()


def test_too_few_real_rows_judge_nothing(rng):
    real = rows_like_real(rng, 99)
    assert outlying(real[:9], real, np.arange(9), DISTANCES["euclidean"], 0) is None
    enough = np.concatenate([real, real + 0.5])[:100]
    assert outlying(real[:9], enough, np.arange(9), DISTANCES["euclidean"], 0) is not None


class ByValue:
    """A distance that is the row's own number, whatever it is compared with."""

    def nearest(self, rows, others):
        return rows[:, 0]


def test_the_chance_of_so_many_outliers_is_how_often_picks_like_the_real_rows_have_them(rng):
    m, n, repeats = 120, 40, 4000
    limits = np.sort(rng.random((repeats, m)), axis=1)[:, 118]  # the 119th: ⌈0.99 · 120⌉
    counts = (rng.random((repeats, n)) > limits[:, None]).sum(axis=1)
    real = np.arange(m, dtype=np.float64)[:, None]
    for beyond in range(4):
        picks = np.where(np.arange(n) < beyond, 119.0, 118.0)[:, None]
        found = outlying(picks, real, NONE[:n], ByValue(), 0)
        assert (found.share, found.distance) == (beyond / n, 118)
        assert found.p == pytest.approx((counts >= beyond).mean(), abs=0.03)
