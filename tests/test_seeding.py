import numpy as np
import pytest

from entroloop.seeding import normal_rows, seed_for


def test_seeds_are_stable_over_versions():
    assert seed_for(0, 1, "fit") == 1431652010660608812


def test_every_argument_of_a_seed_matters():
    seeds = {
        seed_for(0, 1, "fit"), seed_for(1, 1, "fit"), seed_for(0, 2, "fit"),
        seed_for(0, 1, "sample"), seed_for(0, 1, "fit", 0), seed_for(0, 1, "fit", 1),
        seed_for(0, 11, "fit"), seed_for(0, 1, "1/fit"),
    }  # fmt: skip
    assert len(seeds) == 8
    assert all(0 <= s < 2**63 for s in seeds)


def test_a_row_of_noise_depends_on_its_own_seed_alone():
    rows = normal_rows([5, 6, 7], 4)
    assert rows.dtype == np.float32
    assert np.array_equal(rows[1:2], normal_rows([6], 4))
    assert normal_rows(list(range(4000)), 3).std() == pytest.approx(1, abs=0.02)
