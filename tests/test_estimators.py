import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import entroloop as el

# Checks that ask for one output row per input row: choosing rows is the point of these.
NOT_APPLICABLE = {
    "check_transformer_general", "check_transformer_data_not_an_array",
    "check_transformer_preserve_dtypes", "check_transformers_unfitted",
    "check_methods_sample_order_invariance", "check_methods_subset_invariance",
    "check_dict_unchanged", "check_fit2d_1sample",
}  # fmt: skip


@pytest.mark.parametrize("kind", [el.FarthestPointSelector, el.ThresholdDecaySelector])
def test_scikit_learns_own_checks_pass_as_far_as_they_apply(kind):
    ran = 0
    for estimator, check in estimator_checks_generator(kind()):
        if check.func.__name__ in NOT_APPLICABLE:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check(estimator)
        ran += 1
    assert ran > 20


def test_estimators_choose_as_the_function_does(rng):
    x = rng.standard_normal((50, 4))
    selector = el.FarthestPointSelector(20, seed=3).fit(x)
    expected = el.select(x, 20, seed=3).indices
    assert np.array_equal(selector.get_support(indices=True), expected)
    assert np.array_equal(selector.transform(x), x[expected])
    assert selector.get_support().sum() == 20
    decay = el.ThresholdDecaySelector(0.2, strength=0.7).fit(x)
    assert np.array_equal(
        decay.get_support(indices=True),
        el.select(x, 10, "threshold_decay", strength=0.7).indices,
    )
    assert el.FarthestPointSelector(0.001).fit(x).get_support().sum() == 1  # one at least


def test_estimators_clone_and_stand_in_pipelines(rng):
    x = rng.standard_normal((50, 4)) * [1, 10, 100, 1000]
    pipeline = clone(make_pipeline(StandardScaler(), el.FarthestPointSelector(0.5)))
    assert pipeline.fit_transform(x).shape == (25, 4)
    with pytest.raises(ValueError, match="was fitted on 50"):
        pipeline[-1].transform(x[:9])
