"""Streams that are closed or full, locales of few letters, pipes, links: no traceback, no hang."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import entroloop as el
from entroloop.data.loading import read_set
from entroloop.report import refuse_foreign
from entroloop.study.config import load_config

HERE = [sys.executable, "-m", "entroloop"]


@pytest.fixture
def pool(tmp_path):
    np.save(tmp_path / "p.npy", np.random.default_rng(0).standard_normal((30, 3)))
    return tmp_path


def ended(folder, shell, **options):
    """Run a line of bash in a folder; `$E` is the command line."""
    environment = os.environ | {"E": " ".join(HERE)} | options
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shell}"], cwd=folder, env=environment,
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip


SELECT = "$E select --pool p.npy -n 3 --out o"


@pytest.mark.parametrize("streams", [">&- 2>&- <&-", ">&- 2>/dev/full", "2>&1 >/dev/null | true"])
def test_streams_that_take_nothing_end_no_work(streams, pool):
    if "full" in streams and not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    answer = ended(pool, f"{SELECT} {streams}")
    assert answer.returncode == 0, answer.stderr
    assert len(pq.read_table(pool / "o/selection.parquet")) == 3


def test_what_is_wrong_has_its_exit_code_where_nobody_hears_it(pool):
    assert ended(pool, "$E select --pool none -n 3 --out o 2>&-").returncode == 2
    answer = ended(pool, "$E --help >/dev/full")
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1


def test_a_closed_stream_is_not_taken_for_a_file(pool):
    script = (
        "from entroloop.system.streams import make_streams_safe as m; m(); import os; "
        "f = open('mine', 'w'); os.write(2, b'noise'); print(f.fileno() > 2)"
    )
    answer = ended(pool, f'{sys.executable} -c "{script}" 2>&-')
    assert answer.stdout == "True\n"
    assert (pool / "mine").read_text() == ""


def test_files_are_utf_8_whatever_the_locale(tmp_path):
    """In an ASCII locale, without the UTF-8 mode that Python would turn to."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    study = {
        "name": "stüdy", "generations": 1, "generator": "gaussian", "metrics": {"unselected": 0},
        "data": {"source": "digits", "n_train": 24, "n_reference": 30},
        "arms": [{"strategy": "random"}],
    }  # fmt: skip
    (tmp_path / "s.yaml").write_text(json.dumps(study, ensure_ascii=False), "utf-8")
    for command in ("$E run s.yaml --out s --workers 1", "$E doctor s", "$E presets digits"):
        answer = ended(tmp_path, command, **plain)
        assert answer.returncode == 0, answer.stderr
    assert "stüdy" in (tmp_path / "s/report.html").read_text("utf-8")
    study["arms"][0]["name"] = "ärm"  # is a folder's name, too
    (tmp_path / "s.yaml").write_text(json.dumps(study, ensure_ascii=False), "utf-8")
    answer = ended(tmp_path, "$E run s.yaml --out s --workers 1", **plain)
    assert answer.returncode == 2
    assert "PYTHONUTF8=1" in answer.stderr.splitlines()[-1]


def test_a_comma_as_decimal_point_changes_no_number(pool):
    commas = "de_DE.UTF-8"
    answer = ended(pool, f"{SELECT} --min-distance 0.5", LC_ALL=commas, LC_NUMERIC=commas)
    assert json.loads(answer.stdout)["min_distance"] == 0.5


def test_nobody_else_reads_what_is_written_under_a_umask_of_077(pool):
    answer = ended(pool, f"umask 077; {SELECT}")
    assert answer.returncode == 0, answer.stderr
    modes = {p.stat().st_mode & 0o77 for p in (pool / "o").rglob("*")}
    assert modes == {0}


def test_pipes_and_devices_are_refused_where_a_read_might_never_end(tmp_path):
    plain = tmp_path / "plain.png"
    Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(plain)
    for ending in ("npy", "npz", "parquet", "csv", "tar", "txt", "png"):
        os.mkfifo(tmp_path / f"x.{ending}")
        with pytest.raises(el.InputError, match="neither a file nor a folder"):
            read_set(tmp_path / f"x.{ending}", "p")
    os.mkfifo(tmp_path / "x.yaml")
    with pytest.raises(el.InputError, match="is no file"):
        load_config(tmp_path / "x.yaml", {})
    with pytest.raises(el.InputError, match="is no page"):
        refuse_foreign(tmp_path / "x.npy")
    (tmp_path / "list.txt").write_text("x.png\nplain.png\n/dev/zero\n")
    found = read_set(tmp_path / "list.txt", "p")
    assert list(found.skipped.values()) == ["it is no file, but a pipe, a device or a folder"] * 2
    assert len(found) == 1


def test_links_in_a_pool_are_told(tmp_path):
    for place in ("pool", "other"):
        (tmp_path / place).mkdir()
        Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(tmp_path / place / "a.png")
    links = {"within": "a.png", "out": "../other/a.png", "round": "round.png", "none": "gone.png"}
    for name, target in links.items():
        (tmp_path / "pool" / f"{name}.png").symlink_to(target)
    (tmp_path / "pool/folder").symlink_to("../other")
    os.mkfifo(tmp_path / "pool/pipe.png")
    found = read_set(tmp_path / "pool", "p")
    assert found.ids == ["a.png", "out.png", "within.png"]
    assert found.remarks == {
        "links to files outside the folder: followed": 1, "links to no file: not read": 2,
        "links to folders: not followed": 1, "neither file nor folder: not read": 1,
    }  # fmt: skip


def test_a_shard_that_was_cut_between_two_images_is_told(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(tmp_path / "a.png")
        for name in ("a.png", "b.png"):
            tar.add(tmp_path / "a.png", name)
    assert not read_set(tmp_path / "x.tar", "p").remarks
    with tarfile.open(tmp_path / "x.tar") as tar:
        second = tar.getmembers()[1].offset
    os.truncate(tmp_path / "x.tar", second)
    found = read_set(tmp_path / "x.tar", "p")
    assert len(found) == 1
    assert found.remarks == {"shards without the end of a tar file, cut perhaps": 1}


def test_a_table_with_one_name_twice_is_refused(tmp_path):
    column = pa.array([[1.0], [2.0]])
    pq.write_table(pa.Table.from_arrays([column, column], ["x", "x"]), tmp_path / "t.parquet")
    with pytest.raises(el.InputError, match="has several columns x"):
        read_set(tmp_path / "t.parquet", "p")


@pytest.mark.parametrize("command", [
    ["select", "--pool", "p.npy", "-n", "3", "--out", "NAME"],
    ["select", "--pool", "NAME", "-n", "3", "--out", "o"], ["run", "NAME"],
    ["run", "digits", "--out", "NAME"], ["report", "NAME"], ["doctor", "NAME"],
    ["figures", "NAME"], ["watch", "NAME"], ["measure", "--generated", "NAME"],
    ["audit", "NAME", "p.npy", "--out", "o"],
    ["duplicates", "--pool", "NAME", "--threshold", "1", "--out", "o"],
])  # fmt: skip
def test_names_that_no_file_can_have_are_one_line(command, pool, entroloop_here):
    for name in ("x" * 300, "x/../" * 900):
        answer = entroloop_here(*[name if word == "NAME" else word for word in command])
        assert answer.returncode == 2
        assert answer.stderr.count("\n") == 1
