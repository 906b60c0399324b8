"""Metrics of tables beside other libraries, and on cases that can be counted by hand."""

import numpy as np
import pytest
from scipy import stats

from entroloop.metrics.columns import (
    _correlation_ratio,
    associations,
    correlation_drift,
    marginal_distances,
    rare_categories,
)
from entroloop.modalities.table import Schema


@pytest.fixture
def table(rng):
    number = rng.standard_normal(400)
    values = {
        "x": number,
        "y": number + rng.standard_normal(400),
        "s": np.array(["a", "b", "c"])[np.digitize(number, [-1, 1])],
        "t": rng.choice(["p", "q"], 400),
    }
    schema = Schema.of(values, ["s", "t"])
    return schema, schema.encoded(values), values


def test_distances_of_marginals_are_ks_and_total_variation(table, rng):
    schema, rows, _ = table
    first, second = rows[:150], rows[150:]
    found = marginal_distances(generated=first, reference=second, schema=schema)
    assert found[0] == pytest.approx(stats.ks_2samp(first[:, 0], second[:, 0]).statistic)
    shares = [2 * part[:, 2:5].mean(axis=0) for part in (first, second)]
    assert found[2] == pytest.approx(np.abs(shares[0] - shares[1]).max(), abs=0.5)
    assert found[2] == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2)
    assert marginal_distances(generated=rows, reference=rows, schema=schema).max() == 0


def test_associations_are_pearsons_the_correlation_ratio_and_cramers(table):
    schema, rows, values = table
    found = associations(rows, schema)
    assert found[0, 1] == pytest.approx(np.corrcoef(values["x"], values["y"])[0, 1])
    f, _ = stats.f_oneway(*(values["x"][values["s"] == c] for c in "abc"))
    assert found[0, 2] ** 2 == pytest.approx(f / (f + (400 - 3) / (3 - 1)))  # η² of F
    counts = [[np.sum((values["s"] == a) & (values["t"] == b)) for b in "pq"] for a in "abc"]
    assert found[2, 3] == pytest.approx(stats.contingency.association(counts, "cramer"))
    assert np.array_equal(found, found.T)


def test_correlation_drift_is_0_for_the_same_rows_and_grows_as_columns_are_shuffled(table, rng):
    schema, rows, _ = table
    assert correlation_drift(generated=rows, reference=rows, schema=schema) == 0
    apart = np.concatenate([rng.permutation(rows[:, :1]), rows[:, 1:]], axis=1)
    assert correlation_drift(generated=apart, reference=rows, schema=schema) > 0.1


def test_correlation_drift_is_the_mean_over_all_pairs_of_columns(rng):
    ours, theirs = rng.standard_normal((2, 50, 3))
    schema = Schema.of(dict(zip("xyz", ours.T, strict=True)), [])
    apart = np.abs(np.corrcoef(ours.T) - np.corrcoef(theirs.T))
    found = correlation_drift(generated=ours, reference=theirs, schema=schema)
    assert found == pytest.approx(np.mean([apart[0, 1], apart[0, 2], apart[1, 2]]))


def test_a_column_of_one_number_shares_nothing(rng):
    rows = rng.standard_normal((9, 2))
    schema = Schema.of({"x": rows[:, 0], "y": rows[:, 1]}, [])
    rows[:, 1] = 3
    assert associations(rows, schema)[0, 1] == 0


def test_categories_of_which_one_is_left_share_nothing():
    values = {"s": np.array(["a", "b"] * 4), "t": np.array(["p", "p", "q", "q"] * 2)}
    schema = Schema.of(values, ["s", "t"])
    rows = schema.encoded(values | {"s": np.array(["a"] * 8)})
    assert associations(rows, schema)[0, 1] == 0


def test_a_number_that_a_category_tells_whole_shares_no_more_than_1():
    for kinds in range(2, 12):
        for scale in (1.0, 0.1, 1 / 3, 7.7):
            group = np.arange(90) % kinds
            assert 0.999 < _correlation_ratio(group * scale / 3, group) <= 1


def test_one_column_alone_has_no_correlation_to_drift(rng):
    schema = Schema.of({"x": rng.standard_normal(9)}, [])
    rows = rng.standard_normal((9, 1))
    assert np.isnan(correlation_drift(generated=rows, reference=rows + 1, schema=schema))


def test_rare_categories_are_those_below_5_percent():
    values = np.array(["a"] * 90 + ["b"] * 4 + ["c"] * 2 + ["d"] * 4)
    schema = Schema.of({"v": values}, ["v"])
    reference = schema.encoded({"v": values})
    lost = schema.encoded({"v": np.array(["a"] * 95 + ["b"] * 2 + ["c"] * 3)})
    assert rare_categories(generated=reference, reference=reference, schema=schema) == 1
    found = rare_categories(generated=lost, reference=reference, schema=schema)
    assert found == pytest.approx((2 + 2 + 0) / 10)
