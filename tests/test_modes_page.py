"""The page of measured sets: which modes are new, which are lost, and the power by frequency."""

import re

import numpy as np
import pytest
from sklearn.datasets import load_digits

import entroloop as el
from entroloop.commands.measure import measure_files
from entroloop.commands.run import run_study
from entroloop.metrics.fourier import bandwidth, fkea, ken
from entroloop.metrics.frequencies import high_frequency_loss
from entroloop.metrics.sets import Sets
from entroloop.metrics.tails import tail_coverage
from entroloop.report.measured import write_page
from entroloop.report.modes import modes_shown, radial_chart
from entroloop.report.read import StudyView
from here import Here

IMAGES, LABELS = load_digits().images, load_digits().target


@pytest.fixture
def measured(tmp_path):
    """Return a measurement of digits without the noughts but with stripes, beside real ones."""
    order = np.random.default_rng(0).permutation(len(IMAGES))
    pixels = np.rint(IMAGES[order] * 15.9).astype(np.uint8)[..., None]
    labels = LABELS[order]
    stripes = np.tile(np.array([255, 0], np.uint8), 4)[None, :, None, None] * np.ones(
        (60, 1, 8, 1), np.uint8
    )
    generated = np.concatenate([pixels[:800][labels[:800] != 0], stripes])
    np.save(tmp_path / "g.npy", generated)
    np.save(tmp_path / "r.npy", pixels[800:])
    paths = {"generated": tmp_path / "g.npy", "reference": tmp_path / "r.npy"}
    return measure_files(paths, metrics=["total_variance"]), labels[800:]


def sets_of(measured):
    rows = measured.rows
    return Sets(generated=rows["generated"], reference=rows["reference"])


def named(side):
    return [caption.partition("clearest: ")[2].split(", ") for caption, _ in side.shown]


def test_a_planted_mode_is_new_and_a_dropped_class_is_lost_with_rows_that_show_it(measured):
    found, labels = measured
    new, lost = modes_shown(found, sets_of(found))
    first = len(found.rows["generated"]) - 60
    assert all(int(name) >= first for name in named(new)[0])  # the stripes
    assert np.mean(labels[[int(name) for name in named(lost)[0]]] == 0) > 0.9  # the noughts
    assert new.shown[0][1].address.startswith("data:image/png")
    assert "between two halves of the reference" in new.says


def test_sets_of_one_source_show_no_mode(tmp_path):
    x, y = np.random.default_rng(0).standard_normal((2, 600, 5))
    np.save(tmp_path / "g.npy", x)
    np.save(tmp_path / "r.npy", y)
    paths = {"generated": tmp_path / "g.npy", "reference": tmp_path / "r.npy"}
    found = measure_files(paths, metrics=["total_variance"])
    for side in modes_shown(found, sets_of(found)):
        assert len(side.shown) <= 1  # halves have fewer rows, so that their chance is larger
    assert radial_chart(found) is None


def test_the_page_holds_modes_and_frequencies_and_opens_offline(measured, tmp_path):
    write_page(measured[0], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert 'id="modes-new"' in page
    assert 'id="modes-lost"' in page
    assert '"id":"frequencies"' in page
    assert "http" not in re.sub(r"<script>.*?</script>", "", page, flags=re.S).replace(
        "http-equiv", ""
    )
    chart = radial_chart(measured[0])
    shares = [sum(one["y"]) for one in chart["series"]]
    assert shares == pytest.approx([1, 1], abs=1e-4)


def test_without_a_reference_there_are_no_modes(measured):
    rows = measured[0].rows["generated"]
    assert modes_shown(measured[0], Sets(generated=rows)) == []


def test_a_study_records_the_metrics_that_are_asked_for(tmp_path):
    study = {
        "name": "asked", "generations": 2, "generator": {"name": "gaussian"},
        "data": {"source": "digits", "n_train": 60, "n_reference": 200},
        "metrics": {"extra": ["high_frequency_loss", "tail_coverage", "fkea", "ken", "ken_lost"]},
        "arms": [{"paradigm": "replace"}],
    }  # fmt: skip
    list(run_study(study, out=tmp_path / "s", engine=Here()))
    records, view = el.load_records(tmp_path / "s"), StudyView.open(tmp_path / "s")
    last = records.iloc[-1]
    assert {"tail_coverage_floor", "ken_floor"} < set(records.columns)
    samples = np.asarray(view.samples("replace-random", 0, 2))
    held_out = np.asarray(view.real.data[view.real_rows(0)[1]])
    images = [x.reshape(-1, 8, 8) for x in (samples, held_out)]
    expected = high_frequency_loss(generated=images[0], reference=images[1])
    assert last["high_frequency_loss"] == pytest.approx(expected)
    assert 0 < last["high_frequency_loss"] < 0.4  # a Gaussian of few rows lacks small directions
    assert last["tail_coverage"] == tail_coverage(generated=samples, reference=held_out)
    assert 0 < last["fkea"] < np.log(60)
    assert last["ken"] > 0
    assert last["ken_floor"] >= 0
    width = bandwidth(held_out)
    assert fkea(samples, bandwidth=width / 2) == pytest.approx(last["fkea"], abs=0.2)
    assert ken(generated=samples, reference=held_out, bandwidth=width) == pytest.approx(
        last["ken"], abs=0.2
    )
