"""Charts of a study as files: what they draw, that they repeat, and what they refuse."""

import io
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import entroloop as el
from entroloop.plot.files import write_figures
from entroloop.plot.style import rendered
from entroloop.report.claims import t_interval
from entroloop.report.figures import CURVES
from entroloop.store.records import COLUMNS


def records_of(seeds=5, arms=("random", "greedy", "guarded"), generations=4, **extra):
    """Return records in which each arm goes its own way, and seeds differ."""
    rng = np.random.default_rng(0)
    rows = []
    for arm_number, arm in enumerate(arms):
        for seed in range(seeds):
            for g in range(1, generations + 1):
                row = dict.fromkeys(COLUMNS, 1.0)
                entropy = 10 - arm_number * g + rng.normal()
                shares = [1.0] if g == 1 else [1 / g, *[1 / g] * (g - 1)]
                row |= {
                    "arm": arm, "seed": seed, "generation": g, "entropy_train": entropy,
                    "generalization_score": np.exp(0.1 * entropy + 0.2 * rng.normal()),
                    "frechet_distance": g + arm_number + rng.random(),
                    "frechet_distance_floor": 1.0,
                    "real_share": shares[0], "share_by_generation": shares,
                    "taken": ["", "greedy", "random", f"threshold_decay strength=0.{seed + 1}"][
                        (g + seed) % 3 + 1] if arm == "guarded" and g > 1 else "",
                }  # fmt: skip
                rows.append(row | {name: rng.random() for name in extra})
    return pd.DataFrame(rows)


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    records_of(seeds=2, generations=3).to_parquet(folder / "records.parquet")
    return folder


def lines(figure):
    return {line.get_label(): line for line in figure.axes[0].get_lines()}


def test_a_line_is_the_mean_over_seeds_and_its_band_the_t_interval():
    records = records_of()
    figure = el.plot.entropy(records)
    own = records[records["arm"] == "greedy"].groupby("generation")["entropy_train"]
    np.testing.assert_allclose(lines(figure)["greedy"].get_ydata(), own.mean())
    band = figure.axes[0].collections[1].get_paths()[0].vertices
    low, high = t_interval(own.get_group(3).tolist())
    at = band[np.isclose(band[:, 0], 3), 1]
    assert at.min() == pytest.approx(low)
    assert at.max() == pytest.approx(high)


def test_one_seed_has_no_band():
    figure = el.plot.entropy(records_of(seeds=1))
    for band in figure.axes[0].collections:
        assert not any(np.isfinite(path.vertices).any() for path in band.get_paths())


def test_arms_are_told_apart_without_colour():
    arms = [f"arm {i}" for i in range(8)]
    drawn = lines(el.plot.frechet_distance(records_of(seeds=2, arms=arms)))
    looks = {(drawn[a].get_marker(), str(drawn[a]._dash_pattern)) for a in arms}
    assert len(looks) == len(arms)
    assert len({look for look, _ in looks}) == len(arms)


def test_the_line_of_entropy_against_the_score_is_the_least_squares_line():
    records = records_of()
    figure = el.plot.entropy_against_score(records)
    later = records[records["generation"] >= 2]
    x, y = later["entropy_train"], np.log(later["generalization_score"])
    slope, offset = np.polyfit(x, y, 1)
    (fit,) = figure.axes[0].get_lines()
    np.testing.assert_allclose(fit.get_ydata(), slope * fit.get_xdata() + offset)
    r, low, high = map(float, re.findall(r"-?\d\.\d+", figure.axes[0].get_title()))
    assert r == pytest.approx(np.corrcoef(x, y)[0, 1], abs=0.006)
    assert low <= r <= high < 1.0


def test_what_guarded_took_adds_up_to_the_seeds_and_strengths_count_together():
    figure = el.plot.taken(records_of())
    axes = figure.axes[0]
    heights = {}
    for bar in axes.patches:
        at = round(bar.get_x() + bar.get_width() / 2)
        heights[at] = heights.get(at, 0) + bar.get_height()
    assert heights == {2: 5, 3: 5, 4: 5}
    assert axes.get_legend_handles_labels()[1] == ["greedy", "random", "threshold_decay"]


def test_provenance_fills_the_whole_of_each_training_set():
    figure = el.plot.provenance(records_of())
    top = max(
        path.vertices[:, 1].max() for c in figure.axes[1].collections for path in c.get_paths()
    )
    assert top == pytest.approx(1.0)
    assert [a.get_title() for a in figure.axes] == ["random", "greedy", "guarded"]


def test_files_repeat_to_the_byte_and_embed_their_fonts(study, tmp_path):
    told = write_figures(study, tmp_path / "a")
    assert set(told["left_out"]) == {"coverage_precision"}
    assert len(list((tmp_path / "a").iterdir())) == 3 * 12 + 2  # with captions.md and the manifest
    assert set(CURVES) - {"entropy_train"} <= set(told["figures"])  # those of the page
    for name, form in (("entropy", "svg"), ("taken", "pdf"), ("provenance", "png")):
        again = rendered(el.plot.CHARTS[name][0](study), form)
        assert (tmp_path / f"a/{name}.{form}").read_bytes() == again, name
    svg = (tmp_path / "a/entropy.svg").read_text()
    assert "<text" not in svg  # letters are shapes
    assert "<dc:date>" not in svg
    pdf = (tmp_path / "a/entropy.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"CreationDate" not in pdf


def test_a_file_is_as_wide_as_it_was_asked_to_be(study):
    from PIL import Image

    figure = el.plot.entropy(study, width=2.5)
    with Image.open(io.BytesIO(rendered(figure, "png"))) as image:
        assert image.width == 750  # at 300 dots an inch
    assert b'width="180pt"' in rendered(figure, "svg")


def test_metrics_that_were_asked_for_are_drawn_too(tmp_path):
    records = records_of(seeds=2, generations=3, precision=1, coverage=1, vendi_score=1)
    records.to_parquet(tmp_path / "records.parquet")
    told = write_figures(tmp_path, tmp_path / "out", formats=["svg"])
    assert {"coverage_precision", "vendi_score"} <= set(told["figures"])
    assert told["left_out"] == {}


def test_a_folder_of_others_is_left_alone(study, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("years of work")
    with pytest.raises(el.InputError, match=r"thesis\.tex"):
        write_figures(study, tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_names_of_arms_are_shown_as_they_are():
    figure = el.plot.entropy(records_of(seeds=2, arms=("$\\frac{a}$", "<b>")))
    figure._repr_png_()  # mathtext would fail on this


def test_a_figure_shows_itself_in_a_notebook():
    figure = el.plot.real_share(records_of(seeds=2))
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--width", "3"], "3.25in"),
        (["--width", "400in"], "1 to 40 inches"),
        (["--format", "eps"], "unknown format 'eps'"),
    ],
)
def test_bad_options_are_one_line(entroloop_here, study, arguments, message):
    answer = entroloop_here("figures", study, *arguments)
    assert answer.returncode == 2
    assert message in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1
    assert not (study / "figures").exists()


def test_the_command_writes_into_the_study_and_may_run_again(entroloop_here, study, monkeypatch):
    monkeypatch.setattr("entroloop.plot.files.CHARTS", {"entropy": el.plot.CHARTS["entropy"]})
    monkeypatch.setattr("entroloop.plot.files.CURVES", {})
    for _ in range(2):
        answer = entroloop_here("figures", study, "--format", "svg")
        assert answer.returncode == 0, answer.stderr
        assert "entropy" in json.loads(answer.stdout)["figures"]
    assert (study / "figures/entropy.svg").is_file()


def test_without_matplotlib_one_line_tells_what_to_install(study):
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        f"sys.argv = ['entroloop', 'figures', {str(study)!r}]\n"
        "from entroloop.cli import main; main()"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 2
    assert answer.stderr.strip() == (
        "entroloop: figures need matplotlib; install it: python -m pip install 'entroloop[figures]'"
    )
