"""The monitor: its figures are those of `measure`, its onset is found where it was planted."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import entroloop as el
from entroloop.metrics.sets import Sets
from entroloop.monitor.interval import Interval
from entroloop.monitor.onset import Z, gap, onset
from entroloop.monitor.rows import RowFormat
from entroloop.system.numbers import with_interval


@pytest.fixture(scope="module")
def digits():
    """Return digits as train (400), held-out (600) and further rows (797), shuffled."""
    from sklearn.datasets import load_digits

    x = load_digits().data.astype(np.float32)
    x = x[np.random.default_rng(0).permutation(len(x))]
    return x[:400], x[400:1000], x[1000:]


def copying(digits, share, n, rng):
    """Return n real rows, of which a share are copies of training rows, a little blurred."""
    train, _, fresh = digits
    rows = fresh[rng.integers(len(fresh), size=n)]
    copies = round(share * n)
    rows[:copies] = train[rng.integers(len(train), size=copies)]
    return rows + rng.normal(size=rows.shape).astype(np.float32) * 1e-3


# What it measures


@pytest.mark.parametrize("n", [80, 300])  # fewer than held-out rows, and more
def test_figures_and_intervals_are_those_of_measure(digits, rng, n):
    train, reference = digits[0], digits[1][:200]
    metrics = [
        "entropy_samples", "generalization_score", "generalization_ratio", "memorized_fraction",
        "auth_pct", "frechet_distance", "kernel_distance", "coverage", "total_variance",
    ]  # fmt: skip
    m = el.Monitor(train=train, reference=reference, metrics=metrics)
    for step, share in ((1, 0.0), (2, 0.4)):
        samples = copying(digits, share, n, rng)
        update = m.update(samples, step)
        expected = el.measure(generated=samples, train=train, reference=reference, metrics=metrics)
        for name in metrics:
            assert update.found[name].value == expected[name].value, name
        for name in ("generalization_score", "memorized_fraction", "auth_pct"):
            assert update.found[name].interval == expected[name].interval, name
    held_out = m.status.held_out
    score = expected["generalization_score_reference"]
    assert held_out["generalization_score"].value == score.value
    assert held_out["generalization_score"].interval == score.interval


def test_real_rows_are_searched_and_mapped_once(digits, rng, monkeypatch):
    from entroloop.metrics import moments, sets

    train, reference, _ = digits
    mapped, searched, rooted = [], [], []

    def spied(calls, function):
        return lambda *a, **k: (calls.append(len(a[0])), function(*a, **k))[1]

    monkeypatch.setattr(sets, "nearest", spied(searched, sets.nearest))
    monkeypatch.setattr(moments, "_rooted", spied(rooted, moments._rooted))
    m = el.Monitor(
        train=train, reference=reference, metrics=["generalization_ratio", "frechet_distance"],
        features=lambda x: (mapped.append(len(x)), x)[1],
    )  # fmt: skip
    m.update(copying(digits, 0, 200, rng), 1)
    mapped.clear(), searched.clear(), rooted.clear()
    m.update(copying(digits, 0, 200, rng), 2)
    assert mapped == searched == [200]  # the samples alone
    assert rooted == []


def test_joined_sets_never_see_each_others_generated_rows(rng):
    real = Sets(train=rng.normal(size=(30, 3)), reference=rng.normal(size=(30, 3)))
    first = real.joined_by(rng.normal(size=(20, 3)))
    before = first.nearest("generated", "train").distances
    second = real.joined_by(first["generated"] + 5)
    assert not np.array_equal(second.nearest("generated", "train").distances, before)
    assert second.own("train") is first.own("train")
    assert not real.has("generated")


# When memorization set in


def test_the_onset_is_the_step_that_the_planted_share_predicts(digits):
    """A share a of copies gives the gap a·s, with error Z √(a(1−a)s² + …)/n: solve for a."""
    train, reference, fresh = digits
    rng = np.random.default_rng(5)
    n, steps = 256, range(100, 3100, 100)
    shares = {step: max(0, step - 1000) / 5000 for step in steps}  # copies from step 1,000 on
    m = el.Monitor(train=train, reference=reference)
    for step in steps:
        m.update(copying(digits, shares[step], n, rng), step)
    # Copies: a > Z √(a (1 − a)/n), that is a > Z²/(n + Z²), while held-out rows have no copies.
    assert m.status.held_out["memorized_fraction"].value == 0
    enough = Z**2 / (n + Z**2)
    predicted = next(step for step in steps if shares[step] > enough)
    set_in = m.status.set_in
    assert abs(set_in["memorized_fraction"] - predicted) <= 100
    # The score: copies at distance 0 (blur aside), the others like held-out rows.
    from entroloop.metrics.neighbourhood import nearest_distances_of

    sets = Sets(generated=fresh, train=train, reference=reference)
    far, near = (nearest_distances_of(sets, role, "train") for role in ("generated", "reference"))

    def beyond(a):
        size = near.mean() - (1 - a) * far.mean()
        variance = (1 - a) * np.square(far).mean() - ((1 - a) * far.mean()) ** 2
        return size > Z * np.sqrt(variance / n + near.var() / len(near))

    predicted = next(step for step in steps if beyond(shares[step]))
    assert abs(set_in["generalization_score"] - predicted) <= 300
    assert set_in["generalization_score"] > 1000
    assert str(set_in["memorized_fraction"]) in m.status.verdict()


def test_samples_of_too_little_variety_move_the_score_but_are_no_copies(rng):
    """In many dimensions the middle of the data is nearer to all of it than held-out rows are."""
    train, reference = rng.normal(size=(2, 300, 32))
    m = el.Monitor(train=train, reference=reference)
    for step in (1, 2, 3):
        m.update(0.5 * rng.normal(size=(200, 32)), step)
    assert m.status.set_in == {"generalization_score": 1, "memorized_fraction": None}
    assert "no copies beyond chance" in m.status.verdict()


@pytest.mark.parametrize(("updates", "most"), [(100, 0.01), (1000, 0.02)])
@pytest.mark.parametrize("ratio", [1.0, 0.25])
def test_false_alarms_are_as_rare_as_stated(updates, most, ratio, rng):
    """Nothing memorized: the held-out rows' error is one for all updates, ratio its variance."""
    trainings = 4000 if updates == 100 else 1500
    held_out = rng.normal(size=(trainings, 1)) * np.sqrt(ratio)
    gaps = (held_out - rng.normal(size=(trainings, updates))) / np.sqrt(1 + ratio)
    alarms = [onset(list(range(updates)), list(beyond)) is not None for beyond in gaps > Z]
    assert np.mean(alarms) <= most


def test_the_gap_has_the_error_of_a_difference_of_means(rng):
    a, b = rng.normal(1, 2, size=400), rng.normal(1.5, 1, size=100)
    found = gap("generalization_score", a, b)
    assert found.size == pytest.approx(b.mean() - a.mean())
    assert found.error == pytest.approx(Z * np.sqrt(a.var() / 400 + b.var() / 100))
    assert gap("memorized_fraction", a, b).size == pytest.approx(a.mean() - b.mean())


def test_one_update_beyond_its_error_is_no_onset():
    steps = [1, 2, 3, 4, 5, 6]
    assert onset(steps, [True, True, False, True, True, False]) is None
    assert onset(steps, [False, True, True, True, False, False]) == 2  # and stays found


# What it takes


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, size=(40, 6, 5, 3), dtype=np.uint8)


FORMS = {
    "uint8": lambda x, torch: x,
    "uint8, channels first": lambda x, torch: x.transpose(0, 3, 1, 2),
    "torch uint8, channels first": lambda x, torch: torch.from_numpy(x).permute(0, 3, 1, 2),
    "torch float in [-1, 1]": lambda x, torch: torch.from_numpy(x).permute(0, 3, 1, 2) / 127.5 - 1,
    "float64 in [-1, 1]": lambda x, torch: x / 127.5 - 1,
    "torch with gradient": lambda x, torch: (
        torch.from_numpy(x).permute(0, 3, 1, 2) / 127.5 - 1
    ).requires_grad_(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_images_is_the_same(form, images):
    import torch

    given = FORMS[form](images, torch)
    assert np.array_equal(RowFormat(values=(-1, 1)).rows(given, "samples"), images)


def test_bfloat16_and_pil_images_are_read(images):
    import torch
    from PIL import Image

    half = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255).to(torch.bfloat16)
    found = RowFormat(values=(0, 1)).rows(half, "samples")
    assert np.abs(found.astype(int) - images).max() <= 1  # of 255: bfloat16 has 8 bits
    rows = torch.ones(3, 2, dtype=torch.bfloat16)
    assert RowFormat().rows(rows, "samples").dtype == np.float32
    pictures = [Image.fromarray(image) for image in images]
    assert np.array_equal(RowFormat().rows(pictures, "samples"), images)
    grey = [Image.fromarray(image[..., 0]) for image in images]
    assert RowFormat().rows(grey, "samples").shape == (40, 6, 5, 1)


@pytest.mark.gpu
def test_samples_on_a_gpu_are_measured_as_those_on_the_cpu(digits):
    import torch

    train, reference, fresh = digits
    on_cpu = el.Monitor(train=train, reference=reference, device="cpu")
    on_gpu = el.Monitor(train=torch.tensor(train).cuda(), reference=reference, device="cuda")
    rows = torch.tensor(fresh[:200]).to(torch.bfloat16)  # digits are whole numbers: no rounding
    expected, found = (m.update(x, 1).found for m, x in ((on_cpu, rows), (on_gpu, rows.cuda())))
    for name in on_cpu.metrics:
        assert found[name].value == expected[name].value, name


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda x: x / 255, {}, "say which range"),
        (lambda x: x / 127.5 - 1, {"values": (0, 1)}, "lie outside values"),
        (lambda x: x / 255, {"values": (-1, 1)}, "no value is below 0"),
        (lambda x: x.astype(int), {}, "give uint8 or floats"),
        (lambda x: x[:, :, :, :2], {}, "are no images"),
        (lambda x: x[:, :3], {}, "channels first or last"),
        (lambda x: x.astype(str), {}, "must be numbers"),
        (lambda x: x, {"channels": "middle"}, "channels must be"),
        (lambda x: x, {"values": (1, 0)}, "values must be"),
        (lambda x: np.full_like(x, np.nan, dtype=float), {"values": (0, 1)}, "NaN"),
    ],
)
def test_what_is_unclear_is_refused_in_one_line(make, options, message, images):
    with pytest.raises(el.InputError, match=message) as refused:
        RowFormat(**options).rows(make(images), "samples")
    assert "\n" not in str(refused.value)


def test_images_go_through_an_extractor_and_a_network_of_ones_own(images, rng):
    import torch

    real = rng.integers(0, 256, size=(80, 6, 5, 3), dtype=np.uint8)
    options = {"train": real, "reference": images, "values": (-1, 1)}
    samples = torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1
    m = el.Monitor(**options, features="pixels:pca=4")
    assert m.update(samples, 1).found["frechet_distance"].value == pytest.approx(0, abs=1e-6)
    network = torch.nn.Linear(90, 3)
    seen = el.Monitor(
        **options, features=lambda x: network(torch.from_numpy(x).flatten(1) / 255)
    ).update(samples, 1)
    assert seen.found["frechet_distance"].value == pytest.approx(0, abs=1e-6)


def test_updates_that_cannot_be_compared_are_refused_and_leave_the_history(digits):
    train, reference, fresh = digits
    m = el.Monitor(train=train, reference=reference, budget=None)
    with pytest.raises(el.InputError, match="must be a whole number"):
        m.update(fresh[:100], None)
    with pytest.raises(el.InputError, match="no updates yet"):
        m.status  # noqa: B018
    m.update(fresh[:100], 10)
    for samples, step, message in [
        (fresh[:99], 20, "99 samples where each update has 100"),
        (fresh[:100], 10, "does not come after step 10"),
        (fresh[:100, :5], 20, r"shape \(5,\)"),
        (fresh[:100] * np.nan, 20, "NaN"),
    ]:
        with pytest.raises(el.InputError, match=message):
            m.update(samples, step)
    m.update(fresh[:300], 20)
    assert [(u.step, u.n) for u in m.history] == [(10, 100), (20, 100)]
    assert m.due(1020)
    with pytest.raises(el.InputError, match="NaN"):
        m.update(fresh[:100] * np.nan, 1020)
    assert not m.due(1030)  # the next try is an interval later
    with pytest.raises(el.InputError, match="cannot take the metric entropy_train"):
        el.Monitor(train=train, reference=reference, metrics=["entropy_train"])
    with pytest.raises(el.InputError, match="unknown metric 'frechet'"):
        el.Monitor(train=train, reference=reference, metrics=["frechet"])


# What it keeps


def test_the_history_is_saved_taken_up_and_never_put_over_another_file(digits, rng, tmp_path):
    train, reference, _ = digits
    m = el.Monitor(train=train, reference=reference)
    for step in (100, 200, 300, 400):
        m.update(copying(digits, 0.5, 128, rng), step)
    m.save(tmp_path / "m.parquet")
    m.save(tmp_path / "m.parquet")  # its own file may be replaced
    assert pd.read_parquet(tmp_path / "m.parquet").equals(m.to_pandas())
    again = el.Monitor(train=train, reference=reference)
    again.update(copying(digits, 0.5, 64, rng), 1)  # of another number of samples
    again.load(tmp_path / "m.parquet")
    assert again.to_pandas().equals(m.to_pandas())
    assert again.status.set_in == m.status.set_in != {}
    assert again.status.held_out == m.status.held_out
    again.forget_after(250)
    assert [u.step for u in again.history] == [100, 200]
    again.update(copying(digits, 0.5, 128, rng), 300)

    other = el.Monitor(train=train[:300], reference=reference)
    with pytest.raises(el.InputError, match="is of other rows"):
        other.load(tmp_path / "m.parquet")
    (tmp_path / "mine.parquet").write_bytes(b"mine")
    with pytest.raises(el.InputError, match="no history of a monitor"):
        m.save(tmp_path / "mine.parquet")
    assert (tmp_path / "mine.parquet").read_bytes() == b"mine"
    with pytest.raises(el.InputError, match="no history that a monitor saved"):
        m.load(tmp_path / "mine.parquet")
    with pytest.raises(el.InputError, match="cannot be written"):
        m.save(tmp_path / "nowhere" / "m.parquet")


def test_the_notebook_view_and_the_log_hold_the_figures_and_no_raw_text(digits, rng):
    train, reference, _ = digits
    m = el.Monitor(train=train, reference=reference)
    assert "no updates" in m._repr_html_()
    for step in (1, 2):
        m.update(copying(digits, 0.5, 128, rng), step)
    page, status = m._repr_html_(), m.status
    shown = status["generalization_score"]
    assert f"<td>{with_interval(shown.value, shown.interval)}</td>" in page
    assert page.count("<svg") == len(m.metrics)
    assert "<script" not in page
    log = status.log()
    assert log["monitor/memorized_fraction"] == pytest.approx(0.5, abs=0.02)
    assert log["monitor/memorized_fraction_held_out"] == 0
    assert "monitor/memorized_fraction_set_in" not in log  # two updates are too few
    assert all(np.isfinite(value) for value in log.values())


def test_the_example_of_the_documentation_prints_what_stands_below_it(capsys):
    import re
    from pathlib import Path

    text = (Path(__file__).parents[1] / "docs" / "monitor.md").read_text()
    found = re.search(r"```python\n(import numpy.*?)```\n```\n(.*?)```", text, re.S)
    assert found
    exec(found[1], {})
    printed, shown = capsys.readouterr().out.splitlines(), found[2].splitlines()
    assert printed[:-1] == shown[:-1]  # the last is the share of the time


# When it is due


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def run(interval, clock, *, steps, step_seconds, update_seconds):
    """Train for some steps and return those with an update."""
    updated = []
    for step in range(1, steps + 1):
        clock.now += step_seconds
        if interval.due(step):
            clock.now += update_seconds
            interval.end(step)
            updated.append(step)
    return updated


def test_cheap_updates_come_at_every_interval():
    clock = Clock()
    interval = Interval(100, 0.05, clock)
    updated = run(interval, clock, steps=1000, step_seconds=0.1, update_seconds=0.1)
    assert updated == list(range(100, 1001, 100))
    assert interval.share < 0.011


def test_costly_updates_become_rarer_and_stay_within_the_budget_with_one_warning():
    clock = Clock()
    interval = Interval(10, 0.05, clock)
    with pytest.warns(UserWarning, match="measures less often") as told:
        updated = run(interval, clock, steps=2000, step_seconds=0.1, update_seconds=2.0)
    assert len(told) == 1
    assert updated[0] == 10
    assert np.diff(updated).min() * 0.1 >= 2.0 * 19  # 95 % of the time is training
    assert interval.share < 0.06  # the first one comes before its cost is known


def test_without_a_budget_the_interval_stays():
    clock = Clock()
    interval = Interval(10, None, clock)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        updated = run(interval, clock, steps=100, step_seconds=0.1, update_seconds=9.0)
    assert updated == list(range(10, 101, 10))


@pytest.mark.parametrize("options", [{"every": 0}, {"budget": 0.0}, {"budget": 5}])
def test_impossible_intervals_are_refused(options, digits):
    with pytest.raises(el.InputError, match=r"every|budget"):
        el.Monitor(train=digits[0], reference=digits[1], **options)
