import json

import numpy as np
import pytest

import entroloop as el
from entroloop.metrics import METRICS


@pytest.fixture
def sets(rng):
    train = rng.standard_normal((200, 4))
    return {"generated": rng.standard_normal((150, 4)), "train": train,
            "reference": rng.standard_normal((180, 4))}  # fmt: skip


def test_values_are_those_of_the_metrics_themselves(sets):
    found = el.measure(**sets)
    assert list(found) == [name for name in METRICS if not METRICS[name].on_request]
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
        elif name != "duplicate_fraction":
            low, high = m.interval
            assert low <= m.value <= high, name


def test_what_depends_on_the_number_of_rows_is_taken_on_the_smallest_common_one(sets):
    found = el.measure(**sets)
    assert "150 rows of each set" in found["frechet_distance"].note
    assert found["entropy_train"].note.startswith("150 rows; ")
    assert found["entropy_train"].value != pytest.approx(el.knn_entropy(sets["train"]).nats)


@pytest.mark.parametrize("name", sorted(set(METRICS)))
def test_a_metric_changes_if_its_roles_are_swapped(name, sets):
    rng = np.random.default_rng(1)
    sets["train"] = sets["train"][rng.integers(len(sets["train"]), size=200)] ** 3 * 2 + 1
    sets["generated"][:40] = sets["train"][:40]
    sets["reference"] = sets["reference"] * 2 - 1
    sets["probabilities"] = rng.dirichlet(np.full(4, 0.3), 150)
    one = el.measure(**sets, metrics=[name])[name].value
    assert np.isfinite(one)
    swapped = {"generated": sets["train"], "train": sets["generated"],
               "reference": sets["reference"],
               "probabilities": rng.dirichlet(np.full(4, 0.3), 200)}  # fmt: skip
    assert el.measure(**swapped, metrics=[name])[name].value != pytest.approx(one)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    # Total variance of N(0, I_3) is 3; entropy of N(0, I_2) is ln(2πe).
    hits = {"total_variance": 0, "entropy_samples": 0}
    truth = {"total_variance": (3, 3), "entropy_samples": (2, float(np.log(2 * np.pi * np.e)))}
    for seed in range(200):
        for name, (d, value) in truth.items():
            x = np.random.default_rng(seed).standard_normal((400, d))
            low, high = el.measure(generated=x, metrics=[name], seed=seed)[name].interval
            hits[name] += low <= value <= high
    assert all(0.85 < h / 200 <= 1 for h in hits.values()), hits


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


def test_the_command_prints_the_contracts_json(entroloop, tmp_path, sets):
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
    one = json.loads(entroloop("measure", *arguments, "--metrics", "auth_pct").stdout)
    assert list(one["metrics"]) == ["auth_pct"]


def test_equal_rows_are_null_with_a_note(entroloop, tmp_path):
    np.save(tmp_path / "g.npy", np.ones((20, 3)))
    answer = entroloop("measure", "--generated", "g.npy", "--metrics", "entropy_samples")
    found = json.loads(answer.stdout)["metrics"]["entropy_samples"]
    assert found["value"] is None
    assert "-inf" in found["note"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--generated", "nowhere.npy"], "there is no file or folder"),
        (["--generated", "g.npy", "--train", "t.npy"], "generated rows are 3, train rows 2"),
        (["--generated", "g.npy", "--metrics", "fid"], "unknown metric 'fid'"),
        (["--generated", "g.npy", "--metrics", "auth_pct"], "needs the set 'train'"),
        (["--generated", "g.npy", "--features", "dino"], "unknown features"),
        ([], "--generated"),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2(entroloop, tmp_path, arguments, message):
    np.save(tmp_path / "g.npy", np.random.default_rng(0).random((20, 3)))
    np.save(tmp_path / "t.npy", np.random.default_rng(0).random((20, 2)))
    answer = entroloop("measure", *arguments)
    assert answer.returncode == 2
    assert answer.stdout == ""
    lines = answer.stderr.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
