"""The theory bench: thousands of loops of each case, against what theory says of their means.

324 means are compared at 4 standard errors: if every form is right, one of them is farther off with
probability 2 % at most (Bonferroni, normal means). Seeds are fixed, so that this was decided once.
"""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import entroloop as el
from entroloop.commands.theory import run_theory
from entroloop.report.theory import theory_page
from entroloop.system.progress_line import no_progress
from entroloop.theory.bench import BLOCK, COLUMNS, LIMIT, measure_case, verdict
from entroloop.theory.table import CASES
from entroloop.theory.weighted import GOLDEN, best_weight

LOOPS = 3000


@pytest.fixture(scope="module")
def measured():
    return {name: measure_case(case, LOOPS, no_progress) for name, case in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_no_mean_is_more_than_4_standard_errors_from_its_closed_form(measured, name):
    found = verdict(measured[name])
    assert found.comparisons > 0
    assert found.deviating == 0, measured[name].sort_values("deviation")


def test_the_chance_that_a_right_bench_fails_is_at_most_2_percent(measured):
    found = verdict(pd.concat(measured.values()))
    assert found.comparisons == 324
    assert found.by_chance < 0.021


@pytest.mark.parametrize("name", CASES)
def test_a_form_that_is_off_by_a_seventh_is_found(name):
    case = CASES[name]
    curves = tuple(
        replace(curve, expected=1.15 * curve.expected) for curve in case.curves
        if curve.kind == "equal"
    )  # fmt: skip
    kept = [i for i, curve in enumerate(case.curves) if curve.kind == "equal"]
    wrong = replace(
        case, curves=curves, simulate=lambda rng, loops: case.simulate(rng, loops)[kept]
    )
    assert verdict(measure_case(wrong, LOOPS, no_progress)).deviating > 0


def test_a_bound_that_does_not_hold_is_found():
    case = CASES["regression"]
    curves = [replace(c, expected=0.5 * c.expected) if c.kind == "at most" else c
              for c in case.curves]  # fmt: skip
    table = measure_case(replace(case, curves=tuple(curves)), LOOPS, no_progress)
    assert set(table[table["deviation"].abs() > LIMIT]["kind"]) == {"at most"}


def test_replaced_regression_grows_linearly_and_accumulated_stays_below_its_bound(measured):
    rows = measured["regression"].set_index("curve")
    growth = rows.loc["replace", "mean"].to_numpy()
    assert growth[-1] / growth[0] == pytest.approx(10, rel=0.05)
    bound = rows.loc["accumulate, bound", "expected"].to_numpy()
    assert (rows.loc["accumulate", "mean"].to_numpy() < bound).all()


def test_the_best_weight_of_equally_many_rows_is_the_reciprocal_golden_ratio(measured):
    rows = measured["weighted"]
    own = rows[rows["curve"] == "as many generated rows"]
    best = own.loc[own["mean"].idxmin()]
    assert best["at"] == pytest.approx(GOLDEN)
    assert best["mean"] == pytest.approx(GOLDEN, rel=0.05)  # the error there is the ratio itself
    fine = np.linspace(1e-3, 1, 100_001)
    for generated in (1, 3, 20):
        error = (fine**2 + (1 - fine) ** 2 / generated) / (1 - (1 - fine) ** 2)
        assert fine[error.argmin()] == pytest.approx(best_weight(1, generated), abs=1e-4)


def test_accumulating_is_safe_for_an_interval_and_fatal_for_the_counterexample(measured):
    safe, fatal = measured["uniform"], measured["counterexample"]
    assert safe[safe["curve"] == "accumulate"]["mean"].nunique() == 1  # nothing is lost again
    assert fatal["mean"].iloc[0] == 0
    assert fatal["mean"].iloc[1] > 0.7  # as soon as generated rows are among them
    assert fatal["mean"].iloc[-1] > 0.95


def test_an_early_stop_takes_high_orders_first_and_annealing_brings_them_back(measured):
    rows = measured["truncation"].groupby("curve")["mean"].last()
    assert rows["order 1"] > rows["order 2"] > rows["order 3"] > rows["order 4"]
    assert rows["order 3, annealed"] > 2 * rows["order 3"]
    assert abs(rows["order 3, no real rows"]) < 0.1


def test_a_curve_that_nothing_was_derived_for_is_compared_with_nothing(measured):
    rows = measured["gaussian"]
    own = rows[rows["curve"] == "accumulate_subsample"]
    assert set(own["kind"]) == {"empirical"}
    assert own["expected"].isna().all()
    assert verdict(own).comparisons == 0


def test_more_seeds_extend_fewer():
    loops = []
    case = CASES["uniform"]
    told = replace(case, simulate=lambda rng, n: loops.append(case.simulate(rng, n)) or loops[-1])
    measure_case(told, 2 * BLOCK, no_progress)
    measure_case(told, 3 * BLOCK, no_progress)
    np.testing.assert_array_equal(loops[:2], loops[2:4])
    assert not np.array_equal(loops[0], loops[1])


def test_a_stopped_bench_goes_on_and_a_finished_one_measures_nothing_again(tmp_path, monkeypatch):
    import entroloop.commands.theory as command

    calls = []

    def counted(case, seeds, progress):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(case.name)
        return measure_case(case, seeds, progress)

    out = tmp_path / "bench"
    monkeypatch.setattr(command, "measure_case", counted)
    with pytest.raises(KeyboardInterrupt):
        run_theory(out, 1000, page=theory_page)
    assert json.loads((out / "summary.json").read_text())["complete"] is False
    assert list(pd.read_parquet(out / "records.parquet")["case"].unique()) == calls

    monkeypatch.setattr(command, "measure_case", measure_case)
    first = run_theory(out, 1000, page=theory_page)
    whole = pd.read_parquet(out / "records.parquet")
    fresh = run_theory(tmp_path / "fresh", 1000, page=theory_page)
    assert {**fresh, "out": "", "report": ""} == {**first, "out": "", "report": ""}
    pd.testing.assert_frame_equal(whole, pd.read_parquet(tmp_path / "fresh/records.parquet"))
    assert tuple(whole.columns) == COLUMNS
    before = (out / "records.parquet").read_bytes()
    monkeypatch.setattr(command, "measure_case", lambda *_: pytest.fail("measured again"))
    assert run_theory(out, 1000, page=theory_page) == first
    assert (out / "records.parquet").read_bytes() == before


def test_nothing_that_is_not_its_own_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(el.InputError, match="did not write"):
        run_theory(tmp_path, 1000, page=theory_page)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_the_page_has_every_case_opens_offline_and_says_what_deviates(measured):
    records = pd.concat(measured.values(), ignore_index=True)
    page = theory_page(records)
    head, _, rest = page.partition("<script>")
    for part in (head, rest.split("</script>", 1)[1]):
        assert "http" not in part.replace("http-equiv", "")
    for case in CASES.values():
        assert f'id="{case.name}"' in page
        assert all(f"arXiv:{source}" in page for source in case.sources)
    assert "No mean is more than 4 standard errors" in page
    records.loc[0, "deviation"] = -5.0
    assert "1 of 324 means are more than 4 standard errors" in theory_page(records)


def test_the_command_prints_one_object_and_refuses_what_it_cannot_use(entroloop_here, tmp_path):
    answer = entroloop_here("run", "theory", "--seeds", 1000)
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert (told["study"], told["out"], told["complete"]) == ("theory", "runs/theory", True)
    assert told["deviating"] == 0
    assert (tmp_path / told["report"]).is_file()
    for options, said in (
        (["--seeds", "999"], "at least 1000 seeds"),
        (["--device", "cpu"], "it has no --device"),
        (["--set", "generations=2"], "it has no --set"),
        (["--out", "s3://bucket/x"], "a folder of this machine"),
    ):
        refused = entroloop_here("run", "theory", *options)
        assert refused.returncode == 2
        assert said in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
