"""`entroloop duplicates`: what it writes, reads again, goes on from, and refuses."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import entroloop as el
from entroloop.cleaning import duplicates as room
from entroloop.commands.duplicates import DuplicatesRequest, find_duplicates


@pytest.fixture
def pool(tmp_path, rng):
    x = rng.standard_normal((400, 6)).astype(np.float32)
    x[300:330] = x[:30] + 1e-3 * rng.standard_normal((30, 6)).astype(np.float32)
    x[330] = x[331] = x[40]
    np.save(tmp_path / "x.npy", x)
    return x


def one_line(answer):
    assert answer.returncode == 2, answer.stderr
    [line] = answer.stderr.strip().splitlines()
    return line


def test_pairs_groups_and_a_summary_are_written(entroloop_here, tmp_path, pool):
    answer = entroloop_here("duplicates", "--pool", "x.npy", "--threshold", 0.1, "--out", "found")
    assert answer.returncode == 0, answer.stderr
    expected = el.duplicates(pool, 0.1)
    pairs = pd.read_parquet(tmp_path / "found/pairs.parquet")
    assert pairs["first"].tolist() == expected.first.tolist()
    assert pairs["distance"].tolist() == expected.distances.tolist()
    groups = pd.read_parquet(tmp_path / "found/groups.parquet")
    assert len(groups) == 2 * 30 + 3
    assert groups["row"][groups["representative"]].tolist() == [*range(30), 40]
    assert set(groups["pool"]) == {"x"}
    summary = json.loads(answer.stdout)
    written = json.loads((tmp_path / "found/summary.json").read_text())
    assert summary == {"out": "found", "computed": True} | written
    assert (summary["groups"], summary["dropped"], summary["largest_group"]) == (31, 32, 3)
    assert summary["curve"][-1] == {"threshold": 0.1, "pairs": 32, "dropped": 32}
    assert sorted(p.name for p in (tmp_path / "found").iterdir()) == [
        ".entroloop-manifest.json", "groups.parquet", "pairs.parquet", "summary.json",
    ]  # fmt: skip


def test_a_smaller_threshold_reads_the_pairs_that_are_there(
    entroloop_here, tmp_path, pool, monkeypatch
):
    command = ("duplicates", "--pool", "x.npy", "--out", "found", "--threshold")
    assert entroloop_here(*command, 0.5).returncode == 0
    known = pd.read_parquet(tmp_path / "found/pairs.parquet")
    monkeypatch.setattr(room, "pairs_of_pool", None)  # whoever searches fails
    answer = json.loads(entroloop_here(*command, 0.0).stdout)
    assert (answer["computed"], answer["pairs"], answer["dropped"]) == (False, 2, 2)
    assert pd.read_parquet(tmp_path / "found/pairs.parquet").equals(known)
    answer = json.loads(entroloop_here(*command, 0.1).stdout)  # still known, after the smaller one
    assert (answer["computed"], answer["dropped"]) == (False, 32)
    with pytest.raises(TypeError):
        entroloop_here(*command, 0.6)
    np.save(tmp_path / "x.npy", pool[:-1])
    with pytest.raises(TypeError):  # other rows
        entroloop_here(*command, 0.1)


def test_rows_of_a_pool_to_keep_represent_their_groups(entroloop_here, tmp_path, pool):
    np.save(tmp_path / "made.npy", pool[:50])
    answer = entroloop_here(
        "duplicates", "--pool", "made.npy", "--pool", "real=x.npy", "--keep", "real",
        "--threshold", 0, "--out", "found",
    )  # fmt: skip
    assert json.loads(answer.stdout)["pools"]["made"]["dropped"] == 50
    groups = pd.read_parquet(tmp_path / "found/groups.parquet")
    assert set(groups["pool"][groups["representative"]]) == {"real"}
    assert "names no pool; there are made, x" in one_line(
        entroloop_here("duplicates", "--pool", "made.npy", "--pool", "x.npy", "--keep", "real",
                       "--threshold", 0, "--out", "other")
    )  # fmt: skip
    assert not (tmp_path / "other").exists()


def test_a_page_shows_groups_of_images_and_escapes_their_names(entroloop_here, tmp_path, rng):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(6):
        pixels = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        for copy in ("a", "<b>") if i < 2 else ("a",):
            Image.fromarray(pixels).save(folder / f"{i}{copy}.png")
    command = ("duplicates", "--pool", "images", "--features", "pixels", "--threshold", 3)
    answer = entroloop_here(*command, "--out", "found", "--html", "page.html")
    assert json.loads(answer.stdout)["groups"] == 2, answer.stderr
    page = (tmp_path / "page.html").read_text()
    assert page.count('<img src="data:image/png') == 2
    assert "0&lt;b&gt;.png" in page
    assert "<b>" not in page.split("<body>")[1]
    (tmp_path / "mine.html").write_text("mine")
    assert "no page of entroloop" in one_line(
        entroloop_here(*command, "--out", "found", "--html", "mine.html")
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threshold", 100, "--most-pairs", 500], "more than 500 pairs lie within 100"),
        (["--threshold", -1], "at least 0; got -1"),
        (["--threshold", 1, "--metric", "manhattan"], "unknown metric"),
        (["--threshold", 1, "--features", "pixels"], "take images"),
        (["--threshold", 1, "--on-invalid", "x"], "unknown --on-invalid"),
        (["--threshold", 1, "--html", "no/page.html"], "there is no folder"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    entroloop_here, tmp_path, pool, options, message
):
    answer = entroloop_here("duplicates", "--pool", "x.npy", "--out", "found", *options)
    assert message in one_line(answer)
    left = [p.name for p in tmp_path.glob("found/*")]
    assert left in ([], [".checkpoint.pairs"])


@pytest.mark.slow
def test_a_killed_search_goes_on_by_the_same_command(tmp_path, rng):
    x = rng.standard_normal((200_000, 3)) @ rng.standard_normal((3, 24))
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    command = [sys.executable, "-m", "entroloop", "duplicates", "--pool", "x.npy", "--threshold",
               "0.05", "--out", "found"]  # fmt: skip
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "found/.checkpoint.pairs"
    limit = time.monotonic() + 240
    while not (checkpoint.exists() and checkpoint.stat().st_size > 800):
        assert time.monotonic() < limit
        assert running.poll() is None
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    kept = checkpoint.stat().st_size
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0
    assert not checkpoint.exists()
    whole = find_duplicates(DuplicatesRequest(
        pools=[str(tmp_path / "x.npy")], threshold=0.05, out=tmp_path / "whole"))  # fmt: skip
    pairs = pd.read_parquet(tmp_path / "found/pairs.parquet")
    assert pairs.equals(pd.read_parquet(tmp_path / "whole/pairs.parquet"))
    assert kept > 800  # one of two stretches
    assert len(pairs) == len(whole.found.first) > 100


def test_images_of_two_sizes_and_columns_of_a_table_are_searched(entroloop_here, tmp_path, rng):
    (tmp_path / "images").mkdir()
    image = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "images/a.png")
    Image.fromarray(image.repeat(2, 0).repeat(2, 1)).save(tmp_path / "images/b.png")
    asked = "duplicates", "--pool", "images", "--threshold", 2000, "--out", "found"
    assert "add --resize 8 " in one_line(entroloop_here(*asked))
    answer = entroloop_here(*asked, "--resize", 8)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["pairs"] == 1
    small = [str(tmp_path / "images" / name) for name in ("a.png", "b.png")]
    with pytest.raises(el.InputError, match="images differ"):
        el.duplicates(small, 1.0)
    frame = pd.DataFrame({"x": [1.0, 2.0, 1.0], "y": [3.0, 4.0, 3.0], "z": [0.0, 5.0, 9.0]})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    answer = entroloop_here("duplicates", "--pool", "rows.csv", "--threshold", 0, "--column", "x",
                            "--column", "y", "--out", "rows")  # fmt: skip
    assert json.loads(answer.stdout)["pairs"] == 1
    assert len(el.duplicates(frame, 0).first) == 0
    assert len(el.duplicates(frame[["x", "y"]], 0).first) == 1
