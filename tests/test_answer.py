"""What a study's page opens with."""

import numpy as np
import pandas as pd
import pytest

import entroloop as el
from entroloop.commands.run import run_study
from entroloop.metrics.manifold import coverage, precision
from entroloop.report.answer import _expected, _variety, answer
from entroloop.report.arms import shown_arms
from entroloop.report.first_generation import first_generation_table
from entroloop.report.read import StudyView
from entroloop.report.study_tables import arms_table
from entroloop.selection.variety import Variety, variety_of
from entroloop.store.folder import Store
from here import Here


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("answer") / "s"
    study = {
        "name": "answer", "generations": 3, "seeds": [0, 1, 2], "generator": {"name": "gaussian"},
        "data": {"source": "digits", "n_train": 100, "n_reference": 300},
        "paradigm": "accumulate_subsample",
        "arms": [{"name": "random", "strategy": "random"},
                 {"name": "greedy", "strategy": "greedy", "oversample": 2}],
    }  # fmt: skip
    list(run_study(study, out=out, engine=Here()))
    return out


def view_with(folder, change):
    """Return the study with its records changed."""
    view = StudyView.open(folder)
    records = view.records.copy()
    change(records)
    return StudyView(Store(folder), records, view.config, view.environment)


def test_an_arm_is_compared_with_random_by_seed_with_its_interval(folder):
    def change(records):
        last = records["generation"] == 3
        records.loc[last & (records["arm"] == "random"), "frechet_distance"] = [4.0, 5.0, 6.0]
        records.loc[last & (records["arm"] == "greedy"), "frechet_distance"] = [2.0, 2.4, 3.1]

    found = answer(view_with(folder, change))
    ratios = np.log(np.array([2.0, 2.4, 3.1]) / [4.0, 5.0, 6.0])
    half = 4.302653 * ratios.std(ddof=1) / np.sqrt(3)
    shown = [f"{100 * np.expm1(x):+.0f}".replace("-", "−")
             for x in (ratios.mean(), ratios.mean() - half, ratios.mean() + half)]  # fmt: skip
    line = found.arms[1]
    assert line.kind == "better"
    assert line.change == f"{shown[0]} % [{shown[1]}, {shown[2]}]"
    assert found.base == "random"
    assert (
        f"; greedy ends at 2.50, {line.change} against random (lower in 3 of 3 seeds)."
        in found.sentence
    )
    assert found.sentence.startswith("Training on its own samples makes the generator worse: ")
    page = el.render_report([folder], folder.parent / "page.html").read_text()
    assert page.index('class="answer"') < page.index('id="collapse"')


def test_an_arm_that_selects_is_compared_with_the_random_arm_of_its_paradigm(folder):
    def change(records):
        records.loc[records["generation"] == 3, "frechet_distance"] = [4, 5, 6] * 2

    view = view_with(folder, change)
    greedy = view.config["arms"][1]
    last = view.records["generation"] == 3
    own = view.records[view.records["arm"] == "greedy"].assign(arm="alone")
    more = view.records[view.records["arm"] == "greedy"].assign(arm="alone-greedy")
    more.loc[last, "frechet_distance"] = [2.0, 2.4, 3.1]
    for name, strategy in (("alone", "random"), ("alone-greedy", "greedy")):
        arm = greedy | {"name": name, "strategy": strategy, "paradigm": "replace"}
        view.config["arms"].append(arm)
    records = pd.concat([view.records, own, more], ignore_index=True)
    both = StudyView(view.store, records, view.config, view.environment)
    found = answer(both)
    assert [line.base for line in found.arms] == ["random", "random", "random", "alone"]
    assert found.arms[3].kind == "better"
    assert f"alone-greedy ends at 2.50, {found.arms[3].change} against alone (" in found.sentence
    table = arms_table("arms", found, shown_arms([both]), 3)
    assert table.columns[2].heading == "change against its random arm"
    assert table.rows[3].cells[2].detail == "lower than alone in 3 of 3 seeds"


def test_one_seed_has_no_interval_and_no_verdict(folder):
    view = StudyView.open(folder)
    one = view.records[view.records["seed"] == 0]
    found = answer(StudyView(Store(folder), one, view.config, view.environment))
    assert all(line.kind == "" for line in found.arms)
    assert "1 of 1 seed, no interval" in found.sentence
    assert found.arms[1].seeds in ("0 of 1 seed, no interval", "1 of 1 seed, no interval")
    assert found.sentence.startswith("Fréchet distance ")  # and no verdict on the loop
    assert "makes" not in found.sentence


def test_an_arm_that_is_harmed_is_named_as_worse(folder):
    found = answer(StudyView.open(folder))  # greedy with a Gaussian generator
    assert [line.kind for line in found.arms] == ["", "worse"]
    assert "worse: greedy" in found.sentence


@pytest.mark.parametrize(("last", "said"), [
    ([3.0, 3.5, 4.0], "makes the generator worse"),
    ([0.5, 0.4, 0.45], "makes the generator better"),
    ([0.9, 1.2, 1.0], "does not clearly make the generator worse"),
])  # fmt: skip
def test_what_the_loop_does_is_said_beyond_the_spread_over_seeds(folder, last, said):
    def change(records):
        random = records["arm"] == "random"
        records.loc[random & (records["generation"] == 1), "frechet_distance"] = 1.0
        records.loc[random & (records["generation"] == 3), "frechet_distance"] = last

    found = answer(view_with(folder, change)).sentence
    assert f"Training on its own samples {said}: Fréchet distance 1.00 → " in found
    assert f"(rises in {sum(x > 1 for x in last)} of 3 seeds)" in found


def test_the_loop_without_earlier_rows_comes_first_where_the_study_has_one(folder):
    view = StudyView.open(folder)
    view.arms[1] |= {"name": "greedy", "strategy": "random", "paradigm": "replace"}
    found = answer(view)
    assert found.base == "random"
    assert "by generation 3 with greedy (" in found.sentence
    assert "; random ends at " in found.sentence


@pytest.mark.parametrize(("distance", "failed"), [(0.1, False), (0.4, False), (0.6, True),
                                                  (40.0, True), (float("nan"), True)])  # fmt: skip
def test_a_generator_that_learned_nothing_is_told_first(folder, distance, failed):
    rows = np.asarray(StudyView.open(folder).real.data)
    variance = rows.var(axis=0, ddof=1).sum()

    def change(records):
        records.loc[records["generation"] == 1, "frechet_distance"] = distance * variance

    found = answer(view_with(folder, change))
    assert found.failed == failed
    assert found.learned.startswith("Generation 1 can" + ("not" if failed else " "))


def test_generation_1_stands_beside_held_out_rows_in_the_same_figures(folder):
    view = StudyView.open(folder)
    table = first_generation_table("first", view)
    assert [c.heading for c in table.columns[1:]] == [
        "precision", "coverage", "Fréchet distance", "GS"
    ]  # fmt: skip
    expected = []
    for seed in (0, 1, 2):
        held_out = np.asarray(view.real.data[view.real_rows(seed)[1]])
        judges, others = held_out[:150], held_out[150:250]
        expected.append([
            [of(generated=rows, reference=judges) for of in (precision, coverage)]
            for rows in (view.samples("random", seed, 1), others)
        ])  # fmt: skip
    for row, values in zip(table.rows, np.mean(expected, axis=0), strict=True):
        assert [cell.value for cell in row.cells[1:3]] == pytest.approx(values.tolist())
    one = view.records[(view.records["generation"] == 1) & (view.records["arm"] == "random")]
    shown = [[cell.value for cell in row.cells[3:]] for row in table.rows]
    assert shown == [
        pytest.approx([one["frechet_distance"].mean(), one["generalization_score"].mean()]),
        pytest.approx([one["frechet_distance_floor"].mean(),
                       one["generalization_score_reference"].mean()]),
    ]  # fmt: skip
    page = el.render_report([folder], folder.parent / "page.html").read_text()
    assert page.index('class="answer"') < page.index('id="first-generation-0"')
    assert page.index('id="first-generation-0"') < page.index('id="arms-0"')


def test_too_few_held_out_rows_leave_what_the_records_hold(folder):
    view = StudyView.open(folder)
    view.config["data"]["n_reference"] = 8
    table = first_generation_table("first", view)
    assert [c.heading for c in table.columns[1:]] == ["Fréchet distance", "GS"]


class Made(StudyView):
    """A study whose samples are the rows of `made`."""

    made = "copies"

    def samples(self, arm, seed, generation):
        train, held_out = self.real_rows(seed)
        data, rng = np.asarray(self.real.data, dtype=np.float64), np.random.default_rng(seed)
        if self.made == "other real rows":
            others = np.setdiff1d(np.arange(len(data)), np.concatenate([train, held_out]))
            return data[rng.permutation(others)[: len(train)]]
        noise = {"copies": 0.01, "strays": 3.0}[self.made]
        return data[train] + noise * rng.standard_normal((len(train), data.shape[1]))


@pytest.mark.parametrize(("score", "made", "words"), [
    (0.5, "copies", ["memorizes", "may help"]),
    (1.0, "other real rows", ["generalizes", "no loss of variety is seen", "has done harm"]),
    (1.4, "strays", ["strays", "takes first", "has done harm"]),
])  # fmt: skip
def test_which_side_generation_1_is_on_is_told_with_what_to_expect(folder, score, made, words):
    def change(records):
        records["generalization_score"] = score * records["generalization_score_reference"]

    changed = view_with(folder, change)
    view = Made(changed.store, changed.records, changed.config, changed.environment)
    object.__setattr__(view, "made", made)
    found = answer(view)
    assert all(word in found.learned for word in words), found.learned


def test_what_is_expected_goes_by_the_rule_of_guarded_selection_over_the_seeds(folder):
    # The same ratio is straying with a small error, and none with a large one.
    assert "may help" in _expected(Variety(-1.0, 0.1, 0.05, 0.04))
    assert "takes first" in _expected(Variety(-1.0, 0.1, 0.05, 0.02))
    assert "no loss of variety" in _expected(Variety(-0.1, 0.1, 0.05, 0.04))
    view = StudyView.open(folder)
    one = view.records[view.records["generation"] == 1].drop_duplicates("seed")
    alone = []
    for seed in one["seed"]:
        train, held_out = (np.asarray(view.real.data[rows]) for rows in view.real_rows(seed))
        pool = np.concatenate([view.samples("random", seed, 1)[: len(train)], train])
        alone.append(variety_of(pool, len(train), held_out, train, count=len(train)))
    found = _variety(view, one)
    assert found.copying == pytest.approx(np.mean([v.copying for v in alone]))
    assert found.straying_error == pytest.approx(np.mean([v.straying_error for v in alone]))
