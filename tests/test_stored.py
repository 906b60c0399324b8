"""`load_study`: a folder as Python objects, read only, also while the study runs."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import entroloop as el
from entroloop.samples import SampleSet
from here import Here

IMAGES = {
    "name": "images",
    "data": {"source": "arrays", "path": "x.npy", "n_train": 12, "n_reference": 12},
    "generations": 2,
    "metrics": {"unselected": 4},
    "arms": [
        {"name": "plain", "paradigm": "replace", "generator": "gaussian"},
        {
            "name": "unet", "paradigm": "replace", "strategy": "greedy", "oversample": 2,
            "generator": {
                "name": "unet_diffusion", "size": "tiny", "steps": 2, "batch_size": 8,
                "sampler": "dpm_solver++", "sampler_steps": 2, "sampling_batch": 32,
            },
        },
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study of images; its second arm has U-Nets."""
    out = tmp_path_factory.mktemp("stored")
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)
    np.save(out / "x.npy", images)
    data = IMAGES["data"] | {"path": str(out / "x.npy")}
    assert len(list(el.run_study(IMAGES | {"data": data}, out / "s", engine=Here()))) == 4
    return out / "s"


@pytest.fixture
def study(folder):
    return el.load_study(folder)


def everything(folder):
    return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(folder.rglob("*"))}


def test_it_knows_configuration_arms_and_runs(study, folder):
    assert study.config.n_train == 12
    assert study.arms == ["plain", "unet"]
    assert [(run.arm, run.seed, len(run)) for run in study.runs] == [
        ("plain", 0, 2),
        ("unet", 0, 2),
    ]
    assert [g.generation for g in study.run("unet")] == [1, 2]
    assert (
        repr(study)
        == f"study images in {folder}: 2 arms × 1 seeds × 2 generations, 4 of 4 complete"
    )
    assert study.real.data.shape == (40, 8, 8, 1)


def test_records_begin_with_the_settings_that_tell_arms_apart(study, folder):
    table = el.load_records(folder)
    pd.testing.assert_frame_equal(study.records, table)
    own = ["study", "paradigm", "strategy", "oversample", "generator"]
    assert list(table.columns[:6]) == [*own, "arm"]
    told = table.groupby("arm")[own].first()
    assert told.loc["unet"].tolist() == ["images", "replace", "greedy", 2, "unet_diffusion"]
    assert told.loc["plain"].tolist() == ["images", "replace", "random", 1, "gaussian"]
    assert study.run("unet")[2].record.entropy_samples == table["entropy_samples"].iloc[-1]


@pytest.mark.parametrize("config", [None, b"{", b"[]", b'{"name": "images"}'])
def test_records_are_read_where_the_configuration_is_lost(folder, tmp_path, config):
    shutil.copytree(folder, tmp_path / "s")
    (tmp_path / "s/config.json").unlink()
    if config is not None:
        (tmp_path / "s/config.json").write_bytes(config)
    table = el.load_records(tmp_path / "s")
    assert len(table) == 4
    assert table[["study", "strategy", "oversample"]].isna().all(axis=None)


def test_training_sets_and_samples_are_arrays_of_images(study):
    first, second = study.run("unet")
    assert isinstance(first.training_set, SampleSet)
    assert (first.training_set.provenance == 0).all()
    chosen = second.training_set
    assert (chosen.provenance == 1).all()
    assert first.samples.shape == (28, 8, 8, 1)  # 2 × 12 candidates, 4 that nothing is trained on
    assert first.samples.dtype == np.uint8
    assert np.array_equal(chosen.data, first.samples[chosen.source_index])
    assert list(second.picks["source_index"]) == list(chosen.source_index)
    assert first.labels is None
    with pytest.raises(ValueError, match="read-only"):
        first.samples[0] = 0


@pytest.mark.parametrize("arm", ["plain", "unet"])
def test_a_model_draws_the_samples_that_are_stored_and_more(study, arm):
    generation = study.run(arm)[2]
    stored = generation.samples
    drawn = generation.draw(len(stored) + 3)
    assert np.array_equal(drawn[: len(stored)], stored)
    assert len(drawn) == len(stored) + 3


def test_a_unet_is_a_pipeline_of_diffusers_and_others_say_that_they_are_none(study):
    pipeline = study.run("unet")[1].pipeline()
    assert type(pipeline).__name__ == "DDPMPipeline"
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline(batch_size=2, num_inference_steps=2, output_type="np").images
    assert made.shape == (2, 8, 8, 1)
    with pytest.raises(el.InputError, match=r"generation 1 of arm 'plain' .* is no diffusers"):
        study.run("plain")[1].pipeline()


def test_reading_writes_nothing_and_takes_no_lock(study, folder):
    before = everything(folder)
    study.records, study.runs, study._repr_html_()
    for run in study.runs:
        for generation in run:
            _ = generation.training_set, generation.samples[:1], generation.model()
    assert everything(folder) == before
    store = el.load_study(folder).store
    store.open("images", store.identity()["real"])  # a run that has the lock
    try:
        assert len(el.load_study(folder).records) == 4
    finally:
        store.close()


def test_it_shows_a_study_that_has_just_begun_and_then_what_is_complete(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "s")
    listed = tmp_path / "s/arms/unet/seed-0.json"
    whole = json.loads(listed.read_text())
    study = el.load_study(tmp_path / "s")
    for path in (tmp_path / "s/arms").rglob("*.json"):
        path.write_text(json.dumps(whole | {"generations": []}))
    (tmp_path / "s/records.parquet").unlink()
    assert study.runs == []
    assert len(study.records) == 0
    assert "0 of 4 complete" in study._repr_html_()
    listed.write_text(json.dumps(whole | {"generations": whole["generations"][:1]}))
    assert [len(run) for run in study.runs] == [1]  # read anew each time
    with pytest.raises(el.InputError, match="no complete generation of arm 'plain' at seed 0"):
        study.run("plain")
    with pytest.raises(el.InputError, match="has the generations 1 … 1; there is no 2"):
        study.run("unet")[2]


def test_runs_of_other_configurations_are_read_when_asked_for(tiny, tmp_path):
    tiny |= {"arms": tiny["arms"][:1], "seeds": [0]}
    list(el.run_study(tiny, tmp_path / "s", engine=Here()))
    before = el.load_study(tmp_path / "s").run("replace-random")[3]
    changed = tiny | {"generations": 1, "generator": {"name": "kde"}}
    list(el.run_study(changed, tmp_path / "s", engine=Here()))
    assert [run.current for run in el.load_study(tmp_path / "s").runs] == [True]
    everything = el.load_study(tmp_path / "s", all=True)
    now, then = everything.runs
    assert (now.current, then.current, len(now), len(then)) == (True, False, 1, 3)
    assert np.array_equal(then[3].samples, before.samples)
    assert np.array_equal(then[3].training_set.data, before.training_set.data)
    told = everything.records[["generation", "current", "generator"]]
    assert told["current"].tolist() == [True, False, False, False]
    assert told["generator"].fillna("").tolist() == ["kde", "", "", ""]
    with pytest.raises(el.InputError, match="of another configuration are not kept"):
        then[1].model()


def test_a_study_in_an_object_store_is_read_and_what_is_damaged_there_stays(
    tiny, tmp_path, monkeypatch
):
    url = f"local://{tmp_path}/bucket/study"
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path / "a"))
    tiny |= {"arms": tiny["arms"][:1], "seeds": [0]}
    list(el.run_study(tiny, url, engine=Here()))
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path / "b"))  # another machine
    study = el.load_study(url)
    assert len(study.records) == 3
    generation = study.run("replace-random")[2]
    assert generation.training_set.data.shape == (24, 64)
    stage = tmp_path / f"bucket/study/stages/samples/{generation.keys['samples']}"
    (stage / "samples.npy").write_bytes(b"changed")
    with pytest.raises(el.InputError, match=r"stage samples of generation 2 .* lost or damaged"):
        _ = generation.samples
    assert (stage / "samples.npy").read_bytes() == b"changed"


@pytest.mark.parametrize("content", [None, "notes.txt"])
def test_what_is_no_study_is_told(tmp_path, content):
    if content:
        (tmp_path / content).write_text("mine")
    with pytest.raises(el.InputError, match="is no study folder"):
        el.load_study(tmp_path if content else tmp_path / "nowhere")
