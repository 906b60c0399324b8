"""What a study's page holds, before any browser has seen it."""

import base64
import hashlib
import json
import re

import numpy as np
import pandas as pd
import pytest

import entroloop as el
from entroloop.commands.run import run_study
from entroloop.metrics.frequencies import high_frequency_loss
from entroloop.metrics.tails import tail_share
from entroloop.report.arms import shown_arms
from entroloop.report.claims import t_interval
from entroloop.report.figures import curves, provenance, relation
from entroloop.report.page_tables import Cell, Column, Row, Table
from entroloop.report.pictures import COUNTS, PIXELS, nearest_first, pictures, plan
from entroloop.report.profile import profile
from entroloop.report.read import StudyView
from entroloop.report.sets_verdict import sets_verdict
from entroloop.report.took_and_left import took_and_left
from entroloop.seeding import seed_for
from entroloop.selection import select
from entroloop.store.folder import Store
from entroloop.system.numbers import number, percent
from here import Here

STUDY = {
    "name": "page", "generations": 3, "seeds": [0, 1, 2], "generator": {"name": "gaussian"},
    "data": {"source": "digits", "n_train": 60, "n_reference": 200},
    "paradigm": "accumulate_subsample", "metrics": {"extra": ["coverage", "recall"]},
    "arms": [{"name": "random", "strategy": "random"},
             {"name": "greedy", "strategy": "greedy", "oversample": 2}],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "s"
    list(run_study(STUDY, out=out, engine=Here()))
    return out


@pytest.fixture(scope="module")
def page(folder):
    return el.render_report([folder], folder.parent / "page.html").read_text()


@pytest.fixture
def view(folder):
    return StudyView.open(folder)


def data_of(page):
    return json.loads(page.partition('id="data">')[2].partition("</script>")[0])


def test_a_page_is_small_and_asks_nothing_of_a_net(page):
    assert len(page) < 300_000
    assert "http" not in re.sub(r"<script>.*?</script>", "", page, flags=re.S).replace(
        "http-equiv", ""
    )
    assert not re.search(r"\s(src|href)=\"(?!#|data:)", page)


def test_nothing_but_the_pages_own_script_and_style_may_run(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    for kind in ("script", "style"):
        text = page.partition(f"<{kind}>")[2].partition(f"</{kind}>")[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src &#39;sha256-{digest}&#39;".replace("&#39;", "'") in policy
    assert "unsafe" not in policy
    assert not re.search(r"\son\w+=|\sstyle=", page.partition("<body>")[2])


def test_curves_are_means_with_bands_over_seeds_and_hold_what_was_asked_for(view):
    arms = shown_arms([view])
    charts = {chart["id"]: chart for chart in curves(arms)}
    assert {"coverage", "recall"} < set(charts)
    for column in ("frechet_distance", "coverage"):
        for arm, line in zip(("random", "greedy"), charts[column]["series"], strict=True):
            rows = view.records[view.records["arm"] == arm]
            by_generation = rows.groupby("generation")[column]
            assert line["name"] == arm
            assert line["x"] == [1, 2, 3]
            assert line["n"] == [3, 3, 3]
            for key, expected in (("y", by_generation.mean()), ("low", by_generation.min()),
                                  ("high", by_generation.max())):  # fmt: skip
                assert line[key] == pytest.approx(expected.tolist(), rel=1e-5)
    floor = view.records.groupby("generation")["coverage_floor"].mean()
    assert charts["coverage"]["series"][0]["beside"] == pytest.approx(floor.tolist(), rel=1e-5)
    assert charts["real_share"]["zero"]
    assert charts["coverage"]["zero"]
    assert not charts["entropy_train"]["zero"]


def test_the_line_of_entropy_and_score_is_the_least_squares_line_within_its_band(view):
    chart, [said] = relation(shown_arms([view]), [view])
    rows = view.records[view.records["generation"] >= 2]
    slope, intercept = np.polyfit(rows["entropy_train"], np.log(rows["generalization_score"]), 1)
    [fit] = chart["fits"]
    x, y, low, high = (np.array(fit[key]) for key in ("x", "y", "low", "high"))
    np.testing.assert_allclose(y, intercept + slope * x, rtol=1e-4)
    assert (low <= y).all()
    assert (y <= high).all()
    assert sum(len(one["x"]) for one in chart["series"]) == len(rows)
    assert f"slope {slope:.4f} [" in said


def test_provenance_adds_up_to_one(view):
    for chart in provenance(shown_arms([view])):
        layers = np.array([layer["y"] for layer in chart["series"]])
        np.testing.assert_allclose(layers.sum(axis=0), 1, atol=1e-5)
        assert layers[0, 0] == 1  # the first training set is real


def test_the_profile_is_the_change_within_runs_with_its_interval(view):
    table = profile(shown_arms([view]), [view], [False])
    rows = {row.cells[0].text: row.cells for row in table.rows}
    greedy = view.records[view.records["arm"] == "greedy"].pivot(
        index="seed", columns="generation", values="frechet_distance"
    )
    effects = np.log(greedy[3] / greedy[1])
    low, high = t_interval(list(effects))
    cell = rows["Fréchet distance"][3]
    assert cell.value == pytest.approx(np.expm1(effects.mean()))
    assert cell.interval == pytest.approx((np.expm1(low), np.expm1(high)))
    assert cell.kind == "worse"
    assert list(rows) == ["variance", "entropy", "Fréchet distance", "coverage of real modes",
                          "tails", "fine detail", "memorization"]  # fmt: skip
    assert "share of held-out rows" in rows["coverage of real modes"][0].detail
    samples = view.samples("greedy", 1, 3)
    held_out = np.asarray(view.real.data[np.sort(view.real_rows(1)[1])])
    tails = [tail_share(generated=view.samples("greedy", seed, g),
                        reference=np.asarray(view.real.data[np.sort(view.real_rows(seed)[1])]))
             for seed in range(3) for g in (1, 3)]  # fmt: skip
    assert tail_share(generated=samples, reference=held_out) in tails
    assert rows["tails"][3].value == pytest.approx(np.mean(tails[1::2]) - np.mean(tails[::2]))
    detail = rows["fine detail"]
    assert "nats" in detail[3].text
    losses = [
        high_frequency_loss(
            generated=view.as_images(view.samples("greedy", seed, g)),
            reference=view.as_images(np.asarray(view.real.data[np.sort(view.real_rows(seed)[1])])),
        )
        for seed in range(3) for g in (1, 3)
    ]  # fmt: skip
    assert detail[3].value == pytest.approx(np.mean(losses[1::2]) - np.mean(losses[::2]))
    assert abs(detail[1].value) < 0.1 < abs(losses[0])  # real rows beside held-out ones


def test_a_profile_of_a_generator_that_failed_is_greyed_and_one_seed_has_no_sign(view):
    arms = shown_arms([view])
    grey = profile(arms, [view], [True])
    assert {cell.kind for row in grey.rows for cell in row.cells[2:]} == {"greyed"}
    one = StudyView(
        view.store, view.records[view.records["seed"] == 0], view.config, view.environment
    )
    alone = profile(shown_arms([one]), [one], [False])
    assert {cell.kind for row in alone.rows for cell in row.cells} == {""}


def test_what_selection_took_and_left_is_what_select_says(view):
    # The pool, put together by hand: real training rows, then two times N samples a generation.
    [arm] = [arm for arm in shown_arms([view]) if arm.name == "greedy"]
    found = took_and_left(arm, 3, 6)
    keys = view.keys("greedy", 0)
    parts = [np.asarray(view.real.data[view.real_rows(0)[0]])]
    parts += [view.store.samples(keys[g]["samples"])[:120] for g in (0, 1)]
    pool = np.concatenate(parts)
    chosen = select(pool, 60, "greedy", seed=seed_for(0, 3, "select"))
    np.testing.assert_array_equal(found.took, pool[chosen.indices[:6]])
    np.testing.assert_array_equal(found.radius, chosen.radii[:6])
    picks = pool[chosen.indices]
    left = np.delete(pool, chosen.indices, axis=0)
    d = np.linalg.norm(left[:, None].astype(np.float64) - picks[None], axis=2).min(axis=1)
    assert found.distances[0] == pytest.approx(d.min())
    assert found.distances[-1] == pytest.approx(d.max())
    to = np.linalg.norm(found.left.astype(np.float64) - found.covering, axis=1)
    assert found.distances == pytest.approx(to)
    assert took_and_left(arm, 1, 6) is None
    [random] = [arm for arm in shown_arms([view]) if arm.name == "random"]
    assert took_and_left(random, 3, 6) is None


def test_the_most_memorized_samples_come_first(rng):
    train, samples = rng.standard_normal((50, 4)), rng.standard_normal((30, 4))
    samples[17] = train[3] + 1e-6
    index, values, of = nearest_first(samples, train, 5)
    d = np.sort(np.linalg.norm(samples[:, None] - train[None], axis=2), axis=1)
    ratio = d[:, 0] / d[:, 1]
    assert index[0].tolist() == [17, 3]
    assert of == 30
    assert [r for _, r in values] == pytest.approx(np.sort(ratio)[:5].tolist())


@pytest.mark.parametrize(("arms", "generations", "tile"), [
    (3, 6, 64), (5, 10, 3072), (12, 20, 12_288), (12, 100, 3072),
])  # fmt: skip
def test_pictures_of_a_page_have_a_limit(arms, generations, tile):
    found = plan(arms, generations, tile)
    shown = found.generations
    assert shown[0] == 1
    assert shown[-1] == generations
    fewest = COUNTS[-1][0] + 2 * COUNTS[-1][1] + 3 * COUNTS[-1][2]
    tiles = found.samples + 2 * found.pairs + 3 * found.taken
    least = arms * 3 * fewest * tile  # first, middle and last are always there
    assert arms * len(shown) * tiles * tile <= max(PIXELS, least)


def test_arms_share_the_picture_of_the_generation_that_they_share(view):
    found = pictures(shown_arms([view]), [view])
    first, second = (arm["generations"] for arm in found["arms"])
    assert first[1]["sheet"] == second[1]["sheet"]
    assert len(found["sheets"]) == 1 + 2 * 2 + 1  # generation 1, two of each arm, real rows


def test_the_best_value_is_marked_unless_all_look_alike():
    def table(*values, best="low"):
        rows = [Row([Cell(f"{v:.1f}", v)]) for v in values]
        marked = Table("t", "", [Column("x", best=best)], rows).with_best()
        return [row.cells[0].kind for row in marked.rows]

    assert table(2.0, 1.0, 3.0) == ["", "best", ""]
    assert table(2.0, 1.0, 3.0, best="high") == ["", "", "best"]
    assert table(1.01, 1.02, 3.0) == ["best", "best", ""]
    assert table(1.01, 1.02) == ["", ""]
    assert table(2.0, float("nan"), 3.0, best="") == ["", "", ""]


def test_the_page_of_measured_sets_opens_with_a_verdict_that_intervals_decide(rng):
    train, reference = rng.standard_normal((2, 400, 4))
    copies = train + 1e-3 * rng.standard_normal(train.shape)
    fresh = rng.standard_normal((400, 4))
    away = reference + 9
    some = np.concatenate([copies[:100], away[:300]])  # far away as a whole, copies among them
    for generated, memorized in (
        (copies, "yes: "), (fresh, "not seen: "), (away, "no: "),
        (some, "yes: 25.0 % [21.0, 29.5] of generated rows are three times nearer"),
    ):  # fmt: skip
        found = el.measure(generated=generated, train=train, reference=reference)
        lines = dict(sets_verdict(found))
        assert list(lines) == ["Memorized?", "Covers?", "Like real?"]
        assert lines["Memorized?"].startswith(memorized)
        assert f"{percent(found['coverage'].value)} [" in lines["Covers?"]
        assert number(found["frechet_distance"].floor) in lines["Like real?"]
    alone = dict(sets_verdict(el.measure(generated=fresh)))
    assert all("not asked" in answer for answer in alone.values())


def test_text_of_a_study_is_never_markup(tiny, tmp_path):
    name = "</script><script>alert(1)</script><!-- &amp; \u2028"
    list(run_study(tiny | {"name": name}, out=tmp_path / "s", engine=Here()))
    page = el.render_report([tmp_path / "s"], tmp_path / "r.html").read_text()
    assert "<script>alert" not in page
    assert "<!--" not in page.partition("<body>")[2]
    assert page.count("<script") == 2
    assert data_of(page)["arms"][0]["name"] == "replace-random"


def test_studies_that_cannot_be_compared_are_told_apart(tiny, tmp_path):
    list(run_study(tiny, out=tmp_path / "a", engine=Here()))
    other = tiny | {"data": tiny["data"] | {"n_train": 30}}
    list(run_study(other, out=tmp_path / "b", engine=Here()))
    page = el.render_report([tmp_path / "a", tmp_path / "b"], tmp_path / "r.html").read_text()
    assert "These studies differ in N (24, 30)" in page
    assert "tiny (a)" in page
    assert "tiny (b)" in page


def test_a_run_that_is_not_complete_has_a_page(folder, view, tmp_path):
    records = view.records
    partial = records[(records["arm"] == "random") & (records["generation"] < 3)]
    one = StudyView(Store(folder), pd.DataFrame(partial), view.config, view.environment)
    arms = shown_arms([one])
    assert [arm.name for arm in arms] == ["random"]
    assert curves(arms)[0]["series"][0]["x"] == [1, 2]
    assert profile(arms, [one], [False]) is not None
