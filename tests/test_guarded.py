"""Guarded selection: what it compares, by how much, how surely, and what it takes."""

import json
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import binom, sem

import entroloop as el
from entroloop.commands.prepare import prepare
from entroloop.commands.run import run_study
from entroloop.data.digits import Digits
from entroloop.distances.table import DISTANCES
from entroloop.seeding import seed_for
from entroloop.selection.decision import Decision
from entroloop.selection.discrepancy import compare
from entroloop.selection.realism import conformal_of, conformal_p, realism_weights
from entroloop.selection.variety import _ln_ratio, variety_of
from entroloop.store.folder import Store
from entroloop.store.stages import read_decision, read_table
from entroloop.study.history import History
from entroloop.system.numbers import number
from here import Here

SPECTRUM = np.linspace(0.5, 2, 6)


@pytest.fixture(scope="module")
def digits():
    """All real digits, in an order of their own."""
    rows = Digits(n_train=2, n_reference=2).load().data.astype(np.float32)
    return rows[np.random.default_rng(0).permutation(len(rows))]


def by_definition(a, b, guard, f):
    """Return (gain, error) of a over b, pair by pair."""

    def discrepancy(x):  # less the term of the guard alone, which all sets share
        return 2 * f(cdist(x, guard)).mean() - f(cdist(x, x)).mean()

    h = 2 * (f(cdist(b, guard)).mean(axis=0) - f(cdist(a, guard)).mean(axis=0))
    variance = h.var(ddof=1) / len(guard)
    for x in (a, b):
        phi = 2 * (f(cdist(x, guard)).mean(axis=1) - f(cdist(x, x)).mean(axis=1))
        variance += phi.var() / len(x)
    return discrepancy(b) - discrepancy(a), np.sqrt(variance)


@pytest.mark.parametrize("discrepancy", ["energy", "kernel"])
def test_a_gain_and_its_error_are_those_of_the_definition(discrepancy, rng):
    rows = rng.standard_normal((700, 5)) * 1.3
    guard = rng.standard_normal((90, 5))
    sets = {"random": np.arange(650, 700), "a": np.arange(600), "b": np.arange(50, 90)}
    found = compare("random", sets, rows, guard, DISTANCES["euclidean"], discrepancy)
    width = np.median(cdist(guard, guard)[np.triu_indices(90, 1)])
    f = {"energy": lambda d: d, "kernel": lambda d: -np.exp(-(d**2) / (2 * width**2))}[discrepancy]
    assert found.names == ["a", "b"]
    for k, name in enumerate(found.names):
        expected = by_definition(rows[sets[name]], rows[sets["random"]], guard, f)
        assert found.gains[k] == pytest.approx(expected[0], abs=1e-5)
        assert found.errors[k] == pytest.approx(expected[1], rel=1e-4)


def test_the_kernel_of_a_guard_of_equal_rows_is_as_wide_as_1(rng):
    rows, guard = rng.standard_normal((60, 3)), np.full((9, 3), 0.5)
    sets = {"random": np.arange(30), "other": np.arange(30, 60)}
    found = compare("random", sets, rows, guard, DISTANCES["euclidean"], "kernel")
    gain, _ = by_definition(rows[30:], rows[:30], guard, lambda d: -np.exp(-(d**2) / 2))
    assert found.gains == pytest.approx([gain], abs=1e-5)


def test_rows_that_both_sets_have_leave_the_error(rng):
    rows, guard = rng.standard_normal((300, 4)), rng.standard_normal((80, 4)) + 0.5
    base = np.arange(200)
    nearly = np.concatenate([np.arange(198), [250, 251]])
    other = np.arange(100, 300)
    found = compare(
        "random", {"random": base, "nearly": nearly, "other": other, "same": base}, rows, guard,
        DISTANCES["euclidean"],
    )  # fmt: skip
    errors = dict(zip(found.names, found.errors, strict=True))
    assert errors["nearly"] < 0.25 * errors["other"]
    assert found.z[found.names.index("same")] == 0
    # Choices that are alike count nearly as one: no more than one test of its own, or two.
    assert 1.28 < found.threshold(0.1) < 1.65
    assert compare("random", {"random": base, "same": base}, rows, guard,
                   DISTANCES["euclidean"]).threshold(0.1) == np.inf  # fmt: skip


def test_rows_that_join_the_training_set_anyway_count_with_every_choice(rng):
    x, guard = rng.standard_normal((300, 4)), rng.standard_normal((100, 4))
    joined = rng.standard_normal((150, 4)) * 0.3
    found = el.select(x, 100, "guarded", guard=guard, reference=guard + 1, joined=joined,
                      inner=["greedy"], strays=0)  # fmt: skip
    picked = {name: el.select(x, 100, name).indices for name in ("random", "greedy")}
    rows = np.concatenate([x, joined])
    sets = {name: np.concatenate([i, np.arange(300, 450)]) for name, i in picked.items()}
    expected = compare("random", sets, rows, guard, DISTANCES["euclidean"])
    assert found.decision.compared["greedy"][0] == pytest.approx(expected.gains[0], rel=1e-5)
    one = {"joined": joined[:1], "inner": ["greedy"]}
    assert el.select(x, 100, "guarded", guard=guard, reference=guard + 1, **one).decision
    alone = el.select(x, 100, "guarded", guard=guard, reference=guard + 1, inner=["greedy"])
    # Alone greedy is too wide; beside narrow rows the width is what lacks.
    assert alone.decision.compared["greedy"][0] < 0 < expected.gains[0]
    first = el.select(x, 100, "guarded", guard=guard, reference=guard + 1, initial=joined,
                      inner=["greedy"], strays=0)  # fmt: skip
    assert first.decision.compared["greedy"][0] != found.decision.compared["greedy"][0]


@pytest.mark.parametrize("metric", ["cosine", "manhattan", "mahalanobis"])
def test_rows_are_compared_with_the_guard_by_the_metric_of_the_selection(metric, rng):
    x, guard = rng.standard_normal((150, 4)) * SPECTRUM[:4], rng.standard_normal((64, 4))
    one = el.select(x, 40, "guarded", guard=guard, metric=metric, inner=["greedy"])
    plain = el.select(x, 40, "guarded", guard=guard, inner=["greedy"])
    assert one.decision.compared["greedy"] != plain.decision.compared["greedy"]
    assert np.isfinite(one.decision.compared["greedy"]).all()


def accepted(repetitions, n, m, d, shift, level=0.05):
    """Return how often one random half of a pool is taken over the other."""
    count = 0
    for seed in range(repetitions):
        rng = np.random.default_rng(seed)
        pool = rng.standard_normal((2 * n, d)) + shift
        halves = {"random": np.arange(n), "other": np.arange(n, 2 * n)}
        found = compare("random", halves, pool, rng.standard_normal((m, d)),
                        DISTANCES["euclidean"])  # fmt: skip
        count += found.z[0] > found.threshold(level)
    return count


def test_a_choice_that_is_random_itself_is_taken_no_more_often_than_the_level_says():
    assert accepted(300, 64, 64, 4, 0.5) <= binom.ppf(0.999, 300, 0.05)
    assert accepted(300, 64, 64, 4, 0.0) <= binom.ppf(0.999, 300, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m", "d"), [(128, 128, 8), (128, 512, 8), (512, 128, 64)])
def test_the_level_is_within_its_binomial_interval_where_the_pool_is_not_real(n, m, d):
    low, high = binom.interval(0.99, 2000, 0.05)
    assert low <= accepted(2000, n, m, d, 0.5) <= high
    assert accepted(2000, n, m, d, 0.0) <= high  # conservative: only second order is left


def test_what_is_nearer_to_real_rows_is_taken_and_random_where_nothing_is(rng):
    # A pool that has lost variance, with a few wide rows: greedy brings the width back.
    real = rng.standard_normal((400, 6)) * SPECTRUM
    narrow = np.concatenate([0.6 * rng.standard_normal((400, 6)) * SPECTRUM,
                             rng.standard_normal((200, 6)) * SPECTRUM])  # fmt: skip
    found = el.select(narrow, 200, "guarded", guard=real)
    assert found.decision.taken not in ("random", "random without strays")
    gain, error, z = found.decision.compared[found.decision.taken]
    assert gain > 0
    assert z == pytest.approx(gain / error)
    assert z > found.decision.threshold
    # A pool that is real already: greedy flattens its density.
    found = el.select(rng.standard_normal((600, 6)) * SPECTRUM, 200, "guarded", guard=real)
    assert found.decision.taken in ("random", "random without strays")
    assert found.decision.compared["greedy"][0] < 0
    assert found.decision.guard == 200
    assert "half of the guard" in found.decision.note


def varieties(repetitions, generated, n=120, m=150, d=6):
    """Return the variety of generated(rng, real rows of the pool) many times over."""
    found = []
    for seed in range(repetitions):
        rng = np.random.default_rng(seed)
        real, guard, weighing = (rng.standard_normal((k, d)) * SPECTRUM for k in (n, m, n))
        made = generated(rng, real)
        pool = np.concatenate([made, real])
        found.append(variety_of(pool, len(made), guard, weighing, count=n))
    return found


def test_variety_is_two_ratios_of_mean_distances_with_their_first_order_errors(rng):
    made, kept, guard, real = (rng.standard_normal((n, 4)) for n in (30, 20, 25, 15))
    found = variety_of(np.concatenate([made, kept]), 30, guard, real, count=99)

    def nearest_to(a, b, order=0):
        return np.sort(cdist(a, b), axis=1)[:, order]

    pool = np.concatenate([made, kept])
    copying = nearest_to(made, pool, 1), nearest_to(guard, pool)
    straying = nearest_to(made, guard), nearest_to(real, guard)
    for (a, b), ratio, error in [
        (copying, found.copying, found.copying_error),
        (straying, found.straying, found.straying_error),
    ]:
        assert ratio == pytest.approx(np.log(a.mean() / b.mean()))
        assert error == pytest.approx(np.hypot(sem(a) / a.mean(), sem(b) / b.mean()))


def test_rows_like_real_ones_have_lost_no_more_variety_than_the_level_says():
    found = varieties(400, lambda rng, real: rng.standard_normal(real.shape) * SPECTRUM)
    copying, straying = (np.array([getattr(v, f) for v in found]) for f in ("copying", "straying"))
    assert abs(copying.mean()) < 0.02
    assert abs(straying.mean()) < 0.02
    assert sum(v.lost for v in found) <= binom.ppf(0.999, 400, 0.05)
    assert sum(v.straying > 1.645 * v.straying_error for v in found) <= binom.ppf(0.999, 400, 0.05)
    # The errors tell how much each varies; that of copying shares the guard's nearest rows with it.
    assert np.mean([v.copying_error for v in found]) == pytest.approx(copying.std(), rel=0.25)
    assert np.mean([v.straying_error for v in found]) == pytest.approx(straying.std(), rel=0.25)


def test_copies_have_lost_variety_but_not_copies_that_were_blown_off():
    near = varieties(20, lambda rng, real: real + 0.02 * rng.standard_normal(real.shape))
    assert all(v.copying < -1 for v in near)
    assert sum(v.lost for v in near) >= 17  # the level of straying: one in twenty
    blown = varieties(20, lambda rng, real: real + 0.6 * rng.standard_normal(real.shape))
    assert all(v.copying < 0 for v in blown)
    assert sum(v.lost for v in blown) <= 2
    wide = varieties(20, lambda rng, real: 2 * rng.standard_normal(real.shape) * SPECTRUM)
    assert not any(v.lost for v in wide)
    assert all(v.copying > 0 and v.straying > 0 for v in wide)


def test_copies_alone_and_rows_that_the_pool_holds_itself_are_told_apart(rng):
    real = rng.standard_normal((40, 3))
    guard = rng.standard_normal((30, 3))
    copies = variety_of(np.concatenate([real, real]), 40, guard, real, count=40)
    assert (copies.copying, copies.copying_error) == (-np.inf, 0)
    assert copies.lost
    assert not variety_of(np.zeros((9, 3)), 9, *np.zeros((2, 4, 3)), count=9).lost
    assert not variety_of(real[:1], 1, guard, real, count=1).lost
    # Half of the pool stands in for a guard: its rows are left out of what they are compared with.
    own = variety_of(real, 20, real[20:], real[20:], count=20, in_pool=True)
    assert abs(own.copying) < 4 * own.copying_error
    assert variety_of(real, 20, real[20:], real[20:], count=20).copying == np.inf


def test_rows_that_all_lie_on_others_are_as_far_as_those():
    assert _ln_ratio(np.zeros(3), np.zeros(4)) == (0.0, 0.0)
    assert _ln_ratio(np.zeros(3), np.ones(4)) == (-np.inf, 0.0)
    assert _ln_ratio(np.ones(3), np.zeros(4)) == (np.inf, 0.0)
    assert _ln_ratio(np.ones(1), np.ones(4)) == (0.0, np.inf)  # of one distance nothing is known


def test_where_variety_was_lost_choices_that_raise_the_spread_need_less_evidence(rng):
    real = rng.standard_normal((200, 6)) * SPECTRUM
    trained = rng.standard_normal((250, 6)) * SPECTRUM
    copies = np.tile(trained, (2, 1)) + 0.03 * rng.standard_normal((500, 6)) * SPECTRUM
    found = el.select(copies, 60, "guarded", guard=real).decision
    assert found.copying[0] < -1
    assert found.straying[0] < 1.645 * found.straying[1]
    assert found.threshold_widening < 0.7 * found.threshold
    # As varied as real rows: no prior. And none by request.
    varied = el.select(rng.standard_normal((500, 6)) * SPECTRUM, 60, "guarded", guard=real).decision
    assert varied.threshold_widening == varied.threshold
    same = el.select(copies, 60, "guarded", guard=real, level_if_lost=0.1).decision
    assert same.threshold_widening == pytest.approx(same.threshold, rel=0.1)
    # It is a permit for greedy as it is, not for weighted choices, and the guard can veto it.
    for name, (gain, _, z) in found.compared.items():
        if name == found.taken:
            assert z > (found.threshold if "weights" in name else found.threshold_widening)
            assert gain > 0
    assert "its choice is nearer to real rows" in found.reason
    assert found.reason.endswith("as real rows do: variety was lost")
    assert "no choice is nearer to real rows" in varied.reason
    assert varied.reason.endswith("no loss of variety is seen")
    times = f"{number(np.exp(found.copying[0]))} times as far from the rest of the pool"
    assert times in found.reason
    assert f"{number(np.exp(found.straying[0]))} times as far from real rows" in found.reason
    nothing = {"random without strays": (0.1, 0.1, 1.0)}  # every inner strategy was left out
    assert Decision("random", nothing, 1.0, 9, "energy").reason == ""
    alone = Decision("greedy", {"greedy": (1.0, 0.2, 5.0)}, 1.0, 9, "energy")
    assert alone.reason.endswith("(5.00 of its errors)")  # what was lost is not known
    unknown = replace(alone, copying=(-np.inf, 0.1), straying=(0.5, 0.1))
    assert unknown.reason == alone.reason
    # Known real rows in the pool do not hide that the others are copies.
    pool = np.concatenate([trained, copies])
    told = el.select(pool, 60, "guarded", guard=real, generations=np.repeat([0, 1], [250, 500]))
    assert told.decision.copying[0] < -1
    with pytest.raises(el.InputError, match=r"level_if_lost must lie in \[0.1, 1\)"):
        el.select(pool, 60, "guarded", guard=real, level_if_lost=0.05)


def test_an_arm_may_weigh_its_candidates_by_realism(tiny, tmp_path):
    arm = {"paradigm": "accumulate_subsample", "strategy": "greedy", "oversample": 2}
    arms = [arm | {"name": "plain"}, arm | {"name": "tail", "weights": "tail"}]
    list(run_study(tiny | {"arms": arms, "seeds": [0]}, out=tmp_path / "s", engine=Here()))
    study = prepare(tiny | {"arms": arms, "seeds": [0]}, tmp_path / "s")
    store = Store(tmp_path / "s")
    step = next(s for s in study.steps if s.arm.name == "tail" and s.generation == 2)
    history = History(step, study.built, store)
    pool = np.concatenate([history.generation(0).data, history.generation(1).data])
    weights = realism_weights(pool, history.real_train().data)
    seed = seed_for(step.seed, 2, "select")
    expected = el.select(pool, 24, weights=weights, seed=seed).indices
    table = read_table(store, step.training_set).sort_values("pick_rank")
    ids = history.generation(0).ids + history.generation(1).ids
    assert list(table["id"]) == [ids[i] for i in expected]
    for changes, message in (({"weights": "tial"}, "'tail'"), ({"weights": "tail", "strategy":
                             "guarded"}, "inner")):  # fmt: skip
        with pytest.raises(el.InputError, match=message):
            prepare(tiny | {"arms": [arm | changes]}, tmp_path / "s")


def test_noise_among_images_is_kept_out_and_little_entropy_is_lost(digits):
    guard, clean = digits[:400], digits[400:1400]
    losses = []
    for seed in range(3):
        noise = np.random.default_rng(seed).uniform(-1, 1, (50, 64)).astype(np.float32)
        pool = np.concatenate([clean, noise])

        def chosen(strategy, pool=pool, seed=seed, **more):
            picked = el.select(pool, 300, strategy, seed=seed, **more).indices
            return int((picked >= 1000).sum()), pool[picked[picked < 1000]]

        assert chosen("greedy")[0] >= 48
        assert chosen("guarded", guard=guard)[0] < 5
        count, rows = chosen("greedy", weights="realism", guard=guard)
        assert count < 5
        best = el.select(clean, len(rows), "greedy", seed=seed).indices
        losses.append(1 - el.knn_entropy(rows).nats / el.knn_entropy(clean[best]).nats)
    assert np.mean(losses) < 0.03


def test_realism_is_1_for_copies_and_falls_with_distance(rng):
    real = rng.standard_normal((200, 3))
    x = np.concatenate([real[:5], real[:5] + 50, real[:5] + 500])
    for form in ("tail", "distance", "conformal"):
        weights = realism_weights(x, real, form=form)
        assert (weights[:5] == 1).all()
        assert (weights[5:] < 0.2).all()
        assert (weights > 0).all()
    assert conformal_of(np.array([0.5, 2.0, 9.0]), np.arange(1.0, 5.0)).tolist() == [1, 0.8, 0.2]
    p = conformal_p(rng.standard_normal((4000, 3)), real)
    assert np.mean(p <= 0.1) == pytest.approx(0.1, abs=0.05)
    copies = np.zeros((20, 2))
    assert (realism_weights(copies[:3], copies, form="distance") == 1).all()
    with pytest.raises(el.InputError, match="form of realism"):
        realism_weights(x, real, form="nearness")
    with pytest.raises(el.InputError, match="at least 6 real rows"):
        realism_weights(x, real[:5], k=5)


def test_the_strength_of_threshold_decay_is_searched_for_the_largest_gain(rng):
    x = np.concatenate([0.5 * rng.standard_normal((300, 5)), 3 * rng.standard_normal((60, 5))])
    inner = [{"strategy": "threshold_decay", "strength": "adaptive"}]
    found = el.select(x, 120, "guarded", guard=rng.standard_normal((100, 5)), inner=inner)
    gains = {n: g for n, (g, _, _) in found.decision.compared.items() if "strength" in n}
    assert len(gains) >= 4
    best = max(gains, key=gains.get)
    assert best not in ("threshold_decay strength=0.5", "threshold_decay strength=1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"guard": np.ones((40, 2))}, "guard has 2 values a row, the pool 3"),
        ({"guard": np.ones((20, 3))}, "at least 32 guard rows; got 20"),
        ({"guard": np.ones((15, 3)), "reference": np.ones((40, 3))}, "least 16 guard rows; got 15"),
        ({"guard": np.full((40, 3), np.nan)}, "guard"),
        ({"inner": []}, "at least one inner strategy"),
        ({"inner": ["guarded"]}, "inner strategy of itself"),
        ({"inner": [{"weights": "tail"}]}, "needs the key 'strategy'"),
        ({"inner": [{"strategy": "greedy", "weights": "nearness"}]}, "form of realism"),
        ({"inner": [{"strategy": "greedy", "within": -1}]}, "within must be"),
        ({"inner": ["gredy"]}, "greedy"),
        ({"level": 0.7}, "level must lie"),
        ({"strays": 0.7}, "strays must lie"),
        ({"discrepancy": "energetic"}, "energy"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(arguments, message, rng):
    x = rng.standard_normal((60, 3))
    more = {"guard": rng.standard_normal((40, 3))} | arguments
    with pytest.raises(el.InputError, match=message) as error:
        el.select(x, 10, "guarded", **more)
    assert "\n" not in str(error.value)


def test_strays_make_room_for_other_random_rows_none_of_which_is_a_copy(rng):
    real = rng.standard_normal((300, 4))
    x = np.concatenate([rng.standard_normal((500, 4)), 30 + rng.standard_normal((100, 4))])
    found = el.select(x, 200, "guarded", guard=real, inner=["kmeans"])
    assert found.decision.taken == "random without strays"
    assert found.indices.max() < 500
    assert len(np.unique(found.indices)) == 200
    assert found.duplicates == 0


def test_a_row_as_unlikely_as_a_stray_may_be_is_none(rng):
    x = np.concatenate([rng.standard_normal((500, 4)), 30 + rng.standard_normal((100, 4))])
    asked = {"guard": rng.standard_normal((90, 4)), "reference": rng.standard_normal((50, 4)),
             "inner": ["kmeans"]}  # fmt: skip
    least = conformal_p(30 * np.ones((1, 4)), asked["reference"]).min()
    at, above = (el.select(x, 200, "guarded", strays=p, **asked) for p in (least, least + 1e-9))
    assert at.decision.compared["random without strays"][0] == 0
    assert above.decision.compared["random without strays"][0] > 0


def test_the_variety_of_a_large_pool_is_that_of_2048_of_its_rows(rng, monkeypatch):
    counts = []

    def noted(*given, **told):
        counts.append(told["count"])
        return variety_of(*given, **told)

    module = import_module("entroloop.selection.strategies.guarded")  # a function has its name
    monkeypatch.setattr(module, "variety_of", noted)
    el.select(rng.standard_normal((80, 3)), 9, "guarded", guard=rng.standard_normal((40, 3)))
    assert counts == [2048]


def test_without_a_guard_others_stand_in_and_where_nothing_is_real_random_is_taken(rng):
    x = np.concatenate([rng.standard_normal((300, 4)), 0.5 * rng.standard_normal((300, 4))])
    plain = el.select(x, 200, "guarded")
    assert plain.decision.taken == "random"
    assert "nothing is known to be real" in plain.decision.note
    assert plain.decision.guard == 0
    assert plain.indices.tolist() == el.select(x, 200, "random").indices.tolist()
    born = np.repeat([0, 1], 300)
    found = el.select(x, 200, "guarded", generations=born)
    assert found.decision.guard == 75  # half of the oldest stands in, half of that decides
    assert "generation 0, its oldest" in found.decision.note
    assert found.decision.taken != "random"
    assert (found.indices < 300).sum() <= 150  # the others cannot be picked
    all_others = el.select(x, 450, "guarded", generations=born)
    assert all_others.decision.guard == 75  # 450 rows are left to pick, which is enough
    assert el.select(x, 451, "guarded", generations=born).decision.taken == "random"
    for real, enough in ((64, True), (62, False)):  # half of the oldest, and half of that: 16
        found = el.select(x, 80, "guarded", generations=np.repeat([0, 1], [real, 600 - real]))
        assert (found.decision.guard == 16) == enough
    stand_in = el.select(x, 200, "guarded", reference=x[:300])
    assert "no guard" in stand_in.decision.note
    assert stand_in.decision.guard == 150


def test_a_study_keeps_its_guard_from_every_model_and_records_what_was_taken(tiny, tmp_path):
    arms = [
        {"name": "guarded", "paradigm": "accumulate_subsample", "strategy": "guarded",
         "oversample": 2},
        {"name": "rival", "paradigm": "replace", "strategy": "random",
         "paradigm_args": {"guard": 6}},
    ]  # fmt: skip
    config = tiny | {"guard": 40, "arms": arms, "seeds": [0]}
    records = {
        (r.arm, r.generation): r for r in run_study(config, out=tmp_path / "s", engine=Here())
    }
    study = prepare(config, tmp_path / "s")
    store = Store(tmp_path / "s")
    for step in study.steps:
        history = History(step, study.built, store)
        guard = set(history.guard().ids)
        assert len(guard) == 40
        assert not guard & set(history.reference().ids)
        trained = set(read_table(store, step.training_set)["id"])
        if step.arm.name == "guarded":
            assert not guard & trained
            taken = records["guarded", step.generation].taken
            decision = read_decision(store, step.training_set)
            assert taken == decision.get("taken", "")
            assert (taken == "") == (step.generation == 1)
        elif step.generation > 1:
            assert len(guard & trained) == 6
            assert len(trained) == 24
    page = (tmp_path / "s/report.html").read_text() if (tmp_path / "s/report.html").exists() else (
        el.render_report([tmp_path / "s"], tmp_path / "r.html").read_text())  # fmt: skip
    assert "What guarded selection decided" in page
    assert "no random arm to compare with" in page
    assert "times as far from the guard as real rows)" in page
    table = el.load_records(tmp_path / "s")
    assert set(table.loc[table["arm"] == "rival", "taken"]) == {""}


def test_a_guarded_arm_that_takes_random_trains_on_the_rows_of_the_random_arm(tiny, tmp_path):
    arms = [
        {"name": "random", "paradigm": "accumulate_subsample", "strategy": "random"},
        {"name": "guarded", "paradigm": "accumulate_subsample", "strategy": "guarded",
         "oversample": 3, "strategy_args": {"level": 1e-9, "level_if_lost": 1e-9, "strays": 0}},
    ]  # fmt: skip
    records = list(run_study(tiny | {"guard": 40, "arms": arms}, out=tmp_path / "s", engine=Here()))
    ours, theirs = ([r for r in records if r.arm == arm["name"]] for arm in arms)
    assert {r.taken for r in theirs} == {"", "random"}
    for a, b in zip(ours, theirs, strict=True):
        assert a.entropy_train == b.entropy_train
        assert a.frechet_distance == b.frechet_distance


def test_a_guard_that_the_reserve_does_not_hold_is_refused(tiny, tmp_path):
    arm = {"paradigm": "replace", "strategy": "guarded"}
    with pytest.raises(el.InputError, match=r"needs a guard of 1790 real rows"):
        prepare(tiny | {"guard": 1790, "arms": [arm]}, tmp_path / "s")
    rival = {"paradigm": "replace", "strategy": "random", "paradigm_args": {"guard": 20}}
    with pytest.raises(el.InputError, match="`guard` is 10"):
        prepare(tiny | {"guard": 10, "arms": [rival]}, tmp_path / "s")
    prepare(tiny | {"guard": 1790}, tmp_path / "s")  # no arm asks for it


def test_the_command_takes_a_guard_and_tells_what_it_decided(entroloop_here, tmp_path, rng):
    np.save(tmp_path / "pool.npy", rng.standard_normal((200, 4)))
    np.save(tmp_path / "real.npy", rng.standard_normal((80, 4)))
    pool = ["select", "--pool", str(tmp_path / "pool.npy"), "-n", "50", "--out"]
    guard = ["--guard", str(tmp_path / "real.npy")]
    done = entroloop_here(*pool, str(tmp_path / "a"), "--strategy", "guarded", *guard)
    assert done.returncode == 0, done.stderr
    decision = json.loads((tmp_path / "a/summary.json").read_text())["decision"]
    assert set(decision["compared"]["greedy"]) == {"gain", "error", "z"}
    assert decision["taken"] in {"random", "random without strays", *decision["compared"]}
    done = entroloop_here(*pool, str(tmp_path / "b"), "--weights", "realism", *guard)
    assert done.returncode == 0, done.stderr
    for wrong in (["--strategy", "guarded"], ["--weights", "realism"], guard):
        done = entroloop_here(*pool, str(tmp_path / "c"), *wrong)
        assert done.returncode == 2
        assert "--guard" in done.stderr
        assert not (tmp_path / "c").exists()


def test_the_random_choice_comes_from_the_baseline_where_that_is_enough(rng):
    x, baseline = rng.standard_normal((60, 3)), np.arange(60) % 3 == 0
    chosen = el.select(x, 20, "guarded", baseline=baseline)  # nothing is known to be real
    assert sorted(chosen.indices) == np.flatnonzero(baseline).tolist()
    more = el.select(x, 21, "guarded", baseline=baseline)
    assert len(set(more.indices.tolist())) == 21


@pytest.mark.parametrize("count", [5, 14, 19])
def test_a_choice_of_the_same_rows_in_another_order_gains_nothing_at_all(count, rng):
    rows, guard = rng.standard_normal((41, 17)).astype(np.float32), rng.standard_normal((23, 17))
    other = np.arange(20)
    different = {"random": np.arange(41), "other": other, "other, turned": other[::-1]}
    sets = different | {f"same {i}": rng.permutation(41) for i in range(count)}
    found = compare("random", sets, rows, guard, DISTANCES["euclidean"])
    assert found.gains[0] == found.gains[1] != 0
    assert found.errors[0] == found.errors[1] > 0
    assert (found.gains[2:] == 0).all()
    assert (found.errors[2:] == 0).all()
    assert (found.z[2:] == 0).all()
    alone = compare("random", different, rows, guard, DISTANCES["euclidean"])
    assert found.gains[0] == pytest.approx(alone.gains[0], rel=1e-4)
    assert found.threshold(0.05) == pytest.approx(alone.threshold(0.05))
