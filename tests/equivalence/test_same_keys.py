"""Studies that were made before are found again: their stages have the keys of `stage_keys.json`.

The file was written by the version of 2026-11-23 (f907983): whatever moves or is renamed since, a
folder of then has nothing to train. A change that is meant to change a key raises `FORMAT`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from entroloop.commands.run import prepare

WRITTEN = json.loads(Path(__file__).with_name("stage_keys.json").read_text())


def keys_of(study):
    return {
        f"{step.arm.name} seed {step.seed} generation {step.generation}": step.keys()
        for step in study.steps
    }


def test_the_study_digits_has_the_keys_that_were_written_down(tmp_path):
    study = prepare("digits", tmp_path / "s", device="cpu")
    assert study.real_key == WRITTEN["digits"]["real"]
    assert keys_of(study) == WRITTEN["digits"]["steps"]


@pytest.mark.parametrize("preset", ["mnist-tiny"])
def test_the_study_of_real_images_has_the_keys_that_were_written_down(preset, tmp_path, real_data):
    path = {"data.path": str(real_data / "mnist")}
    study = prepare(preset, tmp_path / "s", device="cpu", overrides=path)
    assert study.real_key == WRITTEN[preset]["real"]
    assert keys_of(study) == WRITTEN[preset]["steps"]
