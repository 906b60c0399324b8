"""Studies that were made before are found again: their stages have the keys of `stage_keys.json`.

The file was written by the version of 2026-11-23 (f907983): whatever moves or is renamed since, a
folder of then has nothing to train. A change that is meant to change a key raises `FORMAT`; what is
measured has a number of its own, `RECORD_FORMAT`; without it the keys of records are those of then.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from entroloop.commands.prepare import prepare
from entroloop.study import plan
from entroloop.study.build import Built, build
from entroloop.study.config import load_config

WRITTEN = json.loads(Path(__file__).with_name("stage_keys.json").read_text())


@pytest.fixture(params=[True, False], ids=["as measured then", "as measured now"])
def as_then(request, monkeypatch):
    if request.param:
        fingerprint = plan.fingerprint

        def as_it_was(content):
            content = {k: v for k, v in content.items() if k != "record_format"}
            metrics = {k: v for k, v in content.get("metrics", {}).items() if k != "unselected"}
            return content | ({"metrics": metrics} if metrics else {})

        monkeypatch.setattr(plan, "fingerprint", lambda content: fingerprint(as_it_was(content)))
    return request.param


def written(preset, as_then):
    """Return the keys of the file, without those of records where these are measured anew."""
    steps = WRITTEN[preset]["steps"]
    return {
        step: {kind: key for kind, key in keys.items() if as_then or kind != "record"}
        for step, keys in steps.items()
    }


def keys_of(study, as_then):
    return {
        f"{step.arm.name} seed {step.seed} generation {step.generation}": {
            kind: key for kind, key in step.keys().items() if as_then or kind != "record"
        }
        for step in study.steps
    }


def test_the_study_digits_has_the_keys_that_were_written_down(tmp_path, as_then):
    study = prepare("digits", tmp_path / "s", device="cpu")
    assert study.real_key == WRITTEN["digits"]["real"]
    now = keys_of(study, as_then)
    then = written("digits", as_then)
    assert {step: now[step] for step in then} == then  # arms may have come since


@pytest.fixture(scope="module")
def mnist(real_data):
    """Return settings of real images, and the images, which are decoded once."""
    path = {"data.path": str(real_data / "mnist")}
    return path, build(load_config("mnist-tiny", path)).load()


def test_the_study_of_real_images_has_the_keys_that_were_written_down(
    tmp_path, mnist, as_then, monkeypatch
):
    path, images = mnist
    monkeypatch.setattr(Built, "load", lambda built: images)
    study = prepare("mnist-tiny", tmp_path / "s", device="cpu", overrides=path)
    assert study.real_key == WRITTEN["mnist-tiny"]["real"]
    assert keys_of(study, as_then) == written("mnist-tiny", as_then)
