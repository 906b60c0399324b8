import json

import numpy as np
import pandas as pd
import pytest

import entroloop as el
from entroloop.commands.run import run_study
from entroloop.metrics.correlation import correlation, pearson
from entroloop.report.claim_table import CLAIMS
from entroloop.report.claims import findings, load_claims
from entroloop.report.decisions import _taken
from entroloop.report.images import grid
from entroloop.report.memorization import memorization
from entroloop.report.study_words import entropy_and_score, verdict
from entroloop.seeding import rng_for
from entroloop.study.controls import control_name
from here import Here

ARMS = [
    {"name": "replace-random", "paradigm": "replace", "strategy": "random"},
    {"name": "sub-random", "paradigm": "accumulate_subsample", "strategy": "random"},
    {"name": "sub-greedy", "paradigm": "accumulate_subsample", "strategy": "greedy"},
]
ARMS = [arm | {"paradigm_args": {}, "generator": {"name": "mlp_diffusion"}} for arm in ARMS]


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
                        "generalization_score_unselected": 2.5, "frechet_distance_floor": 0.5,
                        "generalization_ratio_real": 1.0 + g, "memorized_fraction_real": 0.0,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def controls(seeds=(0, 1), fall=1.0):
    """Return control loops that fall by this share of what the arm falls by."""
    arm = records(seeds)
    arm = arm[arm["arm"] == "replace-random"]
    found = []
    for generator in ("gaussian", "kde"):
        own = arm.copy()
        own["arm"] = control_name("replace-random", generator)
        own["entropy_train"] = 20 - fall * (20 - own["entropy_train"])
        found.append(own)
    return pd.concat(found, ignore_index=True)


def test_claims_are_effects_beyond_their_null_for_each_seed():
    found = {c.text: c for c in findings(records(), ARMS, controls(fall=0.4))}
    text = "replace-random: the entropy of the training set falls, more than under {}"
    fall = found[text.format("replace-random with gaussian")]
    assert fall.effects == pytest.approx({0: 6.0, 1: 6.0})
    assert fall.outcome == "supported"
    score = [c for c in found.values() if "(GS)" in c.text]
    assert [c.outcome for c in score] == ["undecided", "undecided"]  # the controls fall alike
    better = found["sub-greedy has a lower Fréchet distance than sub-random at generation 4"]
    assert better.effects == pytest.approx({0: np.log(2), 1: np.log(2)})
    assert better.outcome == "supported"
    worse = findings(records(greedy_fd=3.0), ARMS, controls())
    assert [c.outcome for c in worse if "Fréchet" in c.text and "sub" in c.text] == ["against"]


def test_a_selecting_arm_is_compared_with_random_arms_of_its_own_generator_alone():
    neon = {"name": "neon", "generator_args": {"extrapolation": 0.1}}
    rows = records()
    own = rows[rows["arm"] == "sub-random"].assign(arm="neon", frechet_distance=0.1)
    found = findings(pd.concat([rows, own]), [*ARMS, ARMS[1] | neon])
    assert {c.null for c in found if c.text.startswith("sub-greedy")} == {"sub-random"}


def test_without_a_control_collapse_has_no_null_and_one_seed_decides_nothing():
    alone = findings(records(), ARMS)
    collapse = [c for c in alone if c.text.startswith("replace-random") and "than" in c.text]
    copying = [c for c in collapse if "unselected" in c.text]  # has its null in the run itself
    collapse = [c for c in collapse if c not in copying]
    assert [c.outcome for c in copying] == ["supported"]
    assert {(c.words, c.outcome) for c in collapse} == {("no control", "undecided")}
    one = findings(records(seeds=(0,)), ARMS, controls(seeds=(0,), fall=0.1))
    assert {c.outcome for c in one} == {"undecided"}
    assert {c.words for c in one} == {"one seed"}


NOISY = (
    "entropy_train", "generalization_score", "generalization_score_unselected",
    "generalization_ratio", "frechet_distance", "auth_pct", "memorized_fraction", "real_share",
)  # fmt: skip


def test_claims_without_an_effect_are_supported_in_few_studies_of_many():
    # Arms that differ by noise alone: at 5 % for all claims of a study together, few say anything.
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(60):
        rows = pd.concat([records(range(3)), controls(range(3))], ignore_index=True)
        for claim_column in NOISY:
            level = {"entropy_train": 20, "auth_pct": 60}.get(claim_column, 0.5)
            rows[claim_column] = level + 0.02 * level * rng.standard_normal(len(rows))
        own = rows["arm"].str.contains(" with ")
        found = findings(rows[~own], ARMS, rows[own])
        assert len(found) == 12 + 1 + 5
        wrong += any(c.outcome != "undecided" for c in found)
    assert wrong / 60 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def test_a_claim_needs_more_than_its_margin():
    assert all(claim.margin > 0 for claim in CLAIMS)
    rows = controls(fall=0.99)  # 0.1 nats less than the arm, below the margin of 1
    [fall, _] = [c for c in findings(records(), ARMS, rows) if "entropy of" in c.text][:2]
    assert fall.effect == pytest.approx(0.1)
    assert fall.outcome == "undecided"


def test_an_arm_is_compared_with_the_random_arms_of_its_own_generator_by_name():
    other = [{**arm, "generator": {"name": "gaussian"}} if arm["strategy"] == "random" else arm
             for arm in ARMS]  # fmt: skip
    assert not [c for c in findings(records(), other) if "sub-greedy" in c.text]
    more = [*ARMS, ARMS[1] | {"name": "sub-uniform", "strategy": "uniform"}]
    rows = records()
    uniform = rows[rows["arm"] == "sub-random"].assign(arm="sub-uniform")
    found = findings(pd.concat([rows, uniform]), more)
    assert {c.null for c in found if "sub-greedy" in c.text} == {"sub-random", "sub-uniform"}


def test_claims_of_a_study_folder_have_controls_that_are_made_once(tiny, tmp_path):
    study = tiny | {
        "generator": {"name": "mlp_diffusion", "steps": 20, "width": 32},
        "seeds": [0, 1, 2], "arms": [{"paradigm": "replace", "strategy": "random"}],
    }  # fmt: skip
    list(run_study(study, out=tmp_path / "s", engine=Here()))
    table = el.load_claims(tmp_path / "s")
    assert list(table.columns)[:7] == ["claim", "outcome", "effect", "low", "high", "seeds", "null"]
    assert set(table["null"]) == {
        "replace-random with gaussian", "replace-random with kde",
        "unselected samples of the generation before",
    }  # fmt: skip
    assert set(table["seeds"]) == {3}
    assert set(table["outcome"]) <= {"supported", "against", "undecided"}
    assert (table["low"] <= table["high"]).all()
    made = (tmp_path / "s/controls.parquet").stat().st_mtime_ns
    pd.testing.assert_frame_equal(load_claims(tmp_path / "s"), table)
    assert (tmp_path / "s/controls.parquet").stat().st_mtime_ns == made
    list(run_study(study, out=tmp_path / "s", engine=Here(), seeds=[0, 1]))  # another study
    assert set(el.load_claims(tmp_path / "s")["seeds"]) == {2}


def test_memorization_is_told_by_every_definition_and_where_they_disagree():
    found = memorization(records(), ARMS)
    arm, cells = found["rows"][0]
    row = dict(zip(found["headings"][1:], cells, strict=True))
    assert arm == "replace-random"
    assert row["GS / GS of held-out rows"] == ("0.847 → 0.400", "more")
    assert row["GS / LOO"] == ("0.900 → 0.900", "same")
    assert row["AuthPct"] == ("60.0 → 60.0 %", "same")
    assert row["d₁/d₂ < 1/3"] == ("10.0 → 40.0 %", "more")
    assert row["of real rows: GS / LOO"] == ("2.00 → 5.00", "less")
    assert not found["said"]  # of the training set, no definition says less
    table = records()
    table["auth_pct"] = 50.0 + 5 * table["generation"]
    [first, *_] = memorization(table, ARMS)["said"]
    assert first.startswith("replace-random: the definitions disagree.")
    assert first.endswith("less by AuthPct.")
    table["auth_pct"] = 50.0 + 0.5 * table["generation"]  # 1.5 points are none
    assert not memorization(table, ARMS)["said"]
    assert memorization(table[table["generation"] == 1], ARMS) is None


def test_one_seed_gives_no_interval():
    assert all(np.isnan(c.interval).all() for c in findings(records(seeds=(0,)), ARMS))
    assert entropy_and_score(records(seeds=(0,))).interval is None
    assert entropy_and_score(records()).interval is not None


def test_one_point_has_no_line_and_no_correlation():
    one = np.ones(1)
    found = correlation(one, one, run=np.zeros(1, int), seed_of_run=np.zeros(1, int))
    assert np.isnan([found.r, found.slope]).all()


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
    list(run_study({**tiny, "data": data}, out=tmp_path / "s", engine=Here()))
    page = el.render_report([tmp_path / "s"], tmp_path / "r.html").read_text()
    assert 'data-axes="0"' in page
    assert 'id="gallery"' not in page


def page_data(page):
    """Return what the page's scripts get."""
    return json.loads(page.partition('id="data">')[2].partition("</script>")[0])


def test_one_page_holds_several_studies(tiny, tmp_path):
    list(run_study(tiny, out=tmp_path / "a", engine=Here()))
    list(run_study(tiny | {"name": "second"}, out=tmp_path / "b", engine=Here()))
    page = el.render_report([tmp_path / "a", tmp_path / "b"], tmp_path / "r.html").read_text()
    assert "<h1>Studies tiny, second</h1>" in page
    assert page.count('class="answer') == 2
    arms = [f"{study}: {arm}" for study in ("tiny", "second")
            for arm in ("replace-random", "accumulate_subsample-greedy")]  # fmt: skip
    data = page_data(page)
    assert [arm["name"] for arm in data["arms"]] == arms
    assert all([s["name"] for s in c["series"]] == arms for c in data["charts"]["curves"])


def test_a_study_of_one_generation_is_reported(tiny, tmp_path):
    list(run_study(tiny | {"generations": 1}, out=tmp_path / "a", engine=Here()))
    assert el.render_report([tmp_path / "a"], tmp_path / "r.html").is_file()


def test_names_are_escaped_in_the_page(tiny, tmp_path):
    list(run_study(tiny | {"name": "<script>alert(1)</script>"}, out=tmp_path / "a", engine=Here()))
    page = el.render_report([tmp_path / "a"], tmp_path / "r.html").read_text()
    assert "<script>alert(1)" not in page


def test_what_guarded_took_is_counted_by_strategy_with_the_range_of_its_number():
    taken = ["threshold_decay strength=1", "threshold_decay strength=0.625", "random", "greedy"]
    shown = _taken([{"taken": name} for name in [*taken, "greedy", "greedy", "greedy by realism"]])
    assert shown == (
        "greedy (3), threshold_decay strength 0.625 to 1 (2), random (1), greedy by realism (1)"
    )


def test_intervals_are_percentiles_over_runs_fitted_one_by_one(rng):
    run = np.repeat(np.arange(5), 4)
    x = rng.standard_normal(20) + 3
    y = 2 * x + rng.standard_normal(20) + run
    found = correlation(x, y, run=run, seed_of_run=run, draws=400)
    fits = []
    for drawn in rng_for(0, 0, "bootstrap").integers(5, size=(400, 5)):
        rows = np.concatenate([np.flatnonzero(run == r) for r in drawn])
        slope, intercept = np.polyfit(x[rows], y[rows], 1)
        fits.append(
            [np.corrcoef(x[rows], y[rows])[0, 1], slope, *(slope * found.line.x + intercept)]
        )
    low, high = np.percentile(fits, [2.5, 97.5], axis=0)
    assert found.interval == pytest.approx((low[0], high[0]))
    told = correlation(x, y, run=run, seed_of_run=run, draws=2000)
    assert correlation(x, y, run=run, seed_of_run=run).interval == told.interval
    assert found.slope_interval == pytest.approx((low[1], high[1]))
    assert found.line.low == pytest.approx(low[2:])
    assert found.line.high == pytest.approx(high[2:])
    assert found.slope == pytest.approx(np.polyfit(x, y, 1)[0])
    assert found.line.x[[0, -1]].tolist() == [x.min(), x.max()]
    assert found.line.y == pytest.approx(np.polyval(np.polyfit(x, y, 1), found.line.x))
    assert (found.n, found.runs) == (20, 5)
