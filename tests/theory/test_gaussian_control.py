"""The correlation of entropy with ln GS is partly geometry: a Gaussian control arm shows it."""

import numpy as np

from entroloop.commands.run import run_study
from entroloop.report.study_words import entropy_and_score
from here import Here


def test_gaussian_control_has_a_high_r_without_any_memorization(tmp_path):
    # A Gaussian cannot memorize; its GS falls with the scale of the data alone. So a high r by
    # itself says nothing of memorization: the report's reader is told the same.
    config = {
        "name": "control",
        "data": {"source": "digits", "n_train": 128, "n_reference": 300},
        "generator": "gaussian",
        "generations": 8,
        "seeds": [0, 1],
        "arms": [{"paradigm": "replace", "strategy": "random"}],
    }
    from entroloop.store.records import frame

    records = frame(list(run_study(config, out=tmp_path / "control", engine=Here())))
    found = entropy_and_score(records)
    assert found is not None
    assert found.r > 0.8
    assert records["memorized_fraction"].max() == 0
    assert np.all(records.groupby("seed")["total_variance"].last() > 0)
