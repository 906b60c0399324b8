"""The audit of generated rows: planted copies, near-copies and strays, and its false alarms."""

import numpy as np
import pytest

import entroloop as el
from entroloop.cleaning.audit import copies
from entroloop.data.loading import read_set


def verdicts_of(found, *parts):
    """Return the verdicts of consecutive stretches of generated rows of these lengths."""
    return np.split(found.verdicts, np.cumsum(parts)[:-1])


def planted(real, rng, noise, strays, fresh, k=60):
    """Return copies, noisy copies, strays and fresh real rows, k of each."""
    chosen = real[rng.choice(len(real), 2 * k, replace=False)]
    noisy = chosen[k:].astype(np.float64) + noise * rng.standard_normal(chosen[k:].shape)
    if real.dtype == np.uint8:
        noisy = np.clip(np.rint(noisy), 0, 255)
    return np.concatenate([chosen[:k], noisy.astype(real.dtype), strays[:k], fresh[:k]])


def check_planted(found, k=60):
    copied, noisy, strays, fresh = verdicts_of(found, k, k, k, k)
    assert set(copied) == {"copy"}
    assert (noisy == "near-copy").mean() > 0.9
    assert (strays == "stray").mean() > 0.9
    assert (fresh == "keep").mean() > 0.85
    for alarm in found.false_alarms.values():
        assert alarm.interval[0] <= alarm.expected
        assert alarm.n == found.real_distinct


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    images = load_digits().images
    x = (images * 16).clip(0, 255).astype(np.uint8)[..., None]
    return x[np.random.default_rng(0).permutation(len(x))]


def test_planted_rows_are_found_among_digits(digits, rng):
    real, fresh = digits[:1400], digits[1400:]
    strays = rng.integers(0, 256, (60, 8, 8, 1)).astype(np.uint8)
    made = planted(real, rng, 4, strays, fresh)
    found = el.audit(real, made)
    check_planted(found)
    d = np.linalg.norm(
        made.reshape(len(made), 1, -1).astype(float) - real.reshape(1, len(real), -1), axis=2
    )
    assert np.array_equal(found.d1, np.sort(d, axis=1)[:, 0])
    assert (d[np.arange(len(made)), found.nearest] == found.d1).all()
    assert found.kept.tolist() == np.flatnonzero(found.verdicts == "keep").tolist()
    assert sum(found.counts.values()) == len(found) == 240
    assert found.other_distance[0] == np.linalg.norm(
        made[0].ravel().astype(float) - made[found.other[0]].ravel()
    )


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_planted_rows_are_found_among_real_images(real_data, rng, name):
    images = read_set(real_data / name / "test-00000-of-00001.parquet", "real").data
    images = images[rng.permutation(len(images))[:1100]]
    strays = rng.integers(0, 256, (60, *images.shape[1:])).astype(np.uint8)
    check_planted(el.audit(images[:1000], planted(images[:1000], rng, 6, strays, images[1000:])))


def test_real_rows_are_flagged_at_the_level(rng):
    rates = []
    for seed in range(8):
        x = rng.standard_normal((1200, 6)) @ rng.standard_normal((6, 6))
        found = el.audit(x[:800], x[800:], level=0.1, seed=seed)
        measured = [found.false_alarms[name].rate for name in ("near-copy", "stray")]
        fresh = [(found.verdicts == name).mean() for name in ("near-copy", "stray")]
        rates.append([*measured, *fresh])
    measured_near, measured_stray, near, stray = np.mean(rates, axis=0)
    # 8 · 800 judged rows, 8 · 400 fresh ones. Two tests of one level/2 overlap.
    assert 0.05 < measured_near < 0.11
    assert 0.08 < measured_stray < 0.12
    assert near == pytest.approx(measured_near, abs=0.02)
    assert stray == pytest.approx(measured_stray, abs=0.025)


def test_equal_values_are_copies_in_any_features_and_equal_features_are_not(digits, rng):
    real = digits[:1000]
    made = np.concatenate([real[:5], digits[1000:1100]])
    found = el.audit(real, made, features="pixels:pca=3", level=0.05)
    assert set(found.verdicts[:5]) == {"copy"}
    assert found.nearest[:5].tolist() == list(range(5))
    x = rng.standard_normal((500, 4))
    assert copies(x, np.vstack([x[7], x[3] + 1e-12, -x[2]])).tolist() == [7, -1, -1]
    assert copies(x.astype(np.float32), x[:2]).tolist() == [-1, -1]  # values differ by rounding
    assert copies(np.array([[0.0], [1.0], [1.0]]), np.array([[-0.0], [1.0]])).tolist() == [0, 1]


def test_repeated_real_rows_and_other_generated_rows_change_no_verdict(rng):
    real, fresh = rng.standard_normal((2, 600, 5))
    made = np.concatenate([real[:20] + 1e-3, fresh[:80], 30 + fresh[:9]])
    alone = el.audit(real, made, level=0.05)
    twice = el.audit(np.concatenate([real, real]), made, level=0.05)
    assert np.array_equal(alone.verdicts, twice.verdicts)
    assert (twice.real, twice.real_distinct) == (1200, 600)
    order = rng.permutation(len(made))
    assert np.array_equal(el.audit(real, made[order], level=0.05).verdicts, alone.verdicts[order])
    assert el.audit(real, made[:1], level=0.05).other.tolist() == [-1]


@pytest.mark.parametrize(
    ("real", "made", "options", "message"),
    [
        (np.eye(500), np.eye(3), {}, "real rows are 500, generated ones 3"),
        (np.eye(500), np.eye(500, dtype=np.uint8), {}, "bring both to one range"),
        (np.eye(100), np.eye(100), {}, "needs 400 distinct real rows.* raise the level to 0.04"),
        (np.eye(100), np.eye(100), {"level": 0.0}, "between 0 and 0.5"),
        (np.full((9, 2), np.nan), np.eye(2), {}, "the set 'real' holds NaN"),
        (np.eye(500), np.eye(500), {"features": "pixels"}, "take images"),
    ],
)
def test_what_cannot_be_audited_is_refused(real, made, options, message):
    with pytest.raises(el.InputError, match=message):
        el.audit(real, made, **options)
