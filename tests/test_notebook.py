"""What results look like in a notebook, and how progress is shown there."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest

import entroloop as el
from entroloop.system.numbers import number, with_interval
from entroloop.system.progress_line import ProgressLine
from here import Here

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def study(tiny, tmp_path):
    tiny["name"] = HOSTILE
    records = list(el.run_study(tiny, out=tmp_path / "s", engine=Here()))
    return records, el.load_study(tmp_path / "s")


def cells(html):
    return [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<t[hd][^>]*>.*?</t[hd]>", html)]


def test_records_runs_and_generations_are_tables_whose_names_run_nothing(study):
    records, stored = study
    arm = stored.arms[0]
    record = next(r for r in records if (r.arm, r.seed, r.generation) == (arm, 1, 2))
    run = stored.run(arm, 1)
    for one in (replace(record, arm=HOSTILE), stored):
        assert "<script" not in one._repr_html_()
        assert "&lt;script&gt;" in one._repr_html_()
    of_record = cells(record._repr_html_())
    at = of_record.index("frechet_distance")
    assert of_record[at + 1] == number(record.frechet_distance)
    assert run[2]._repr_html_() == record._repr_html_()
    assert cells(run._repr_html_())[:5] == ["generation", "entropy_samples", "generalization_score",
                                            "memorized_fraction", "frechet_distance"]  # fmt: skip


def test_measurements_are_a_dict_and_a_table(rng):
    sets = {role: rng.standard_normal((60, 3)) for role in ("generated", "train", "reference")}
    found = el.measure(**sets, metrics=["frechet_distance", "coverage"])
    assert isinstance(found, dict)
    shown = cells(found._repr_html_())
    at = shown.index("frechet_distance")
    distance = found["frechet_distance"]
    assert shown[at + 1] == with_interval(distance.value, distance.interval)
    assert shown[at + 2] == number(distance.floor)
    assert el.select(sets["train"], 5)._repr_html_().startswith("<table><caption>Selection")


class Stream(io.StringIO):
    """What a notebook puts in place of standard error."""


Stream.__module__ = "ipykernel.iostream"


def test_in_a_notebook_progress_is_a_bar_that_is_written_over(tiny, tmp_path, monkeypatch):
    stream, clock = Stream(), iter(np.arange(0, 10**6, 3.0))
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("entroloop.system.progress_line.time.monotonic", lambda: next(clock))
    for _ in el.run_study(tiny, out=tmp_path / "s", engine=Here(), progress=True):
        pass
    shown = stream.getvalue()
    lines = shown.rstrip("\n").split("\r")[1:]
    assert lines[-1].strip() == "[####################] generations: 12 of 12"
    assert "\x1b" not in shown
    assert shown.endswith("\n")
    widths = [len(line.rstrip()) for line in lines]
    assert all(len(line) >= before for line, before in zip(lines[1:], widths, strict=False))
    seen = []
    list(el.run_study(tiny, out=tmp_path / "s", workers=1, progress=lambda *at: seen.append(at)))
    assert seen == [(done, 12) for done in range(1, 13)]


def test_a_log_gets_plain_lines(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    assert not ProgressLine()._terminal
