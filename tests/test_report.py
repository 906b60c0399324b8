import numpy as np
import pandas as pd
import pytest

import entroloop as el
from entroloop.commands.run import run_study
from entroloop.metrics.correlation import correlation, pearson
from entroloop.report.claims import claims, entropy_and_score, verdict
from entroloop.report.images import grid

ARMS = [
    {"name": "replace-random", "paradigm": "replace", "strategy": "random"},
    {"name": "sub-random", "paradigm": "accumulate_subsample", "strategy": "random"},
    {"name": "sub-greedy", "paradigm": "accumulate_subsample", "strategy": "greedy"},
]
ARMS = [arm | {"paradigm_args": {}, "generator": {"name": "kde"}} for arm in ARMS]


def records(seeds=(0, 1), greedy_fd=1.0):
    rows = []
    for seed in seeds:
        for arm in ARMS:
            for g in range(1, 5):
                fall = 5.0 * g if arm["name"] == "replace-random" else 1.0 * g
                rows.append(
                    {
                        "arm": arm["name"], "seed": seed, "generation": g,
                        "entropy_train": 20 - fall, "generalization_score": np.exp(1 - fall / 20),
                        "generalization_score_reference": 2.5, "memorized_fraction": 0.1 * g,
                        "frechet_distance": greedy_fd if arm["name"] == "sub-greedy" else 2.0,
                        "real_share": 0.0 if arm["name"] == "replace-random" else 1 / g,
                        "coverage_distance": 1.0, "total_variance": 1.0,
                        "generalization_ratio": 0.9, "auth_pct": 60.0,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def test_claims_are_put_to_each_seed():
    found = {c.text: c for c in claims(records(), ARMS)}
    fall = found["replace-random: the entropy of the training set falls from generation 2 to 4"]
    assert fall.by_seed == {0: 10.0, 1: 10.0}
    assert fall.verdict == "seen"
    better = found["sub-greedy has a lower Fréchet distance than sub-random at generation 4"]
    assert better.by_seed == {0: 1.0, 1: 1.0}
    assert better.mean == 1.0
    worse = claims(records(greedy_fd=3.0), ARMS)
    assert "not seen" in [c.verdict for c in worse if "Fréchet" in c.text]


def test_an_arm_is_compared_with_the_random_arm_of_its_own_generator():
    other = [{**arm, "generator": {"name": "gaussian"}} if arm["strategy"] == "random" else arm
             for arm in ARMS]  # fmt: skip
    assert not [c for c in claims(records(), other) if "sub-greedy" in c.text]


def test_one_seed_gives_no_interval():
    assert all(c.interval is None for c in claims(records(seeds=(0,)), ARMS))
    assert entropy_and_score(records(seeds=(0,))).interval is None
    assert entropy_and_score(records()).interval is not None


def test_generation_1_is_left_out_of_the_correlation():
    table = records()
    table.loc[table["generation"] == 1, "entropy_train"] = -1e6
    assert entropy_and_score(table).r == pytest.approx(1.0)


def test_pearson_is_numpys(rng):
    x, y = rng.standard_normal((2, 30))
    assert pearson(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert np.isnan(pearson([1, 1, 1], [1, 2, 3]))


def test_the_bootstrap_resamples_whole_runs():
    # Within a run all points are one point: a bootstrap over points would give a far narrower
    # interval than one over the four runs.
    run = np.repeat(np.arange(4), 50)
    x = np.array([0.0, 1.0, 2.0, 3.0])[run] + 1e-9 * np.arange(200)
    y = np.array([0.0, 2.0, 1.0, 3.0])[run]
    low, high = correlation(x, y, run=run, seed_of_run=run).interval
    assert high - low > 0.5


def test_the_verdict_says_what_the_records_say():
    sentences = " ".join(verdict(records(), ARMS))
    assert (
        "replace-random: from generation 2 to 4 the entropy of the training set fell by 10.0"
        in (sentences)
    )
    assert "lowest under sub-greedy (1.00)" in sentences


def test_a_grid_lays_images_out_in_rows():
    canvas = grid(np.full((3, 2, 2), 255, np.uint8), columns=2)
    assert canvas.shape == (7, 7)
    assert (canvas[1:3, 1:3] == 255).all()
    assert (canvas[4:6, 4:6] == 128).all()


def test_vectors_that_are_no_images_are_shown_by_their_principal_axes(tiny, tmp_path, rng):
    np.save(tmp_path / "x.npy", rng.standard_normal((80, 5)))
    data = {"source": "arrays", "path": str(tmp_path / "x.npy"), "n_train": 24, "n_reference": 30}
    list(run_study({**tiny, "data": data}, out=tmp_path / "s"))
    page = el.render_report([tmp_path / "s"], tmp_path / "r.html").read_text()
    assert 'id="projection-0"' in page
    assert "Samples by generation and arm" not in page


def test_one_page_holds_several_studies(tiny, tmp_path):
    list(run_study(tiny, out=tmp_path / "a"))
    list(run_study(tiny | {"name": "second"}, out=tmp_path / "b"))
    page = el.render_report([tmp_path / "a", tmp_path / "b"], tmp_path / "r.html").read_text()
    assert "<h1>Study tiny</h1>" in page
    assert "<h1>Study second</h1>" in page


def test_a_study_of_one_generation_is_reported(tiny, tmp_path):
    list(run_study(tiny | {"generations": 1}, out=tmp_path / "a"))
    assert el.render_report([tmp_path / "a"], tmp_path / "r.html").is_file()


def test_names_are_escaped_in_the_page(tiny, tmp_path):
    list(run_study(tiny | {"name": "<script>alert(1)</script>"}, out=tmp_path / "a"))
    page = el.render_report([tmp_path / "a"], tmp_path / "r.html").read_text()
    assert "<script>alert(1)" not in page
