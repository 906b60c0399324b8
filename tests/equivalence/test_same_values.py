"""Values of metrics, their intervals, and guarded decisions are those that were written down.

`values.json` holds [value, low, high] of each metric on two seeded groups of sets, and the metric's
version: records are found again by it, so that a value may only change together with it. And what
guarded selection compared on some pools: a study that goes on must decide as it did.
`python tests/equivalence/test_same_values.py` writes the file anew.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import entroloop as el
from entroloop.metrics import METRICS
from entroloop.metrics.intervals import Taker
from entroloop.metrics.sets import ROLES, Sets

FILE = Path(__file__).with_name("values.json")
NAMES = sorted(
    name for name, metric in METRICS.items() if {*metric.needs} <= {*ROLES, "probabilities"}
)
GROUPS = ("few values", "more values than halves have rows")


@cache
def groups() -> dict[str, dict[str, np.ndarray]]:
    """Return sets of which each has another number of rows; some of the generated are copied."""
    rng = np.random.default_rng(21)

    def rows(n: int, d: int, scale: float) -> np.ndarray:
        return rng.standard_normal((n, d)) * np.linspace(1, 2, d) * scale

    found = {}
    for name, numbers, d in zip(
        GROUPS, ((150, 170, 190, 160, 140), (60, 66, 70, 64, 62)), (4, 40), strict=True
    ):
        scales = (0.9, 1.0, 1.0, 0.9, 1.0)
        given = zip(ROLES, numbers, scales, strict=True)
        sets = {role: rows(n, d, scale) for role, n, scale in given}
        sets["generated"][:12] = sets["train"][20:32] + 1e-3 * rows(12, d, 1)
        sets["generated"][12:15] = sets["train"][40:43]
        sets["train"][50:54] = sets["train"][60:64]
        odds = np.exp(sets["generated"][:, :3])
        sets["probabilities"] = odds / odds.sum(axis=1, keepdims=True)
        found[name] = sets
    return found


def taken(group: str) -> dict[str, list[float | None]]:
    """Return [value, low, high] of each metric, None for what there is not."""
    taker = Taker(Sets(**groups()[group], seed=2))
    found = {}
    for name in NAMES:
        value, interval, _ = taker.take(METRICS[name], asked_for=False)
        found[name] = [
            float(x) if x is not None and np.isfinite(x) else None
            for x in (value, *(interval or (None, None)))
        ]
    return found


@pytest.mark.parametrize("group", GROUPS)
def test_values_and_intervals_are_those_that_were_written_down(group):
    written = json.loads(FILE.read_text())["values"][group]
    now = taken(group)
    assert list(now) == list(written)
    for name in now:
        one, other = (np.array(values[name], dtype=float) for values in (now, written))
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12, err_msg=name)


@cache
def pools() -> dict[str, tuple[np.ndarray, dict[str, object]]]:
    """Return pools for guarded selection, each with its arguments."""
    rng = np.random.default_rng(22)
    spectrum = np.linspace(0.5, 2, 6)
    real = rng.standard_normal((160, 6)) * spectrum
    trained = rng.standard_normal((150, 6)) * spectrum
    copies = np.tile(trained, (2, 1)) + 0.03 * rng.standard_normal((300, 6)) * spectrum
    blurred = trained * 0.6 + 0.3 * rng.standard_normal((150, 6))
    born = np.repeat([0, 1, 2], [150, 300, 150])
    mixed = np.concatenate([trained, copies, blurred])
    return {
        "copies": (copies, {"guard": real}),
        "blurred": (blurred, {"guard": real, "discrepancy": "kernel"}),
        "mixed": (mixed, {"guard": real, "generations": born, "reference": real[::-1] + 0.01}),
        "two generations": (mixed, {"guard": real, "generations": np.minimum(born, 1)}),
        "no guard": (mixed, {"generations": born, "level": 0.3}),
        "groups": (mixed, {"guard": real, "groups": np.arange(600) % 3, "seed": 4}),
        "strengths": (mixed, {"guard": real, "initial": trained[:20], "inner": [
            {"strategy": "threshold_decay", "strength": "adaptive"},
            {"strategy": "greedy", "weights": "tail", "within": 1.0},
            {"strategy": "greedy", "weights": "conformal"}, "covariance_matching",
        ], "generations": born}),
    }  # fmt: skip


def decided(pool: str) -> dict[str, object]:
    """Return what guarded selection compared, without words, and the sum of the chosen rows."""
    x, arguments = pools()[pool]
    found = el.select(x, 60, "guarded", **arguments)
    told = found.decision.to_dict()
    columns = {"threshold": told["threshold"], "threshold_widening": told["threshold_widening"]}
    columns |= {name: told[name] or () for name in ("copying", "straying")}
    columns |= {name: tuple(values.values()) for name, values in told["compared"].items()}
    numbers = {name: np.atleast_1d(values).tolist() for name, values in columns.items()}
    return {"taken": told["taken"], "guard": told["guard"], "chosen": int(found.indices.sum()),
            "numbers": numbers}  # fmt: skip


@pytest.mark.parametrize("pool", pools())
def test_decisions_of_guarded_selection_are_those_that_were_written_down(pool):
    written, now = json.loads(FILE.read_text())["decisions"][pool], decided(pool)
    numbers, before = now.pop("numbers"), written.pop("numbers")
    assert now == written
    assert list(numbers) == list(before)
    for name, values in numbers.items():
        np.testing.assert_allclose(values, before[name], rtol=1e-4, atol=3e-5, err_msg=name)


def test_a_metric_that_computes_something_else_has_another_version():
    written = json.loads(FILE.read_text())["versions"]
    assert {name: METRICS[name].version for name in NAMES} == written


if __name__ == "__main__":
    versions = {name: METRICS[name].version for name in NAMES}
    written = {
        "versions": versions,
        "values": {group: taken(group) for group in GROUPS},
        "decisions": {pool: decided(pool) for pool in pools()},
    }
    FILE.write_text(json.dumps(written, indent=0) + "\n")
