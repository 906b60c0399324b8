import inspect
import json
import threading
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import binomtest

import entroloop as el
from entroloop.metrics import METRICS, copying
from entroloop.metrics.halves import Half
from entroloop.metrics.intervals import WIDE, Taker, wilson
from entroloop.metrics.measure import measure as of_rows
from entroloop.metrics.metric import Metric
from entroloop.metrics.sets import ROLES, Sets


@pytest.fixture
def sets(rng):
    train = rng.standard_normal((200, 4))
    return {"generated": rng.standard_normal((150, 4)), "train": train,
            "reference": rng.standard_normal((180, 4))}  # fmt: skip


def test_values_are_those_of_the_metrics_themselves(sets):
    found = el.measure(**sets)
    roles = {"generated", "train", "reference", "probabilities"}
    able = [name for name, metric in METRICS.items() if set(metric.needs) <= roles]
    assert list(found) == [name for name in able if not METRICS[name].on_request]
    g, t, r = sets["generated"], sets["train"], sets["reference"]
    score = el.generalization_score(generated=g, train=t)
    assert found["generalization_score"].value == pytest.approx(score)
    held_out = el.generalization_score(generated=r, train=t)
    assert found["generalization_score_reference"].value == pytest.approx(held_out)
    assert found["memorized_fraction"].value == el.memorized_fraction(generated=g, train=t)
    assert found["entropy_samples"].value == pytest.approx(el.knn_entropy(g).nats)
    for name, m in found.items():
        if name == "inception_score":
            assert np.isnan(m.value)
            assert "class probabilities" in m.note
        elif METRICS[name].counted or METRICS[name].fewest > 150:
            assert m.interval is None
        else:
            low, high = m.interval
            assert low <= m.value <= high, name


def test_what_depends_on_the_number_of_rows_is_taken_on_the_smallest_common_one(sets):
    found = el.measure(**sets)
    assert "150 rows of each set" in found["frechet_distance"].note
    assert found["entropy_train"].note.startswith("150 rows; ")
    assert found["duplicate_fraction"].note.startswith(f"{len(sets['train'])} rows; ")
    assert found["entropy_train"].value != pytest.approx(el.knn_entropy(sets["train"]).nats)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    # Total variance of N(0, I_3) is 3; entropy of N(0, I_2) is ln(2πe).
    hits = {"total_variance": 0, "entropy_samples": 0}
    truth = {"total_variance": (3, 3), "entropy_samples": (2, float(np.log(2 * np.pi * np.e)))}
    for seed in range(100):
        for name, (d, value) in truth.items():
            x = np.random.default_rng(seed).standard_normal((400, d))
            low, high = el.measure(generated=x, metrics=[name], seed=seed)[name].interval
            hits[name] += low <= value <= high
    assert all(0.85 < h / 100 <= 1 for h in hits.values()), hits


def test_threads_change_no_value_and_no_interval(sets, monkeypatch, in_three_threads):
    names = set()
    nearest = Half.nearest

    def noted(half, *arguments):
        names.add(threading.current_thread().name)
        return nearest(half, *arguments)

    monkeypatch.setattr(Half, "nearest", noted)
    monkeypatch.setattr(copying, "BLOCK_VALUES", 2**10)
    on_request = ["fld", "fld_gap", "ken", "tail_share"]
    alone = el.measure(**sets) | el.measure(**sets, metrics=on_request)
    in_three_threads()
    together = el.measure(**sets) | el.measure(**sets, metrics=on_request)
    assert len(names & {f"entroloop_{i}" for i in range(3)}) > 1
    for name, found in alone.items():
        assert repr((found.value, found.interval, found.note)) == repr(
            (together[name].value, together[name].interval, together[name].note)
        ), name


def test_the_interval_of_a_distance_between_equal_sources_is_as_wide_as_it_varies():
    # Where two sets are alike, all the variance is of second order: halves alone say twice it.
    values, widths = [], []
    for seed in range(120):
        g, r = np.random.default_rng(seed).standard_normal((2, 120, 6))
        found = el.measure(generated=g, reference=r, metrics=["frechet_distance"], seed=seed)
        values.append(found["frechet_distance"].value)
        low, high = found["frechet_distance"].interval
        widths.append((high - low) / 2)
    assert 0.85 < np.mean(widths) / (1.96 * np.std(values)) < 1.3


def test_a_floor_is_the_metric_of_two_disjoint_draws_from_the_reference(sets):
    found = el.measure(**sets, metrics=["frechet_distance", "coverage", "precision"])
    assert found["precision"].floor is None
    assert "real against real, at 90 rows" in found["frechet_distance"].note
    assert found["frechet_distance"].floor > 0
    # E coverage of two equal sources: 1 − Π_{j<5} (n − 1 − j)/(2n − 1 − j), n rows each.
    n = 90
    expected = 1 - np.prod([(n - 1 - j) / (2 * n - 1 - j) for j in range(5)])
    assert found["coverage"].floor == pytest.approx(expected, abs=0.06)
    assert el.measure(generated=sets["generated"], reference=sets["reference"][:10],
                      metrics=["frechet_distance"])["frechet_distance"].floor is None  # fmt: skip


def test_only_what_the_given_sets_allow_is_measured(sets):
    found = el.measure(generated=sets["generated"])
    expected = {n for n, m in METRICS.items() if set(m.needs) <= {"generated", "probabilities"}}
    assert set(found) == expected
    with pytest.raises(el.InputError, match="needs the set 'train'"):
        el.measure(generated=sets["generated"], metrics=["auth_pct"])
    with pytest.raises(el.InputError, match="did you mean 'auth_pct'"):
        el.measure(**sets, metrics=["authpct"])
    with pytest.raises(el.InputError, match="generated has 4 values a row and train 3"):
        el.measure(generated=sets["generated"], train=np.zeros((5, 3)))


def test_a_planted_copy_is_found(sets):
    sets["generated"][:30] = sets["train"][:30]
    found = el.measure(**sets)
    assert found["memorized_fraction"].value >= 0.2
    assert found["auth_pct"].value <= 80


def test_the_command_prints_the_contracts_json(entroloop, entroloop_here, tmp_path, sets):
    for role, rows in sets.items():
        np.save(tmp_path / f"{role}.npy", rows)
    arguments = [x for role in sets for x in (f"--{role}", f"{role}.npy")]
    answer = entroloop("measure", *arguments)
    assert answer.returncode == 0, answer.stderr
    printed = json.loads(answer.stdout)
    assert printed["generated"] == {"n": 150, "d": 4}
    assert printed["features"]["name"] == "raw"
    expected = el.measure(**sets)
    for name, found in printed["metrics"].items():
        if expected[name].value == expected[name].value:
            assert found["value"] == expected[name].value
        else:
            assert found["value"] is None
        assert {"value", "interval", "note", "comparable", "seconds"} <= set(found)
    one = json.loads(entroloop_here("measure", *arguments, "--metrics", "auth_pct").stdout)
    assert list(one["metrics"]) == ["auth_pct"]


def test_equal_rows_are_null_with_a_note(entroloop_here, tmp_path):
    np.save(tmp_path / "g.npy", np.ones((20, 3)))
    answer = entroloop_here("measure", "--generated", "g.npy", "--metrics", "entropy_samples")
    found = json.loads(answer.stdout)["metrics"]["entropy_samples"]
    assert found["value"] is None
    assert "-inf" in found["note"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--generated", "nowhere.npy"], "there is no file or folder"),
        (["--generated", "g.npy", "--train", "t.npy"], "generated has 3 values a row and train 2"),
        (["--generated", "g.npy", "--metrics", "fid"], "unknown metric 'fid'"),
        (["--generated", "g.npy", "--metrics", "auth_pct"], "needs the set 'train'"),
        (["--generated", "g.npy", "--features", "dino"], "unknown features"),
        (
            ["--generated", "few.npy", "--reference", "g.npy", "--metrics", "precision"],
            "k = 5 needs 6 distinct rows",
        ),
        (["--generated", "few.npy", "--metrics", "intrinsic_dimension"], "at least 3 distinct"),
        (["--generated", "flat.npy", "--metrics", "effective_rank"], "all rows are equal"),
        (["--generated", "flat.npy", "--metrics", "hubness"], "are equal"),
        (["--generated", "zero.npy", "--metrics", "vendi_score"], "row 3 has length 0"),
        (
            ["--generated", "grey.npy", "--train", "colour.npy"],
            "one size and one mode: --resize N, --mode rgb",
        ),
        (["--generated", "grey.npy", "--train", "large.npy"], "bring both to one size"),
        (["--generated", "nan.npy"], "NaN or infinite"),
        (["--generated", "none.npy"], "holds 0 rows"),
        (["--generated", "grey.npy", "--train", "float.npy"], "bring both to one range"),
        (["--generated", "g.npy", "--features", "pixels"], "take features raw"),
        (["--generated", "g.npy", "--features", "torchscript:w.pt"], "there is no file w.pt"),
        (["--generated", "g.npy", "--device", "gpu"], "device must be auto, cpu or cuda"),
        (["--generated", "g.npy", "--html", "nowhere/page.html"], "there is no folder nowhere"),
        ([], "--generated"),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2(entroloop_here, tmp_path, arguments, message):
    np.save(tmp_path / "g.npy", np.random.default_rng(0).random((20, 3)))
    rng = np.random.default_rng(0)
    np.save(tmp_path / "t.npy", rng.random((20, 2)))
    np.save(tmp_path / "few.npy", np.arange(6.0).reshape(2, 3))
    np.save(tmp_path / "flat.npy", np.ones((20, 3)))
    zero = rng.random((20, 3))
    zero[3] = 0
    np.save(tmp_path / "zero.npy", zero)
    np.save(tmp_path / "nan.npy", np.where(np.arange(20)[:, None] == 4, np.nan, 1.0) * np.ones(3))
    np.save(tmp_path / "none.npy", np.zeros((0, 4, 4, 1), np.uint8))
    np.save(tmp_path / "float.npy", rng.random((10, 4, 4, 1)))
    for name, shape in {"grey": (4, 4, 1), "colour": (4, 4, 3), "large": (5, 5, 1)}.items():
        np.save(tmp_path / f"{name}.npy", rng.integers(0, 256, (10, *shape), dtype=np.uint8))
    answer = entroloop_here("measure", *arguments)
    assert answer.returncode == 2
    assert answer.stdout == ""
    lines = answer.stderr.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_without_names_what_cannot_be_taken_is_null_and_says_why():
    found = el.measure(
        generated=np.ones((20, 3)), reference=np.random.default_rng(0).random((20, 3))
    )
    assert np.isnan(found["effective_rank"].value)
    assert "equal" in found["effective_rank"].note
    assert np.isfinite(found["frechet_distance"].value)


def test_frechet_distance_of_fewer_rows_than_features_warns_with_the_rank(rng):
    found = el.measure(generated=rng.random((10, 30)), reference=rng.random((12, 30)))
    assert "rank ≤ 9" in found["frechet_distance"].note


def test_memorized_pairs_are_told_most_memorized_first(sets):
    sets["generated"][7] = sets["train"][11]
    sets["generated"][3] = sets["train"][5] + 1e-3
    pairs = el.measure(**sets, metrics=["memorized_fraction"])["memorized_fraction"].pairs
    assert [pair[:2] for pair in pairs[:2]] == [(7, 11), (3, 5)]
    assert pairs[0][2] == 0


def test_the_page_shows_pairs_projection_and_distances(entroloop_here, tmp_path, rng):
    train = rng.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    generated = rng.integers(0, 256, (50, 8, 8, 3), dtype=np.uint8)
    generated[4] = train[9]
    np.save(tmp_path / "g.npy", generated)
    np.save(tmp_path / "t.npy", train)
    answer = entroloop_here(
        "measure", "--generated", "g.npy", "--train", "t.npy", "--html", "page.html"
    )
    assert answer.returncode == 0, answer.stderr
    printed = json.loads(answer.stdout)
    assert printed["page"] == "page.html"
    assert printed["metrics"]["memorized_fraction"]["pairs"][0][:2] == ["4", "9"]
    assert printed["pairs"] == "page-pairs.parquet"
    pairs = pd.read_parquet(tmp_path / "page-pairs.parquet")
    assert pairs.iloc[0, :3].tolist() == ["4", "9", 0.0]
    rows = [x.reshape(len(x), -1).astype(float) for x in (generated, train)]
    d = np.sort(cdist(*rows), axis=1)[pairs["generated"].astype(int)]
    assert pairs["distance"].to_numpy() == pytest.approx(d[:, 0])
    assert pairs["next_distance"].to_numpy() == pytest.approx(d[:, 1])
    assert sorted(pairs["generated"].astype(int)) == list(range(50))
    assert pairs["ratio"].is_monotonic_increasing
    page = (tmp_path / "page.html").read_text()
    assert "most memorized first" in page
    for part in ("projection", "distances", "spectra", "entropy_samples"):
        assert f'"{part}"' in page or f">{part}<" in page
    assert "http://" not in page.split("</script>", 1)[1]
    assert page.count("<img src=") == 2 * 48
    shown = " ".join(page.split())
    assert "4<br>near 9<br>distance 0, d₁/d₂ 0<" in shown


def test_pairs_of_vectors_are_a_table_and_no_file_of_others_is_overwritten(
    entroloop_here, tmp_path, rng
):
    for name in ("g", "t"):
        np.save(tmp_path / f"{name}.npy", rng.standard_normal((30, 3)))
    call = ["measure", "--generated", "g.npy", "--train", "t.npy", "--html", "page.html"]
    other = tmp_path / "page-pairs.parquet"
    pd.DataFrame({"mine": [1]}).to_parquet(other)
    before = other.read_bytes()
    refused = entroloop_here(*call)
    assert (refused.returncode, "holds no pairs" in refused.stderr) == (2, True)
    assert other.read_bytes() == before
    assert not (tmp_path / "page.html").exists()
    other.unlink()
    for _ in range(2):  # its own file is replaced
        assert entroloop_here(*call).returncode == 0
    assert "All 30 generated rows" in (tmp_path / "page.html").read_text()
    assert len(pd.read_parquet(other)) == 30


def test_hubs_put_a_warning_on_metrics_of_neighbours(rng):
    rows = {role: rng.standard_normal((400, 200)) for role in ("generated", "train", "reference")}
    found = el.measure(**rows)
    assert "everyone's neighbours" in found["generalization_score"].note
    assert "everyone's neighbours" not in found["total_variance"].note
    few = el.measure(**{role: x[:, :3] for role, x in rows.items()})
    assert "everyone's neighbours" not in few["generalization_score"].note


def test_shares_have_intervals_of_counts_and_none_reaches_beyond_what_a_metric_can_be(sets):
    found = el.measure(**sets)
    low, high = found["memorized_fraction"].interval
    assert found["memorized_fraction"].value == low == 0
    assert 0.01 < high < 0.05  # no hit among 150: at most about 3.7/150
    for name, m in found.items():
        if m.interval is not None:
            assert METRICS[name].bounds[0] <= m.interval[0]
            assert m.interval[1] <= METRICS[name].bounds[1]


@pytest.mark.parametrize("name", sorted(n for n, m in METRICS.items() if {*m.needs} <= {*ROLES}))
def test_a_value_with_its_interval_is_that_of_the_metric_on_equal_sets(name, rng):
    metric = METRICS[name]
    rows = {role: rng.standard_normal((64, 3)) + 0.1 * at for at, role in enumerate(metric.needs)}
    if "train" in rows and "generated" in rows:
        rows["train"][:6] = rows["generated"][:6] + 1e-9  # some are memorized
    rows.setdefault("generated", rng.standard_normal((64, 3)))
    sets = Sets(**rows)
    value, interval, _ = Taker(sets).take(metric, asked_for=True)
    assert value == pytest.approx(metric.value(sets), rel=1e-9)
    if interval is not None:
        assert metric.bounds[0] <= interval[0] <= value <= interval[1] <= metric.bounds[1]


# Rows of each set that a value takes, and its interval; None: it has no interval. Others: 1 and 8.
FEWEST = {
    **dict.fromkeys(
        ["entropy_train", "entropy_samples", "generalization_ratio", "auth_pct", "c_t",
         "c_t_unselected", "mifid", "frechet_distance", "kernel_distance", "total_variance",
         "effective_rank"], (2, 8),
    ),
    **dict.fromkeys(
        ["frechet_distance_floor", "kernel_distance_floor", "generalization_ratio_real"], (2, None)
    ),
    **dict.fromkeys(
        ["entropy_train_intrinsic", "entropy_samples_intrinsic", "ken", "ken_lost", "spikiness"],
        (3, 8),
    ),
    **dict.fromkeys(["intrinsic_dimension", "intrinsic_dimension_mle"], (3, 500)),
    "ken_floor": (3, None),
    **dict.fromkeys(["precision", "recall", "density", "coverage"], (6, 12)),
    **dict.fromkeys(["coverage_floor", "tail_coverage", "tail_coverage_floor"], (6, None)),
    **dict.fromkeys(["fkea", "fkea_rke"], (3, 40)),
    **dict.fromkeys(["fld", "fld_gap"], (8, None)),
    "frechet_distance_infinity": (20, 500),  # of 5 features
    "hubness": (40, None),
    "duplicate_fraction": (1, None),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(n for n, m in METRICS.items() if {*m.needs} <= {*ROLES}))
def test_a_value_and_an_interval_take_no_fewer_rows_than_they_need(name, rng):
    metric = METRICS[name]
    fewest, of_interval = FEWEST.get(name, (1, 8))
    many = max(45, of_interval or 0)
    rows = {role: rng.standard_normal((many, 5)) for role in {*metric.needs, "generated"}}

    def taken(n):
        sets = Sets(**{role: own[:n] for role, own in rows.items()})
        return Taker(sets).take(metric, asked_for=False)

    assert np.isfinite(taken(fewest)[0])
    if fewest > 1:
        value, interval, note = taken(fewest - 1)
        assert np.isnan(value)
        assert interval is None
        assert note
    if of_interval is None:
        assert taken(many)[1] is None
    else:
        assert taken(of_interval)[1] is not None
        assert taken(of_interval - 1)[1] is None


def test_what_is_bounded_is_a_share_or_a_percentage():
    bounded = {name: m.bounds for name, m in METRICS.items() if np.isfinite(m.bounds[1])}
    assert {name for name, (_, high) in bounded.items() if high != 1} == {"auth_pct"}
    assert bounded["auth_pct"] == (0, 100)
    assert all(low == 0 for low, _ in bounded.values())


def test_no_more_of_the_second_order_is_taken_off_than_there_is():
    # A smooth function of moments has it whole (Hoeffding 1948); a quarter is what coverage asks.
    assert {metric.smooth for metric in METRICS.values()} == {0.0, 0.25, 1.0}


@pytest.mark.parametrize("measure", [el.measure, of_rows])
def test_measures_are_those_of_seed_0_unless_told(measure, sets):
    def drawn(**seed):
        found = measure(**sets, metrics=["sliced_wasserstein"], **seed)
        return found["sliced_wasserstein"].value

    assert drawn() == drawn(seed=0) != drawn(seed=1)


def test_the_interval_of_a_share_of_rows_is_no_narrower_than_that_of_counts(rng):
    # Equal sources far from each other: not one row lies near the other set, in no half of them.
    rows = {"generated": rng.standard_normal((64, 3)), "reference": rng.standard_normal((64, 3))}
    low, high = wilson(0.0, 64)
    found = el.measure(**rows | {"generated": rows["generated"] + 99}, metrics=["precision"])
    assert found["precision"].value == 0
    assert found["precision"].interval == (0, pytest.approx(high))
    whole = el.measure(generated=rows["reference"], reference=rows["reference"],
                       metrics=["precision"])["precision"]  # fmt: skip
    assert whole.value == 1
    assert whole.interval == (pytest.approx(1 - high), 1)
    assert low == 0


@pytest.mark.parametrize("n", [7, 8])
def test_an_interval_takes_eight_rows(n, rng):
    rows = {"generated": rng.standard_normal((n, 2)), "train": rng.standard_normal((n, 2))}
    found = el.measure(**rows, metrics=["total_variance", "generalization_score"])
    assert all((m.interval is not None) == (n == 8) for m in found.values())
    assert all(0 <= m.seconds < 60 for m in found.values())


def test_pairs_are_those_that_trigger_their_metric(sets):
    sets["generated"][7] = sets["train"][11]
    found = el.measure(**sets, metrics=["auth_pct", "memorized_fraction", "mifid", "c_t"])
    copied = 150 - round(1.5 * found["auth_pct"].value)
    assert len(found["auth_pct"].pairs) == min(copied, 100)
    assert found["auth_pct"].pairs[0][:2] == (7, 11)
    assert found["mifid"].pairs[0][:2] == (7, 11)
    assert "the first 100 of 150 pairs" in found["c_t"].note


def test_an_interval_of_halves_is_their_half_difference_over_twenty_splits(sets):
    taker, metric = Taker(Sets(**sets, seed=3)), METRICS["rke"]
    value, interval, note = taker.take(metric, asked_for=False)
    assert "(20 splits in halves)" in note
    halves = np.array([[metric.value(half) for half in split] for split in taker.halves])
    width = 2.086 * np.sqrt(np.square((halves[:, 0] - halves[:, 1]) / 2).mean())
    assert interval == pytest.approx((value - width, value + width))


@pytest.mark.parametrize(("hubness", "told"), [(1.4, False), (1.41, True)])
def test_metrics_of_neighbours_warn_of_a_hubness_above_1_4(hubness, told, sets, monkeypatch):
    monkeypatch.setattr(Taker, "hubness", lambda _: hubness)
    found = el.measure(**sets, metrics=["density", "total_variance"])
    assert ("hubness 1.41: few rows are everyone's neighbours" in found["density"].note) == told
    assert (found["density"].interval is None) == told
    assert "hubness" not in found["total_variance"].note


def test_a_metric_without_pairs_or_a_floor_has_none(sets):
    assert Taker(Sets(**sets)).pairs(METRICS["rke"]) == ([], 0)
    assert Taker(Sets(**sets)).floor(METRICS["rke"]) == (None, 0)
    few = Sets(**sets | {"reference": sets["reference"][:15]})
    assert Taker(few).floor(METRICS["coverage"]) == (None, 0)
    equal = Sets(**sets | {"reference": np.ones_like(sets["reference"])})
    assert Taker(equal).floor(METRICS["coverage"]) == (None, 0)


@pytest.mark.parametrize("n", [1, 3, 5, 10, 77, 1000])
def test_an_interval_of_a_share_stays_within_0_and_1(n):
    for hits in {0, 1, n - 1, n}:
        low, high = wilson(hits / n, n)
        assert 0 <= low <= hits / n <= high <= 1


@pytest.mark.parametrize("module", sorted({m.value.__module__ for m in METRICS.values()}))
def test_the_seed_of_every_metric_is_0_unless_it_is_given(module):
    functions = filter(inspect.isfunction, vars(import_module(module)).values())
    seeds = [inspect.signature(f).parameters.get("seed") for f in functions]
    assert {seed.default for seed in seeds if seed is not None} <= {0, inspect.Parameter.empty}


def test_halves_of_a_metric_given_train_have_all_of_the_training_set(sets):
    seen = []

    def farthest(given):
        seen.append((len(given["generated"]), len(given["train"])))
        return float(cdist(given["generated"], given["train"]).max())

    metric = Metric(("generated", "train"), farthest, "the largest distance")
    _, interval, note = Taker(Sets(**sets)).take(metric, asked_for=True)
    assert interval is not None
    assert "the expectation at this n, given train" in note
    assert seen == [(150, 150)] + 40 * [(75, 150)]


def test_the_pair_of_largest_ratio_of_distances_comes_first():
    train, generated = [[0.0], [2.1], [100.0], [111.0]], [[101.0], [0.1]]  # d₂/d₁: 10 and 20
    found = el.measure(generated=generated, train=train, metrics=["memorized_fraction"])
    assert [pair[:2] for pair in found["memorized_fraction"].pairs] == [(1, 0), (0, 2)]


def test_the_score_comes_with_that_of_held_out_rows(sets):
    found = el.measure(**sets, metrics=["generalization_score"])
    assert list(found) == ["generalization_score", "generalization_score_reference"]


@pytest.mark.parametrize("d", [WIDE, WIDE + 1])
def test_beyond_so_many_values_what_takes_long_waits_for_its_name(d, rng):
    rows = {"generated": rng.standard_normal((9, d)), "reference": rng.standard_normal((9, d))}
    found = el.measure(**rows)
    assert (found["frechet_distance"].interval is None) == (d > WIDE)
    assert np.isnan(found["frechet_distance_infinity"].value)  # of too few rows, or unasked
    assert ("ask for it by name" in found["frechet_distance_infinity"].note) == (d > WIDE)


def test_few_rows_of_large_images_need_no_matrix_of_all_features(rng):
    found = el.measure(generated=rng.random((9, 20_000)), reference=rng.random((9, 20_000)))
    assert found["frechet_distance"].value > 0


def test_values_beyond_what_float64_can_square_are_told_not_a_traceback(rng):
    x = rng.standard_normal((40, 3))
    x[4] = 1e200
    found = el.measure(generated=x, train=rng.standard_normal((40, 3)))
    assert np.isnan(found["generalization_score"].value)
    assert "rescale" in found["generalization_score"].note
    tiny = rng.standard_normal((40, 3)) * 1e-200
    with pytest.raises(el.InputError, match="rescale"):
        el.measure(generated=tiny, train=tiny[::-1], metrics=["generalization_score"])


def test_probabilities_of_other_rows_are_refused_and_one_metric_may_be_named_alone(rng):
    rows = rng.standard_normal((50, 3))
    with pytest.raises(el.InputError, match="10 lines of probabilities for 50 generated rows"):
        el.measure(generated=rows, probabilities=np.full((10, 2), 0.5))
    assert list(el.measure(generated=rows, metrics="total_variance")) == ["total_variance"]


@pytest.mark.parametrize(("hits", "n"), [(0, 8), (3, 8), (50, 200), (200, 200)])
def test_the_interval_of_a_share_is_scipys_score_interval(hits, n):
    expected = binomtest(hits, n).proportion_ci(0.95, "wilson")
    assert wilson(hits / n, n) == pytest.approx((expected.low, expected.high), abs=1e-5)


def test_a_floor_needs_sixteen_reference_rows_and_halves_that_share_none(rng):
    rows = {"generated": rng.standard_normal((40, 2)), "reference": rng.standard_normal((16, 2))}
    found = el.measure(**rows, metrics=["frechet_distance"])["frechet_distance"]
    assert "at 8 rows" in found.note
    rows["reference"] = rows["reference"][:15]
    assert el.measure(**rows, metrics=["frechet_distance"])["frechet_distance"].floor is None
