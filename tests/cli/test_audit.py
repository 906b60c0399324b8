"""`entroloop audit`: what it writes and refuses."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import entroloop as el


@pytest.fixture
def sets(tmp_path, rng):
    """Two folders of real images, and one of generated ones: 2 copies, 3 noisy copies, 1 stray."""
    smooth = np.repeat(np.repeat(rng.integers(60, 190, (101, 3, 3)), 3, 1), 3, 2)
    real = (smooth[:100] + rng.integers(-9, 10, (100, 9, 9))).astype(np.uint8)
    noisy = (real[10:13] + rng.integers(0, 2, (3, 9, 9))).astype(np.uint8)
    stray = rng.integers(0, 256, (1, 9, 9)).astype(np.uint8)
    made = np.concatenate([real[:2], noisy, stray, smooth[100:].astype(np.uint8)])
    for name, images in {"a": real[:60], "b": real[60:], "made": made}.items():
        (tmp_path / name).mkdir()
        for i, pixels in enumerate(images):
            Image.fromarray(pixels).save(tmp_path / name / f"{i:03d}.png")
    return real, made


def one_line(answer):
    assert answer.returncode == 2, answer.stderr
    [line] = answer.stderr.strip().splitlines()
    return line


def test_every_generated_image_gets_a_verdict_and_a_page_shows_them(entroloop_here, tmp_path, sets):
    answer = entroloop_here(
        "audit", "a", "b", "made", "--level", 0.08, "--out", "audited", "--html", "page.html"
    )
    assert answer.returncode == 0, answer.stderr
    table = pd.read_parquet(tmp_path / "audited/audit.parquet")
    assert table["verdict"].tolist()[:6] == ["copy"] * 2 + ["near-copy"] * 3 + ["stray"]
    assert table["id"].tolist() == [f"{i:03d}.png" for i in range(7)]
    assert table["nearest"].tolist()[:5] == [f"{i:03d}.png" for i in (0, 1, 10, 11, 12)]
    assert set(table["nearest_pool"][:5]) == {"a"}
    expected = el.audit(*(x[..., None] for x in sets), level=0.08)
    assert np.array_equal(table["typicality"], expected.typicality)
    assert np.array_equal(table["d1"], expected.d1)
    summary = json.loads(answer.stdout)
    assert summary["counts"]["near-copy"] == 3
    assert summary["false_alarms"]["stray"]["n"] == 100
    assert summary["thresholds"]["ratio"] == expected.thresholds.ratio
    written = json.loads((tmp_path / "audited/summary.json").read_text())
    assert summary == {"out": "audited"} | written | {"page": "page.html"}
    page = (tmp_path / "page.html").read_text()
    assert page.count('<img src="data:image/png') == sum(n > 0 for n in summary["counts"].values())


def test_sets_of_one_name_are_both_kept_from_the_output_and_both_told_of(
    entroloop_here, tmp_path, sets
):
    for place, name in (("real", "a"), ("made", "made")):
        (tmp_path / f"in-{place}").mkdir()
        (tmp_path / name).rename(tmp_path / f"in-{place}" / "images")
        (tmp_path / f"in-{place}" / "images" / f"no-{place}.png").write_bytes(b"no picture")
    both = ["audit", "in-real/images", "in-made/images", "--level", 0.08, "--out"]
    assert "lies in 'images'" in one_line(entroloop_here(*both, "in-real/images/out"))
    answer = entroloop_here(*both, "audited")
    assert answer.returncode == 0, answer.stderr
    skipped = json.loads(answer.stdout)["skipped"]
    assert {name: list(files) for name, files in skipped.items()} == {
        "images": ["no-real.png"], "made images": ["no-made.png"]
    }  # fmt: skip


def test_vectors_are_audited_too(entroloop_here, tmp_path, rng):
    real = rng.standard_normal((450, 5)).astype(np.float32)
    np.save(tmp_path / "real.npy", real)
    np.save(tmp_path / "made.npy", np.concatenate([real[:4], rng.standard_normal((50, 5))]))
    answer = entroloop_here("audit", "real.npy", "made.npy", "--out", "o", "--html", "p.html")
    assert json.loads(answer.stdout)["counts"]["copy"] == 4, answer.stderr
    page = (tmp_path / "p.html").read_text()
    assert '<img src="data:image/png' not in page
    assert "sample (nearest real row, distance): 0 (0, 0)" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["made"], "REAL… MADE"),
        (["a", "made"], "needs 400 distinct real rows"),
        (["a", "nothing", "--level", 0.1], "there is no file or folder"),
        (["a", "b", "made", "--level", 0.9], "between 0 and 0.5"),
        (["a", "made", "--out", "a/x"], "lies in 'a'"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    entroloop_here, tmp_path, sets, arguments, message
):
    before = sorted(tmp_path.rglob("*"))
    assert message in one_line(entroloop_here("audit", "--out", "o", *arguments))
    assert sorted(tmp_path.rglob("*")) == before


def test_images_of_other_sizes_and_modes_are_audited_as_the_refusal_says(
    entroloop_here, tmp_path, sets
):
    for path in (tmp_path / "made").iterdir():
        with Image.open(path) as image:
            image.convert("RGB").resize((18, 18), Image.Resampling.NEAREST).save(path)
    with Image.open(tmp_path / "made/000.png") as image:
        image.resize((9, 9), Image.Resampling.NEAREST).save(tmp_path / "made/000.png")
    asked = "audit", "a", "b", "made", "--level", 0.08, "--out", "audited"
    assert "add --resize 18 " in one_line(entroloop_here(*asked))
    answer = entroloop_here(*asked, "--resize", 9, "--mode", "grey")
    assert answer.returncode == 0, answer.stderr
    table = pd.read_parquet(tmp_path / "audited/audit.parquet")
    assert table["verdict"][0] == "copy"
    found = el.audit(*(el.load(tmp_path / name, resize=9, mode="grey").data for name in "ab"),
                     level=0.2)  # fmt: skip
    again = el.audit(tmp_path / "a", tmp_path / "b", level=0.2)
    assert found.verdicts.tolist() == again.verdicts.tolist()
