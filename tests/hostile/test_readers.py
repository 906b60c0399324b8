"""Readers of files: whatever bytes they meet, they read them or say so in one line."""

import io
import json
import os
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import entroloop as el
from entroloop.data.arrays import read_array
from entroloop.data.decoding import FORMATS, decode, decoded_item
from entroloop.data.images import Parquet
from entroloop.data.loading import read_set
from entroloop.data.made_by import look_for_maker
from entroloop.data.plain_png import PlainPng
from entroloop.data.webdataset import WebDataset
from entroloop.report import refuse_foreign
from entroloop.study.config import load_config, parse_overrides
from entroloop.study.yaml_text import parsed
from entroloop.system.files import write_atomically
from entroloop.system.output_folder import OutputFolder

MUTANTS = 250  # of each kind of file


def encoded(image, form="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return buffer.getvalue()


def a_npy(path, rng):
    np.save(path, rng.standard_normal((6, 3)))


def a_npz(path, rng):
    np.savez_compressed(path, data=rng.standard_normal((6, 3)))


def a_table(path, rng):
    cells = [{"bytes": encoded(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)), "path": "x"}
             for _ in range(4)]  # fmt: skip
    pq.write_table(pa.table({"image": cells, "label": [0, 1, 0, 1]}), path)


def a_table_of_rows(path, rng):
    pq.write_table(pa.table({"x": list(rng.standard_normal((6, 3)))}), path)


def a_tar(path, rng):
    with tarfile.open(path, "w") as tar:
        for i in range(4):
            content = encoded(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            for ending, data in (("png", content), ("cls", b"1")):
                member = tarfile.TarInfo(f"{i}.{ending}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


READERS = {
    "npy": (a_npy, lambda path: np.array(read_array(path, None))),
    "npz": (a_npz, lambda path: read_array(path, "data")),
    "parquet": (a_table, lambda path: read_set(path, "p", columns=["label"])),
    "rows.parquet": (a_table_of_rows, lambda path: read_set(path, "p", lazy=True).data.open()),
    "tar": (a_tar, lambda path: WebDataset(path=str(path), label="cls", n_train=2,
                                           n_reference=2).load()),
}  # fmt: skip


def mutated(content, rng):
    """Return bytes changed the way disks and people change them."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(len(content))) if content else 0
        kind = rng.integers(5)
        if kind == 0 and content:
            content[at] = int(rng.integers(256))
        elif kind == 1:
            content = content[:at]
        elif kind == 2:
            content[at:at] = rng.bytes(int(rng.integers(1, 9)))
        elif kind == 3:
            del content[at : at + int(rng.integers(1, 40))]
        else:  # where sizes and types stand
            at = int(rng.integers(min(len(content), 160))) if content else 0
            content[at : at + 4] = struct.pack("<I", int(rng.choice([0, 1, 255, 2**31, 2**32 - 1])))
    return bytes(content)


@pytest.mark.parametrize("kind", READERS)
def test_changed_files_are_read_or_refused_in_one_line(kind, tmp_path):
    make, read = READERS[kind]
    rng = np.random.default_rng(7)
    path = tmp_path / f"file.{kind}"
    make(path, rng)
    read(path)
    original, told = path.read_bytes(), []
    for _ in range(MUTANTS):
        path.write_bytes(mutated(original, rng))
        try:
            read(path)
        except el.InputError as error:
            told.append(str(error))
    assert len(told) > MUTANTS / 10
    assert all("\n" not in message and len(message) < 700 for message in told)


@pytest.mark.parametrize("form", FORMATS)
def test_changed_images_are_decoded_or_skipped_with_a_reason(form, tmp_path):
    rng = np.random.default_rng(3)
    good = encoded(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), form)
    folder = tmp_path / "pool"
    folder.mkdir()
    for i in range(MUTANTS):
        (folder / f"{i:03}.png").write_bytes(mutated(good, rng))
    (folder / "whole.png").write_bytes(encoded(np.zeros((9, 9, 3), dtype=np.uint8)))
    resized = Parquet(path="x", resize=9, mode="colour", n_train=2, n_reference=2)
    found = read_set(folder, "p", change=resized.change)
    assert "whole.png" in found.ids
    assert len(found.ids) + len(found.skipped) == MUTANTS + 1
    assert all(0 < len(reason) <= 160 for reason in found.skipped.values())


@pytest.mark.parametrize("shape", [(9, 7, 3), (9, 7)])
def test_the_short_way_through_a_png_file_ends_where_pillows_reader_does(shape, monkeypatch):
    rng = np.random.default_rng(11)
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    good = [encoded(image, compress_level=level) for level in (0, 6)]
    assert all(np.array_equal(PlainPng.of(g).pixels().squeeze(), image) for g in good)
    rows = [PlainPng.of(g).rows for g in good]
    raws = b"", bytes(30), b"\x01" + bytes(400), bytes(2000)  # too few rows, too many
    packed = [zlib.compress(raw) for raw in raws]
    rows += [*packed, *(p[:-3] for p in packed), *(p + b"more" for p in packed)]
    rows += [mutated(rows[i % 2], rng) for i in range(2 * MUTANTS)]
    files = [
        b"".join([good[0][:33], struct.pack(">I", len(r)), b"IDAT", r, bytes(4), good[0][-12:]])
        for r in rows
    ]
    assert all(PlainPng.of(content) is not None for content in files)
    files += [mutated(good[i % 2], rng) for i in range(2 * MUTANTS)]
    shortly = [decoded_item(("x", content), None, look_for_maker) for content in files]
    monkeypatch.setattr(PlainPng, "of", lambda _: None)
    for content, found in zip(files, shortly, strict=True):
        by_pillow = decoded_item(("x", content), None, look_for_maker)
        assert (found.image is None) == (by_pillow.image is None)
        assert found.image is None or np.array_equal(found.image, by_pillow.image)
        assert found[1:] == by_pillow[1:]


def test_a_postscript_file_starts_no_program(tmp_path, monkeypatch):
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (bin_folder / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    with pytest.raises(ValueError, match="none of PNG, JPEG"):
        decode(eps)
    pool = tmp_path / "pool"
    pool.mkdir()
    (pool / "x.png").write_bytes(eps)
    (pool / "y.png").write_bytes(encoded(np.zeros((9, 9, 3), dtype=np.uint8)))
    assert list(read_set(pool, "p").skipped) == ["x.png"]
    assert not (tmp_path / "started").exists()


def png_that_claims(width, height):
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    import zlib

    chunks = b""
    for name, data in ((b"IHDR", head), (b"IDAT", zlib.compress(b"x")), (b"IEND", b"")):
        chunks += struct.pack(">I", len(data)) + name + data
        chunks += struct.pack(">I", zlib.crc32(name + data))
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("size", [(60_000, 60_000), (10_000, 10_000), (2**31 - 1, 1), (0, 5)])
def test_one_bomb_does_not_end_a_pool(size, tmp_path):
    (tmp_path / "bomb.png").write_bytes(png_that_claims(*size))
    (tmp_path / "good.png").write_bytes(encoded(np.zeros((9, 9, 3), dtype=np.uint8)))
    found = read_set(tmp_path, "p")
    assert found.ids == ["good.png"]
    with pytest.raises(el.InputError, match=r"bomb\.png cannot be read"):
        read_set(tmp_path, "p", strict=True)


def test_what_takes_more_than_the_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "x.npz", data=np.zeros((1000, 100)))
    rows = pa.array([[0.0] * 100] * 1000, type=pa.list_(pa.float64()))
    pq.write_table(pa.table({"x": rows}), tmp_path / "x.parquet")
    monkeypatch.setattr("entroloop.data.reading.available_bytes", lambda: 100_000)
    for name in ("x.npz", "x.parquet"):
        with pytest.raises(el.InputError, match=r"holds 0\.0 GB once it is read"):
            found = read_set(tmp_path / name, "p", lazy=True).data
            found.open()


def test_tables_that_are_not_what_they_seem_are_one_line(tmp_path):
    tables = {
        "text": pa.table({"image": [{"bytes": "text"}] * 3}),
        "ragged": pa.table({"x": [[1.0], [1.0, 2.0]]}),
        "nulls": pa.table({"x": pa.array([[1.0], None], type=pa.list_(pa.float64()))}),
        "inner": pa.table({"x": [[1.0, None], [1.0, 2.0]]}),
        "words": pa.table({"x": [["a"], ["b"]]}),
        "wide": pa.table({f"c{i}": ["a"] for i in range(3000)}),
    }
    for name, table in tables.items():
        path = tmp_path / f"{name}.parquet"
        pq.write_table(table, path)
        for lazy in (False, True):
            with pytest.raises(el.InputError) as told:
                found = read_set(path, "p", lazy=lazy)
                found.data.open()
            assert len(str(told.value)) < 1000
    labels = pa.table({"image": [{"bytes": encoded(np.zeros((3, 3), dtype=np.uint8))}] * 4,
                       "label": [0, None, 1, 0]})  # fmt: skip
    pq.write_table(labels, tmp_path / "labels.parquet")
    source = Parquet(path=str(tmp_path / "labels.parquet"), n_train=2, n_reference=2)
    real = None
    with pytest.raises(el.InputError, match="labels are null"):
        real = source.load()
    assert real is None


def test_a_zip_that_is_encrypted_or_odd_is_one_line(tmp_path):
    for name, write in {
        "flag": lambda z: z.writestr("data.npy", b"x"),
        "lzma": lambda z: z.writestr("data.npy", b"x" * 99, zipfile.ZIP_LZMA),
        "none": lambda z: None,
    }.items():
        path = tmp_path / f"{name}.npz"
        with zipfile.ZipFile(path, "w") as archive:
            write(archive)
        if name == "flag":
            content = bytearray(path.read_bytes())
            for at in (6, content.index(b"PK\x01\x02") + 8):
                content[at] |= 1
            path.write_bytes(content)
        with pytest.raises(el.InputError):
            read_array(path, "data")


YAMLS = {
    "no date": "a: 2026-13-45", "hex": "a: 0x_", "bool": "a: !!bool x", "date": "a: 2026-11-25",
    "digits": "a: " + "9" * 5000, "brackets": "[" * 3000, "braces": "{" * 3000,
    "python": "a: !!python/object/apply:os.system [x]",
    "laughs": "a: &a [1,1,1,1,1,1,1,1,1]\n" + "\n".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]" for i in range(9)),
    "cycle": "a: &a [*a]", "inf": "a: .inf", "nan": "a: [{b: .nan}]",
    "long": "a: " + "x" * 2_000_000,
    "tab": "a:\n\t- b", "float": "a: !!float x", "int": "a: !!int ''", "binary": "a: !!binary '#'",
    "unhashable": "? [a]\n: b", "control": "a: \x01", "many": "[" + "1," * 20_000 + "]",
    "timestamp": "a: !!timestamp x", "set": "a: !!set [1]", "pairs": "a: !!pairs x",
}  # fmt: skip


@pytest.mark.parametrize("name", YAMLS)
def test_yaml_that_no_study_holds_is_one_line(name, tmp_path):
    with pytest.raises(el.InputError) as told:
        parsed(YAMLS[name], "x")
    assert len(str(told.value)) < 300
    assert "\n" not in str(told.value)
    if "\n" not in YAMLS[name] and len(YAMLS[name]) < 10_000:
        with pytest.raises(el.InputError):
            parse_overrides([YAMLS[name].replace("a: ", "a=", 1)])
    (tmp_path / "s.yaml").write_text(YAMLS[name])
    with pytest.raises(el.InputError):
        load_config(tmp_path / "s.yaml", {})


def test_yaml_that_studies_hold_is_read():
    text = "base: &b {steps: 3, lr: 1.0e-3}\narms: [*b, *b]\nname: 'ü'\n"
    assert parsed(text, "x")["arms"] == [{"steps": 3, "lr": 1e-3}] * 2


@pytest.mark.parametrize("settings", [
    {"generations": 10**12}, {"generations": 0}, {"seeds": [-1]}, {"seeds": []}, {"seeds": ["x"]},
    {"seeds": [10**30]}, {"data": {"source": [1]}}, {"data": []}, {"data": {"source": "digits",
     "n_train": 10**15, "n_reference": 5}}, {"arms": {}}, {"arms": []}, {"arms": [3]},
    {"arms": [{"generator": 3}]}, {"arms": [{"oversample": 0}]}, {"arms": [{"name": "../x"}]},
    {"name": ""}, {"name": 3}, {"metrics": {"extra": ["x"]}}, {"metrics": {"unselected": -1}},
    {"threads": 0}, {"guard": -1}, {"arms": [{"strategy": "x" * 10_000}]}, {"name": "a" * 300},
    {"arms": [{"strategy_args": {"strength": float("nan")}, "strategy": "threshold_decay"}]},
    {"generator": {"name": "kde", "bandwidth": float("inf")}}, {"paradigm_args": {"guard": 1e300}},
])  # fmt: skip
def test_settings_that_no_study_has_are_one_line(settings, tiny, tmp_path):
    from entroloop.commands.prepare import prepare

    with pytest.raises(el.InputError) as told:
        prepare(tiny | settings, tmp_path / "s")
    assert len(str(told.value)) < 1000
    assert "\n" not in str(told.value)


def test_messages_of_the_command_line_are_one_line_and_names_are_no_markup(
    entroloop_here, tmp_path
):
    np.save(tmp_path / "p.npy", np.random.default_rng(0).standard_normal((30, 3)))
    out = "o[/b]"
    answer = entroloop_here("select", "--pool", "p.npy", "-n", "5", "--out", out)
    assert answer.returncode == 0
    assert json.loads(answer.stdout)["out"] == out
    (tmp_path / "cut.npy").write_bytes(b"")
    answer = entroloop_here("select", "--pool", "cut.npy", "-n", "5", "--out", "x")
    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr
    assert "cut.npy" in answer.stderr


def test_a_full_output_is_told_and_a_reader_that_left_is_no_error(entroloop, tmp_path):
    import subprocess
    import sys

    command = [sys.executable, "-m", "entroloop", "presets"]
    if Path("/dev/full").exists():
        with Path("/dev/full").open("w") as full:
            answer = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
        assert answer.returncode == 2
        assert answer.stderr.count("\n") == 1
        assert "No space left" in answer.stderr
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reader:
        reader.stdout.close()
        assert reader.wait() == 0
        assert reader.stderr.read() == b""


def test_what_one_may_not_expect_of_images_is_told(entroloop_here, tmp_path):
    pool = tmp_path / "pool"
    pool.mkdir()
    plain = Image.fromarray(np.zeros((6, 6, 3), dtype=np.uint8))
    plain.save(pool / "plain.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    plain.save(pool / "turned.jpg", exif=exif)
    plain.convert("RGBA").save(pool / "clear.png")
    plain.save(pool / "moving.gif", save_all=True, append_images=[
        Image.fromarray(np.full((6, 6, 3), 255, dtype=np.uint8))
    ])  # fmt: skip
    (pool / "notes.txt").write_text("x")
    found = read_set(pool, "p")
    assert found.remarks == {
        "no image by its ending: not read": 1, "EXIF rotation: applied": 1,
        "palette: taken as colour": 1, "transparency: dropped": 1,
        "several frames: the first is taken": 1,
    }  # fmt: skip
    answer = entroloop_here("select", "--pool", "pool", "-n", "2", "--out", "out")
    assert json.loads(answer.stdout)["remarks"]["pool"] == found.remarks


def test_names_that_are_not_utf_8_are_escaped(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    Image.fromarray(np.zeros((6, 6), dtype=np.uint8)).save(tmp_path / name)
    Image.fromarray(np.zeros((6, 6), dtype=np.uint8)).save(tmp_path / "new\nline.png")
    assert sorted(read_set(tmp_path, "p").ids) == ["caf\\udce9.png", "new\\nline.png"]


def test_a_pipe_is_refused_where_it_would_hang(tmp_path):
    os.mkfifo(tmp_path / "x.npy")
    with pytest.raises(el.InputError, match="neither a file nor a folder"):
        read_set(tmp_path / "x.npy", "p")


def test_two_selections_do_not_share_an_output_folder(tmp_path):
    one, other = OutputFolder(tmp_path / "out"), OutputFolder(tmp_path / "out")
    with one.locked(), pytest.raises(el.InputError, match="in use"), other.locked():
        pass
    assert not (tmp_path / "out").exists()


def test_a_page_overwrites_pages_alone(tmp_path):
    for name, content in (("mine.html", "<title>mine</title>"), ("notes.txt", "x"), ("e", "")):
        (tmp_path / name).write_text(content)
        with pytest.raises(el.InputError, match="is no page of entroloop"):
            refuse_foreign(tmp_path / name)
    (tmp_path / "ours.html").write_text('<meta name="entroloop-content" content="x">')
    refuse_foreign(tmp_path / "ours.html")
    refuse_foreign(tmp_path / "new.html")
    (tmp_path / "link.html").symlink_to(tmp_path / "ours.html")
    with pytest.raises(el.InputError, match="no page"):
        refuse_foreign(tmp_path / "link.html")


def test_a_link_that_was_planted_for_a_temporary_file_is_not_written_through(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("whole")
    (tmp_path / f".x.{os.getpid()}").symlink_to(victim)
    write_atomically(tmp_path / "x", "new")
    assert victim.read_text() == "whole"
    assert (tmp_path / "x").read_text() == "new"

    def fail(file):
        file.write(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomically(tmp_path / "x", fail)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["victim", "x"]


def test_a_user_without_a_home_and_a_terminal_of_few_letters_are_no_errors(entroloop):
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "ENTROLOOP_CACHE")}
    plain = environment | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    answer = entroloop("run", "digits", "--dry-run", env=plain)  # its plan has a ×
    assert answer.returncode == 0, answer.stderr
    negative = entroloop("select", "--pool", "x", "-n", "1", "--out", "o", "--seed", "-1")
    assert negative.returncode == 2
    long = entroloop("run", "digits", "--out", "x" * 300, env=plain)
    assert long.returncode == 2
    assert "Traceback" not in long.stderr


def test_an_image_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path):
    from entroloop.data.decoding import decode

    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(ValueError, match="no file, but a pipe"):
        decode(tmp_path / "x.png")
